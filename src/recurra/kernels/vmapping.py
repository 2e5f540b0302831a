"""How vmap goes through a scan: mapped rows become rows of a larger batch; mapped weights are taken one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.kernels.extension import STATE, Inputs, Options

Tensors = tuple[Tensor | None, ...]
_SEED = Inputs._fields.index("seed")


def can_fold(options: Options, dims: Sequence[int | None]) -> bool:
    """Whether the mapped tensors are rows alone, and what happens to a row does not hang on its place in the batch."""
    return not options.draws and all(dim is None for dim in (*dims[1:STATE], dims[_SEED]))


def fold(
    call: Callable[..., Sequence[Tensor]], size: int, dims: Sequence[int | None], inputs: Inputs
) -> tuple[Tensors, tuple[int, ...]]:
    """One scan over `size` times as many rows.

    Args:
        call: scans inputs that are not mapped: ys (T, B, O) and the leaves of the state (B, ...).
        size: of the mapped axis.
        dims: the mapped axis of each input; None where it has none.
        inputs: with that axis.
    Returns:
        What `call` does, and the mapped axis of each.
    """

    def merge(index: int, tensor: Tensor | None) -> Tensor | None:
        if tensor is None or 0 < index < STATE or index == _SEED:
            return tensor
        dim = dims[index]
        return (tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)).flatten(0, 1)

    merged: Any = (merge(index, tensor) for index, tensor in enumerate(inputs))
    ys, *state = call(*merged)
    axes = size, inputs.xs.movedim(dims[0] or 0, 0).shape[0 if dims[0] is None else 1]
    parts = ys.reshape(len(ys), *axes, ys.shape[2]), *(leaf.reshape(*axes, leaf.shape[1]) for leaf in state)
    return parts, (1, *(0 for _ in state))


def loop(
    call: Callable[..., Sequence[Tensor]], size: int, dims: Sequence[Any], arguments: Sequence[Any]
) -> tuple[Tensors, tuple[int, ...]]:
    """One call for each place on the mapped axis of the tensors among the arguments."""

    def take(value: Any, dim: Any, place: int) -> Any:
        return value.select(dim, place) if isinstance(value, Tensor) and dim is not None else value

    results = []
    for place in range(size):
        results.append(call(*(take(value, dim, place) for value, dim in zip(arguments, dims, strict=True))))
    parts = tuple(torch.stack(part) for part in zip(*results, strict=True))
    return parts, (0,) * len(parts)
