"""Losses of logits: one class of many, or labels that do not exclude each other."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.batch import LossSum
from recurra.core.errors import ShapeError
from recurra.losses.masking import at_least_float32, take_real


class HasCrossEntropy(Protocol):
    """What a softmax for large vocabularies returns in training instead of logits."""

    def cross_entropy(self, targets: Tensor, mask: Tensor | None, label_smoothing: float) -> LossSum:
        """Summed cross-entropy of the real positions."""


def cross_entropy(
    prediction: Tensor | HasCrossEntropy, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0
) -> LossSum:
    """Cross-entropy of class indices, summed over real positions, in nats.

    Args:
        prediction: logits (B, T, V) or (B, V), or an object that has `cross_entropy` itself.
        targets: (B, T) or (B,) int64, 0..V-1 on real positions.
        mask: shape of `targets`, bool, True on real positions; None: all are real, which is faster.
        label_smoothing: share of the target's weight that goes to all classes alike, 0..1.
    Raises:
        ShapeError: logits, targets and mask do not fit together.
    Reference: label smoothing as in Szegedy et al. (2016), section 7, https://arxiv.org/abs/1512.00567.
    """
    if not isinstance(prediction, Tensor):
        return prediction.cross_entropy(targets, mask, label_smoothing)
    if prediction.shape[:-1] != targets.shape:
        raise ShapeError(
            f"cross_entropy got logits of shape {tuple(prediction.shape)} and targets of shape "
            f"{tuple(targets.shape)}: the targets must have the shape of the logits without the last axis."
        )
    logits = take_real(prediction, mask).reshape(-1, prediction.shape[-1])
    chosen = take_real(targets, mask).reshape(-1)
    total = F.cross_entropy(at_least_float32(logits), chosen, reduction="sum", label_smoothing=label_smoothing)
    return LossSum(total, _count(chosen))


def binary_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> LossSum:
    """Cross-entropy of independent yes/no labels, summed over real positions and labels, in nats.

    Args:
        logits: (B, O), (B, T, O) or (B,).
        targets: same shape, 0..1.
        mask: first axes of `logits`, bool, True on real positions; None: all are real.
    Raises:
        ShapeError: the shapes do not fit together.
    """
    if logits.shape != targets.shape:
        raise ShapeError(
            f"binary_cross_entropy got logits of shape {tuple(logits.shape)} and targets of shape "
            f"{tuple(targets.shape)}: they must be the same."
        )
    chosen = at_least_float32(take_real(logits, mask))
    wanted = take_real(targets, mask).to(chosen.dtype)
    return LossSum(F.binary_cross_entropy_with_logits(chosen, wanted, reduction="sum"), _count(chosen))


def _count(values: Tensor) -> Tensor:
    return torch.tensor(values.numel(), device=values.device)
