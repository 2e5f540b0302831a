"""Losses of real numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.batch import LossSum
from recurra.core.errors import ShapeError
from recurra.losses.masking import at_least_float32, take_real


def mse(prediction: Tensor, targets: Tensor, mask: Tensor | None = None) -> LossSum:
    """Squared error, summed over real positions.

    Args:
        prediction: (B, O), (B, T, O), (B, T) or (B,).
        targets: same shape.
        mask: first axes of `prediction`, bool, True on real positions; None: all are real.
    Raises:
        ShapeError: the shapes do not fit together.
    """
    return _summed("mse", F.mse_loss, prediction, targets, mask)


def mae(prediction: Tensor, targets: Tensor, mask: Tensor | None = None) -> LossSum:
    """Absolute error, summed over real positions; arguments as `mse`."""
    return _summed("mae", F.l1_loss, prediction, targets, mask)


def huber(prediction: Tensor, targets: Tensor, mask: Tensor | None = None, delta: float = 1.0) -> LossSum:
    """Squared error / 2 up to `delta`, growing linearly beyond it; summed; other arguments as `mse`.

    Reference: Huber (1964), Annals of Mathematical Statistics 35(1).
    """

    def huber_loss(a: Tensor, b: Tensor, *, reduction: str) -> Tensor:
        return F.huber_loss(a, b, reduction=reduction, delta=delta)

    return _summed("huber", huber_loss, prediction, targets, mask)


def _summed(
    name: str, function: Callable[..., Tensor], prediction: Tensor, targets: Tensor, mask: Tensor | None
) -> LossSum:
    if prediction.shape != targets.shape:
        raise ShapeError(
            f"{name} got a prediction of shape {tuple(prediction.shape)} and targets of shape "
            f"{tuple(targets.shape)}: they must be the same."
        )
    chosen = at_least_float32(take_real(prediction, mask))
    wanted = take_real(targets, mask).to(chosen.dtype)
    return LossSum(function(chosen, wanted, reduction="sum"), torch.tensor(chosen.numel(), device=chosen.device))
