"""What the numbers inside a training step say: norms by layer, the culprit of a NaN."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.core.errors import NonFiniteError
from recurra.training.distributed import full


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """L2 norm of each parameter's gradient, by name; parameters without a gradient are left out."""
    return {
        name: float(full(parameter.grad).norm())
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def find_non_finite(model: nn.Module) -> str | None:
    """The first parameter whose value or gradient is NaN or infinite, with which of the two."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(full(parameter.detach())).all():
            return f"the weight `{name}`"
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(full(parameter.grad)).all():
            return f"the gradient of `{name}`"
    return None


def explain_non_finite(model: nn.Module, update: int, loss: float, clipped: bool, rate: float, batch: str) -> NonFiniteError:
    """The error to raise when loss or gradient norm stopped being finite at `update`."""
    place = find_non_finite(model)
    if place is None and not math.isfinite(loss):
        place = "the loss, while all weights and gradients are finite"
        cause = f"The batch holds values that the loss can't take ({batch}): look for NaN or huge numbers in the data."
    elif place is not None and place.startswith("the weight"):
        cause = f"The step before was too large: lower optimizer.learning_rate (now {rate:g})."
    elif not clipped:
        cause = "Gradients exploded: set optimizer.clip_norm=1, or lower optimizer.learning_rate."
    else:
        cause = f"Lower optimizer.learning_rate (now {rate:g}), or use precision float32 if it is lower."
    return NonFiniteError(
        f"update {update}: the loss is {loss:g}; first not finite: {place or 'the gradient norm'}. {cause} "
        "The last good checkpoint is kept; resume from it with --resume after the change, in a new --out."
    )


def describe_batch(ids: tuple[str, ...], data: Tensor) -> str:
    """A batch in a few words."""
    rows = f"rows {ids[0]} .. {ids[-1]}" if ids else "a stream batch"
    return f"{rows}, shape {tuple(data.shape)}"
