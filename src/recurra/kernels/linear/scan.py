"""The public function: checks, one type for all numbers, and the choice of the kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.kernels.dispatch import Path
from recurra.kernels.linear import operators
from recurra.kernels.linear.checks import check_lengths, check_numbers
from recurra.kernels.linear.formula import Inputs
from recurra.kernels.rows import simplify

_WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.complex32: torch.complex64}


def linear_scan(
    a: Tensor,
    b: Tensor,
    state: Tensor | None = None,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    *,
    reverse: bool = False,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run h_t = a_t h_{t-1} + b_t over whole sequences, channel by channel; real or complex.

    Derivatives of any order are exact. Half precision is computed in float32. Under autocast numbers stay as they are.

    Args:
        a: factors, of any shape that broadcasts to that of `b`: (D,) is the same decay at all steps of all rows.
        b: (B, T, D), right-padded; values of `a` and `b` past a row's length are not used, NaN included.
        state: h before the first step, (B, D) or what broadcasts to it; None is `initial`.
        lengths: (B,) integers, 0..T, in any order and on any device; None means T for every row.
        reset: (B, T) bool, True where a row starts afresh from `initial` before that step.
        reverse: run each row from its own last real step to its first; a reset at t parts t-1 from t there too.
        initial: h that a reset returns to, (B, D) or what broadcasts to it; None is zeros.
    Returns:
        All h (B, T, D), zero on padding; h after each row's own last real step (the first one where `reverse`), (B, D).
        Both in the type that all inputs have in common.
    Raises:
        ShapeError: a shape, dtype or device does not fit; the message names the mend.
    """
    device = b.device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return linear_scan(a, b, state, lengths, reset, reverse=reverse, initial=initial)
    check_numbers(a, b, state, initial)
    check_lengths(lengths, reset, b)
    dtype = torch.promote_types(a.dtype, b.dtype)
    for leaf in (state, initial):
        dtype = dtype if leaf is None else torch.promote_types(dtype, leaf.dtype)
    start = initial if state is None else state
    if b.numel() == 0:
        last = b.new_zeros(len(b), b.shape[2], dtype=dtype) if start is None else _row(start, b, dtype)
        return torch.zeros_like(b, dtype=dtype), last
    lengths, reset = simplify(lengths, reset, b.shape, b.device)
    wide = _WIDER.get(dtype, dtype)
    inputs = Inputs(
        _convert(_factors(a, b), wide),
        _convert(b, wide),
        None if start is None else _row(start, b, wide),
        None if initial is None or reset is None else _row(initial, b, wide),
        lengths,
        reset,
    )
    hs, last = operators.scan(inputs, reverse)
    return _convert(hs, dtype), _convert(last, dtype)


def linear_path(b: Tensor) -> Path:
    """Which kernel `linear_scan` takes for such a `b`, and why not a faster one.

    Under torch.compile it is an operator that chooses when it runs, so that no T is compiled anew.
    """
    return operators.choose(b, _WIDER.get(b.dtype, b.dtype))


def _factors(a: Tensor, b: Tensor) -> Tensor:
    """(B or 1, T or 1, D)."""
    if a.dim() < 3:
        a = a.reshape((1,) * (3 - a.dim()) + tuple(a.shape))
    return a if a.shape[2] == b.shape[2] else a.expand(-1, -1, b.shape[2])


def _row(leaf: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    return _convert(leaf, dtype).expand(b.shape[0], b.shape[2])


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype is dtype else tensor.to(dtype)  # to() alone takes as long as a short scan
