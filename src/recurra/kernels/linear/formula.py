"""The linear recurrence and its gradients in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.core.sequences import mask_from_lengths
from recurra.kernels import reference
from recurra.kernels.rows import clear_padding


class Inputs(NamedTuple):
    """The tensors of h_t = a_t h_{t-1} + b_t, all numbers of one type.

    Attributes:
        a: (B or 1, T or 1, D).
        b: (B, T, D); on the way back the result of the scan stands in its place.
        state: (B, D) before the first step; None is zeros.
        initial: (B, D) that a reset returns to, likewise.
        lengths: (B,) int64, or None.
        reset: (B, T) bool, or None.
    """

    a: Tensor
    b: Tensor
    state: Tensor | None = None
    initial: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None


class Gradients(NamedTuple):
    """Of the inputs, row by row: that of `a` is (B, T or 1, D).

    Attributes:
        a: None where it was not wanted.
        b: as the input.
        state: (B, D).
        initial: (B, D), or None without resets.
    """

    a: Tensor | None
    b: Tensor
    state: Tensor
    initial: Tensor | None


Scan = Callable[[Inputs, bool], tuple[Tensor, Tensor]]
"""(inputs, reverse) -> all h (B, T, D), and each row's last (B, D)."""


def loop(inputs: Inputs, reverse: bool) -> tuple[Tensor, Tensor]:
    """Step after step."""
    b, num_channels = inputs.b, inputs.b.shape[2]
    state, initial = _state(inputs.state, b), _state(inputs.initial, b)
    if b.shape[1] == 0:
        return b.new_empty(b.shape), state.clone()

    def step(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = x[:, :num_channels] * h + x[:, num_channels:]
        return h, h

    both = clear_padding(torch.cat([inputs.a.expand_as(b), b], 2), inputs.lengths)
    hs, last = reference.scan(step, both, state, inputs.lengths, inputs.reset, initial, reverse=reverse)  # type: ignore[arg-type]
    assert isinstance(last, Tensor)
    return hs, last


def gradients(scan: Scan, inputs: Inputs, reverse: bool, d_hs: Tensor | None, d_last: Tensor | None) -> Gradients:
    """What goes back through a linear recurrence is one itself, in the other direction.

    With e_t the gradient that leaves step t backwards, e_t = conj(a_t) (e_{t+1} + d_hs_t).

    Args:
        scan: runs it; if it can be differentiated, so can the result.
        inputs: of the scan, with its result in the place of `b`.
        reverse: of the scan.
        d_hs: the gradient of that result; None is zeros.
        d_last: of the last state, likewise.
    """
    hs, lengths, reset = inputs.b, inputs.lengths, inputs.reset
    a = _conjugate(clear_padding(inputs.a.expand_as(hs), lengths))
    d_hs = torch.zeros_like(hs) if d_hs is None else clear_padding(d_hs, lengths)
    d_last = _state(d_last, hs)
    left, d_state = scan(Inputs(a, a * d_hs, d_last, None, lengths, reset), not reverse)
    d_b = clear_padding(d_hs + _before(left, d_last, None, inputs, not reverse), lengths)
    d_a = d_b * _conjugate(_before(hs, inputs.state, inputs.initial, inputs, reverse))
    if inputs.a.shape[1] != hs.shape[1]:
        d_a = d_a.sum(1, keepdim=True)
    if reset is None:
        return Gradients(d_a, d_b, d_state, None)
    starts = _starts(inputs, reset, reverse)
    d_initial = torch.where(starts[..., None], left, 0).sum(1)
    if not reverse:
        d_state = torch.where(starts[:, :1], 0, d_state)
    return Gradients(d_a, d_b, d_state, d_initial)


def _state(given: Tensor | None, like: Tensor) -> Tensor:
    return like.new_zeros(like.shape[0], like.shape[2]) if given is None else given


def _conjugate(numbers: Tensor) -> Tensor:
    """In memory: inside an operator that a compiled function calls, torch 2.13 forgets a conjugation put off."""
    return numbers.conj().resolve_conj()


def _before(hs: Tensor, state: Tensor | None, initial: Tensor | None, inputs: Inputs, reverse: bool) -> Tensor:
    """What `hs` was before each step, of a scan over rows with the lengths and resets of `inputs`."""
    first = _state(state, hs)[:, None]
    before = torch.cat([hs[:, 1:], first] if reverse else [first, hs[:, :-1]], 1)
    if reverse and inputs.lengths is not None:
        step = torch.arange(hs.shape[1], device=hs.device)
        before = torch.where((step == inputs.lengths[:, None] - 1)[..., None], first, before)
    if inputs.reset is not None:
        starts = _starts(inputs, inputs.reset, reverse)
        before = torch.where(starts[..., None], _state(initial, hs)[:, None], before)
    return before


def _starts(inputs: Inputs, reset: Tensor, reverse: bool) -> Tensor:
    """(B, T), True where the state before a step is the initial one: a reset parts two steps, either way."""
    if inputs.lengths is not None:
        reset = reset & mask_from_lengths(inputs.lengths, len(reset), reset.shape[1], reset.device)
    return torch.cat([reset[:, 1:], torch.zeros_like(reset[:, :1])], 1) if reverse else reset
