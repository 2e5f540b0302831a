"""The scan as a plain loop over the steps: the measure of every faster kernel, and the path for any cell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.core.sequences import mask_from_lengths
from recurra.core.state import State, leaves, where
from recurra.kernels.rows import flip, flip_reset, select_rows
from recurra.kernels.zoneout import Zoneout, draw_keys, zone_out

Recur = Callable[[Tensor, State], tuple[Tensor, State]]


def scan(
    recur: Recur,
    xs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    initial: State | None = None,
    *,
    zoneout: Zoneout | None = None,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """Call `recur` step after step.

    Args:
        recur: one step: (B, P) and a state -> the output (B, O) and the new state.
        xs: (B, T, P) with T > 0, finite on padding.
        state: before the first step.
        lengths: (B,) int64 on the device of `xs`; None means that no row is padded.
        reset: (B, T) bool on the device of `xs`; needs `initial`.
        initial: the state that a reset returns to.
        zoneout: applied to the state after each step, and to the output where that is a leaf of the state.
        reverse: run each row from its last real step to its first.
    Returns:
        Outputs (B, T, O), zero on padding; the state after each row's own last step.
    """
    marks = mark(xs, lengths, reset, zoneout, reverse=reverse)
    if reverse:
        xs = flip(xs, lengths)
    outputs = []
    for x, here in zip(xs.unbind(1), marks.unbind(xs.shape[1]), strict=True):
        y, state = advance(recur, x, state, here, initial, zoneout)
        outputs.append(y)
    ys = torch.stack(outputs, 1)
    return (flip(ys, lengths) if reverse else ys), state


class Marks(NamedTuple):
    """What holds for each step and row beside the inputs; one step's have no axis T.

    Attributes:
        real: (T, B) bool, False on padding; None where no row is padded.
        reset: (T, B) bool, True where a row starts afresh; None for nowhere.
        keys: (T, num_leaves, B), of zoneout's draws; None where nothing is drawn.
    """

    real: Tensor | None
    reset: Tensor | None
    keys: Tensor | None

    def unbind(self, num_steps: int) -> Iterator[Marks]:
        """Step by step."""
        each = [itertools.repeat(None, num_steps) if part is None else part.unbind(0) for part in self]
        return itertools.starmap(Marks, zip(*each, strict=True))


def mark(xs: Tensor, lengths: Tensor | None, reset: Tensor | None, zoneout: Zoneout | None, *, reverse: bool) -> Marks:
    """The marks of `scan`'s steps, in the order in which they run."""
    real = None if lengths is None else mask_from_lengths(lengths, xs.shape[0], xs.shape[1], xs.device)
    if reset is not None and reverse:
        reset = flip_reset(reset, lengths)
    if reset is not None and real is not None:
        reset = reset & real
    keys = None if zoneout is None else _draw_keys(zoneout, xs, lengths, reverse)
    return Marks(None if real is None else real.t(), None if reset is None else reset.t(), keys)


def advance(
    recur: Recur, x: Tensor, state: State, marks: Marks, initial: State | None, zoneout: Zoneout | None
) -> tuple[Tensor, State]:
    """One step of `scan`: the output (B, O), zero on padding, and the new state."""
    if marks.reset is not None:
        assert initial is not None, "a reset needs the state to return to"
        state = where(marks.reset, initial, state)
    y, new = recur(x, state)
    if zoneout is not None:
        y, new = _zone_out(zoneout, state, y, new, marks.keys)
    if marks.real is None:
        return y, new
    return select_rows(marks.real, y, torch.zeros_like(y)), where(marks.real, new, state)


def _zone_out(zoneout: Zoneout, old: State, y: Tensor, new: State, keys: Tensor | None) -> tuple[Tensor, State]:
    zoned = zone_out(zoneout, old, new, keys)
    for before, after in zip(leaves(new), leaves(zoned), strict=True):
        if before is y:
            return after, zoned
    return y, zoned


def _draw_keys(zoneout: Zoneout, xs: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor | None:
    """(T, num_leaves, B), in the order in which the steps run."""
    if zoneout.seed is None:
        return None
    steps = torch.arange(xs.shape[1], device=xs.device).expand(xs.shape[0], -1)
    if reverse:
        steps = flip(steps[..., None], lengths)[..., 0]
    return draw_keys(zoneout.seed, steps, len(zoneout.probabilities))
