"""Zoneout: units of the state that keep their old value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recurra.core.errors import ConfigError
from recurra.core.state import State, leaves, tree_map2


class Zoneout(NamedTuple):
    """How likely a unit keeps its old value.

    Attributes:
        probabilities: one a leaf of the state.
        training: True draws anew for each step and unit from torch's default generator; False takes the expectation.
    Reference: Krueger et al. (2017), https://arxiv.org/abs/1606.01305.
    """

    probabilities: tuple[float, ...]
    training: bool


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
    return Zoneout(probabilities, training)


def zone_out(zoneout: Zoneout, old: State, new: State) -> State:
    """`new` with some units as in `old`."""
    remaining = iter(zoneout.probabilities)
    return tree_map2(lambda a, b: _keep(a, b, next(remaining), zoneout.training), old, new)


def _keep(old: Tensor, new: Tensor, probability: float, training: bool) -> Tensor:
    if probability == 0:
        return new
    if not training:
        return probability * old + (1 - probability) * new
    return torch.where(torch.rand_like(new) < probability, old, new)
