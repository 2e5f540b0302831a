"""State as a value: a tensor, or a (nested) tuple of tensors, with the batch as axis 0 of every leaf.

Streaming, truncated backpropagation, beam search and serving use these functions and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from recurra.core.errors import ModelFileError, ShapeError

State: TypeAlias = "Tensor | tuple[State, ...]"


def tree_map(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply `function` to every leaf."""
    if isinstance(state, Tensor):
        return function(state)
    return tuple(tree_map(function, part) for part in state)


def tree_map2(function: Callable[[Tensor, Tensor], Tensor], first: State, second: State) -> State:
    """Apply `function` to the leaves of two states of the same structure."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return function(first, second)
    if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        return tuple(tree_map2(function, a, b) for a, b in zip(first, second, strict=True))
    raise ShapeError(f"two states differ in structure: {describe(first)} and {describe(second)}.")


def leaves(state: State) -> Iterator[Tensor]:
    """The leaves, left to right."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from leaves(part)


def describe(state: State) -> str:
    """The structure with shapes, for messages: "((32, 256), (32, 256))"."""
    if isinstance(state, Tensor):
        return str(tuple(state.shape))
    return f"({', '.join(describe(part) for part in state)})"


def batch_size(state: State) -> int:
    """B, read from the first leaf."""
    return next(leaves(state)).shape[0]


def detach(state: State) -> State:
    """Cut the gradient: the border of truncated backpropagation."""
    return tree_map(Tensor.detach, state)


def to(state: State, device: torch.device | str) -> State:
    """Move every leaf."""
    return tree_map(lambda leaf: leaf.to(device), state)


def select(state: State, rows: Tensor) -> State:
    """The given rows (int64 indices, repeats allowed, or a bool mask), in that order."""
    return tree_map(lambda leaf: leaf[rows], state)


def concatenate(states: list[State]) -> State:
    """Join states of the same structure along the batch."""
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat([leaf for leaf in states if isinstance(leaf, Tensor)])
    return tuple(concatenate([state[i] for state in states]) for i in range(len(first)))


def where(condition: Tensor, chosen: State, other: State) -> State:
    """Per row: `chosen` where `condition` (B,) bool is True, else `other`."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(condition.reshape(-1, *([1] * (a.dim() - 1))), a, b)

    return tree_map2(pick, chosen, other)


def reset(state: State, mask: Tensor, initial: State) -> State:
    """Start the rows where `mask` (B,) bool is True afresh from `initial`."""
    return where(mask, initial, state)


def save(state: State, name: str = "state") -> dict[str, Tensor]:
    """Flatten into named tensors ("state.0.1"), as safetensors stores them."""
    if isinstance(state, Tensor):
        return {name: state.detach().contiguous().cpu().clone()}
    named: dict[str, Tensor] = {}
    for index, part in enumerate(state):
        named.update(save(part, f"{name}.{index}"))
    return named


def load(named: Mapping[str, Tensor], name: str = "state") -> State:
    """Rebuild what `save` flattened.

    Raises:
        ModelFileError: no tensor of that name is there.
    """
    if name in named:
        return named[name]
    parts: list[State] = []
    while any(key == f"{name}.{len(parts)}" or key.startswith(f"{name}.{len(parts)}.") for key in named):
        parts.append(load(named, f"{name}.{len(parts)}"))
    if not parts:
        raise ModelFileError(f"no state `{name}` among the stored tensors.")
    return tuple(parts)
