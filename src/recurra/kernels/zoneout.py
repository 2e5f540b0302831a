"""Zoneout: units of the state that keep their old value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recurra.core.errors import ConfigError
from recurra.core.state import State, leaves, tree_map2

# The draws are counted, not sequential, so that every kernel draws the same, forwards and backwards: splitmix64 makes a
# key of a step, row and leaf, and lowbias32 a number of a key and a unit (Steele et al., 2014; Wellons, 2018).
_GOLDEN = 0x9E3779B97F4A7C15


class Zoneout(NamedTuple):
    """How likely a unit keeps its old value.

    Attributes:
        probabilities: one a leaf of the state.
        seed: () int64, of the draws for each step and unit; None takes the expectation instead.
    Reference: Krueger et al. (2017), https://arxiv.org/abs/1606.01305.
    """

    probabilities: tuple[float, ...]
    seed: Tensor | None


def make_zoneout(probability: float | tuple[float, ...], training: bool, state: State) -> Zoneout | None:
    """The zoneout for a state of that structure; None where no unit ever keeps its value.

    Raises:
        ConfigError: a probability outside 0..1, or another number of them than the state has leaves.
    """
    if not (any(probability) if isinstance(probability, tuple) else probability):
        return None
    num_leaves = len(list(leaves(state)))
    probabilities = probability if isinstance(probability, tuple) else (probability,) * num_leaves
    if len(probabilities) != num_leaves or not all(0 <= p <= 1 for p in probabilities):
        raise ConfigError(f"zoneout={probability}: one probability (0..1) a leaf of the state is wanted, {num_leaves}.")
    return Zoneout(probabilities, torch.randint(2**63 - 1, (), device="cpu") if training else None)


def draw_keys(seed: Tensor, steps: Tensor, num_leaves: int) -> Tensor:
    """One key (32 bits in int64) for each step, row and leaf.

    Args:
        seed: () int64.
        steps: (B, T), the index of each step in its row as it is stored.
        num_leaves: of the state.
    Returns:
        (T, num_leaves, B).
    """
    rows = torch.arange(steps.shape[0], device=steps.device)
    leaf = torch.arange(num_leaves, device=steps.device)
    place = steps.t()[:, None] * steps.shape[0] + rows
    key = seed + (place * max(num_leaves, 2) + leaf[:, None] + 1) * _signed(_GOLDEN)
    key = (key ^ _shift(key, 30)) * _signed(0xBF58476D1CE4E5B9)
    key = (key ^ _shift(key, 27)) * _signed(0x94D049BB133111EB)
    return (key ^ _shift(key, 31)) & 0xFFFFFFFF


def draw(keys: Tensor, num_units: int, probability: float) -> Tensor:
    """Which units keep their old value: keys (B,) -> (B, num_units) bool."""
    value = keys[:, None] + torch.arange(num_units, device=keys.device) * (_GOLDEN >> 32)
    value = value & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return (value ^ (value >> 16)) < int(probability * 2**32)


def zone_out(zoneout: Zoneout, old: State, new: State, keys: Tensor | None) -> State:
    """`new` with some units as in `old`; `keys` (num_leaves, B) of this step where units are drawn."""
    own_keys = [None] * len(zoneout.probabilities) if keys is None else keys.unbind(0)
    remaining = iter(zip(zoneout.probabilities, own_keys, strict=True))
    return tree_map2(lambda a, b: _keep(a, b, *next(remaining)), old, new)


def _keep(old: Tensor, new: Tensor, probability: float, keys: Tensor | None) -> Tensor:
    if probability == 0:
        return new
    if keys is None:
        return probability * old + (1 - probability) * new
    kept = draw(keys, old[0].numel(), probability).reshape(old.shape)
    return torch.where(kept, old, new)


def _shift(value: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in."""
    return (value >> by) & ((1 << (64 - by)) - 1)


def _signed(constant: int) -> int:
    """As int64 holds it."""
    return constant - 2**64 if constant >= 2**63 else constant
