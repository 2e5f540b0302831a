"""What the numbers inside a training step say: norms by layer, and where a NaN came from."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch
from recurra.core.errors import NonFiniteError
from recurra.training.distributed import full

_MEND = "The last good checkpoint is kept; start again with the change and another --out."
_LARGE = 1e3
"""Weights beyond this are the likely cause of an overflow themselves."""


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """L2 norm of each parameter's gradient, by name; parameters without a gradient are left out."""
    return {
        name: float(full(parameter.grad).norm())
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def find_non_finite_weight(model: nn.Module) -> str | None:
    """The first parameter that holds NaN or infinity, by name."""
    return _first_non_finite((name, parameter.detach()) for name, parameter in model.named_parameters())


def explain_non_finite(
    model: nn.Module, update: int, loss: float, clipped: bool, rate: float, batch: str
) -> NonFiniteError:
    """The error to raise when loss or gradient norm stopped being finite at `update`."""
    gradients = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    slower = f"lower optimizer.learning_rate (now {rate:g})"
    if weight := find_non_finite_weight(model):
        place = f"the weight `{weight}`"
        cause = f"The step before was too large: {slower}."
    elif not math.isfinite(loss):
        name, size = _largest_weight(model)
        place = f"the loss; all weights are finite, the largest ({size:.3g}) is in `{name}`"
        cause = f"The weights have grown too large: {slower}."
        if size < _LARGE:
            cause = f"The batch ({batch}) may hold NaN or huge numbers; if not, {slower}."
    elif gradient := _first_non_finite(gradients):
        place = f"the gradient of `{gradient}`"
        cause = f"Gradients exploded: {slower}" + ("." if clipped else ", or set optimizer.clip_norm=1.")
    else:
        place, cause = "the gradient norm", f"Gradients are huge: {slower}."
    return NonFiniteError(f"update {update}: the loss is {loss:g}; first not finite: {place}. {cause} {_MEND}")


def require_finite_weights(model: nn.Module, update: int, rate: float) -> None:
    """Check the weights before they are kept.

    Raises:
        NonFiniteError: one is NaN or infinite.
    """
    if weight := find_non_finite_weight(model):
        raise NonFiniteError(
            f"update {update}: the weight `{weight}` is not finite any more. The step was too large: lower "
            f"optimizer.learning_rate (now {rate:g}). {_MEND}"
        )


def describe_batch(batch: Batch) -> str:
    """A batch in a few words."""
    rows = f"rows {batch.ids[0]} .. {batch.ids[-1]}" if batch.ids else "of a stream"
    return f"{rows}, targets of shape {tuple(batch.targets.shape)}"


def _first_non_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    return next((name for name, tensor in tensors if not torch.isfinite(full(tensor)).all()), None)


def _largest_weight(model: nn.Module) -> tuple[str, float]:
    sizes = {name: float(full(parameter.detach()).abs().max()) for name, parameter in model.named_parameters()}
    name = max(sizes, key=lambda name: sizes[name])
    return name, sizes[name]
