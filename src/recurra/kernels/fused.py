"""Torch's fused LSTM, GRU and RNN (one layer, one direction), made to honour lengths and resets without packing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.core.sequences import mask_from_lengths
from recurra.core.state import State, leaves, where
from recurra.kernels.blanks import Spread
from recurra.kernels.dispatch import takes
from recurra.kernels.pieces import Pieces
from recurra.kernels.rows import clear_padding, flip, flip_reset, last_step

# Added to the gates before their sigmoid, it gives exactly 0 or 1, and a derivative of exactly 0, in every precision;
# float16 holds it.
_SATURATED = 1e4


class Fused(NamedTuple):
    """A fused kernel and its weights.

    Attributes:
        name: what torch calls it: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        weights: weight_ih, weight_hh, then bias_ih and bias_hh where there are biases, then weight_hr where projected.
        has_biases: whether there are biases.
    """

    name: str
    weights: list[Tensor]
    has_biases: bool


def scan(
    kernel: Fused,
    xs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    initial: State | None = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """`reference.scan` of the cell that `kernel` is, with inputs (B, T, input_size) that may hold NaN on padding."""
    if lengths is None and reset is None and not reverse:
        return _run(kernel, xs, state)
    xs = clear_padding(xs, lengths)
    if reverse:
        xs = flip(xs, lengths)
        reset = None if reset is None else flip_reset(reset, lengths)
    if reset is None:
        ys, state = _run_padded(kernel, xs, state, lengths)
    else:
        assert initial is not None, "a reset needs the state to return to"
        ys, state = _run_with_resets(kernel, xs, state, lengths, reset, initial)
    return (flip(ys, lengths) if reverse else ys), state


def _run(kernel: Fused, xs: Tensor, state: State) -> tuple[Tensor, State]:
    """Whole rows, no resets: one call of torch."""
    if xs.is_cuda:
        with warnings.catch_warnings():
            # cuDNN would have all weights in one piece of memory; to copy them together at each call costs little.
            warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
            return _call(kernel, xs, state)
    device = xs.device.type
    if torch.is_autocast_enabled(device) and not takes(kernel.name, torch.get_autocast_dtype(device), xs.device):
        with torch.autocast(device, enabled=False):
            return _call(kernel, xs.to(kernel.weights[0].dtype), state)
    return _call(kernel, xs, state)


def _call(kernel: Fused, xs: Tensor, state: State) -> tuple[Tensor, State]:
    before = [leaf[None].contiguous() for leaf in leaves(state)]
    # cuDNN keeps what backward needs only in its training mode, which does nothing else without dropout.
    options = (kernel.has_biases, 1, 0.0, torch.is_grad_enabled(), False, True)
    if kernel.name == "lstm":
        if len(kernel.weights) % 2 and xs.device.type == "cpu":
            ys, h, c = _run_projected(kernel, xs, before)
        else:
            ys, h, c = torch.lstm(xs, before, kernel.weights, *options)
        return ys, (h[0].to(before[0].dtype), c[0].to(before[1].dtype))
    function: Callable[..., Any] = getattr(torch, kernel.name)
    ys, h = function(xs, before[0], kernel.weights, *options)
    return ys, h[0].to(before[0].dtype)


def _run_projected(kernel: Fused, xs: Tensor, before: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """A projected LSTM on a CPU, in torch's form for packed rows, which does not warn that oneDNN has none."""
    batch_size, num_steps = xs.shape[:2]
    steps = xs.transpose(0, 1).reshape(batch_size * num_steps, xs.shape[2])
    sizes = torch.full((num_steps,), batch_size)
    options = (kernel.has_biases, 1, 0.0, torch.is_grad_enabled(), False)
    ys, h, c = torch.lstm(steps, sizes, before, kernel.weights, *options)
    return ys.reshape(num_steps, batch_size, ys.shape[1]).transpose(0, 1), h, c


def _run_padded(
    kernel: Fused, xs: Tensor, state: State, lengths: Tensor | None, blank: Tensor | None = None
) -> tuple[Tensor, State]:
    """Rows with zeros on padding, no resets: outputs before the padding don't depend on it, h is looked up there.

    Args:
        kernel: the kernel.
        xs: (B, T, input_size).
        state: before the first step.
        lengths: (B,), or None.
        blank: (B, T) bool, True on steps (with zeros in `xs`) that put the state to zero, or None.
    """
    padding = None
    if lengths is not None:
        padding = ~mask_from_lengths(lengths, xs.shape[0], xs.shape[1], xs.device)
    columns = [] if blank is None else [(_forgetting_column(kernel), blank)]
    if padding is not None and kernel.name == "lstm":
        columns.append((_freezing_column(kernel), padding))
    if padding is not None and kernel.name == "rnn_relu":
        # Else h could grow without bound on padding, and infinity times a gradient of 0 is NaN.
        columns.append((_forgetting_column(kernel), padding))
    if columns:
        weight_ih = torch.cat([kernel.weights[0], *(column for column, _ in columns)], 1)
        kernel = kernel._replace(weights=[weight_ih, *kernel.weights[1:]])
        xs = torch.cat([xs, *(flag[..., None].to(xs.dtype) for _, flag in columns)], 2)
    ys, after = _run(kernel, xs, state)
    if lengths is None or padding is None:
        return ys, after
    ys = ys.masked_fill(padding[..., None], 0)
    h_before = next(leaves(state))
    h = last_step(ys, lengths, h_before).to(h_before.dtype)
    return ys, ((h, after[1]) if kernel.name == "lstm" else h)


def _freezing_column(kernel: Fused) -> Tensor:
    """Weights (4H, 1) of an input that, where it is 1, shuts an LSTM's input gate and opens its forget gate."""
    column = kernel.weights[0].new_zeros(4, kernel.weights[0].shape[0] // 4, 1)
    column[0], column[1] = -_SATURATED, _SATURATED
    return column.reshape(-1, 1)


def _forgetting_column(kernel: Fused) -> Tensor:
    """Weights (4H, 3H or H, 1) of an input that, where it is 1 and the others 0, puts the state to exactly 0.

    It shuts the input, forget and output gates of an LSTM. In a GRU it shuts both gates and takes the bias away from
    the candidate, whose tanh is 0 then. It keeps all units of a relu network below 0.
    """
    weight_ih = kernel.weights[0]
    if kernel.name == "rnn_relu":
        return weight_ih.new_full((weight_ih.shape[0], 1), torch.finfo(weight_ih.dtype).min / 4)
    if kernel.name == "lstm":
        column = weight_ih.new_full((4, weight_ih.shape[0] // 4, 1), -_SATURATED)
        column[2] = 0
        return column.reshape(-1, 1)
    size = weight_ih.shape[0] // 3
    candidate = -kernel.weights[2][2 * size :] if kernel.has_biases else weight_ih.new_zeros(size)
    return torch.cat([weight_ih.new_full((2 * size,), -_SATURATED), candidate])[:, None]


def _run_with_resets(
    kernel: Fused, xs: Tensor, state: State, lengths: Tensor | None, reset: Tensor, initial: State
) -> tuple[Tensor, State]:
    """Rows with zeros on padding and resets: by blank steps where a reset returns to zeros, else by cutting."""
    if kernel.name != "rnn_tanh" and not any(leaf.requires_grad or leaf.any() for leaf in leaves(initial)):
        started = where(reset[:, 0] if lengths is None else reset[:, 0] & (lengths > 0), initial, state)
        rows = Spread.before(reset, lengths)
        ys, after = _run_padded(kernel, rows.spread(xs), started, rows.lengths, rows.blank)
        return rows.gather(ys), after
    return _run_pieces(kernel, xs, state, Pieces.cut(reset, lengths), initial)


def _run_pieces(kernel: Fused, xs: Tensor, state: State, pieces: Pieces, initial: State) -> tuple[Tensor, State]:
    """Rows cut at their resets; each piece is a row of a larger batch."""
    state = where(pieces.fresh_start, initial, state)
    outputs, states = [], []
    for group in pieces.groups:
        piece_xs = clear_padding(pieces.take(xs, group), group.lengths)
        before = pieces.take_state(group, state, initial)
        ys, after = _run_padded(kernel, piece_xs, before, group.lengths)
        outputs.append(ys.reshape(-1, ys.shape[2]))
        states.append(after)
    return pieces.join(outputs), pieces.join_states(states)
