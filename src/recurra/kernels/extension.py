"""The C++ extension `recurra.kernels._native`: whether it is there, and its calls on tensors.

It takes raw addresses, so whatever it relies on is checked here.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.core.errors import ShapeError

KINDS = {"rnn_tanh": 0, "rnn_relu": 1, "rnn_sigmoid": 2, "lstm": 3, "gru": 4, "gru_reset_before": 5}
LSTM = KINDS["lstm"]
TYPES = (torch.float32, torch.float64)
_NUM_GATES = (1, 1, 1, 4, 3, 3)
_NORM_EPSILON = 1e-5
# The order of the integers that the extension takes; it names its own, so that a stale build is not used.
_FIELDS = (
    *("kind", "T", "B", "I", "H", "O", "threads", "coupled", "reverse", "save", "zoneout_draw", "seed"),
    *("x", "x_b", "x_t"),
    *("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole", "norm_ih", "norm_hh", "norm_c", "norm_c_bias"),
    *("h0", "c0", "h_init", "c_init", "lengths", "reset", "mask"),
    *("y", "h_T", "c_T", "gates", "cells", "hidden", "packed"),
    *("dy", "dy_b", "dy_t", "dh_T", "dc_T", "dx", "dh0", "dc0", "dh_init", "dc_init"),
    *("dw_ih", "dw_hh", "db_ih", "db_hh", "dw_hr", "dpeephole", "dnorm_ih", "dnorm_hh", "dnorm_c", "dnorm_c_bias"),
)
_NO_GRADIENTS = (0,) * (len(_FIELDS) - _FIELDS.index("dy"))


def _load() -> tuple[Any, str]:
    """The extension, or None and the reason why."""
    try:
        extension = importlib.import_module("recurra.kernels._native")
    except ImportError as error:
        return None, f"recurra's own kernels are not installed ({error})"
    if tuple(extension.FIELDS) != _FIELDS:
        return None, "recurra's own kernels were built from another version: install recurra anew"
    try:
        extension.isa()
    except (RuntimeError, ValueError) as error:
        warnings.warn(f"recurra's own kernels are not used: {error}", stacklevel=2)
        return None, f"recurra's own kernels are not used: {error}"
    return extension, ""


_extension, MISSING = _load()


class Options(NamedTuple):
    """What a scan does, in numbers.

    Attributes:
        kind: one of `KINDS`.
        coupled: LSTM: input gate = 1 - forget gate.
        reverse: run each row from its own last real step to its first.
        draws: zoneout draws units by the seed; else it takes the expectation.
        zoneout_h: probability that a unit of h keeps its old value.
        zoneout_c: of c.
        cell_clip: LSTM: bound of |c|; 0 for none.
    """

    kind: int
    coupled: bool
    reverse: bool
    draws: bool
    zoneout_h: float
    zoneout_c: float
    cell_clip: float


class Inputs(NamedTuple):
    """The tensors of a scan.

    Attributes:
        xs: (B, T, I).
        weight_ih: this and the other weights as the cells have them.
        h: (B, O) before the first step; None is zeros.
        c: (B, H), likewise, of an LSTM.
        h_initial: what a reset returns to, likewise.
        c_initial: likewise.
        mask: (B, O), multiplies h where it enters the recurrent product.
        lengths: (B,) int64.
        reset: (B, T) bool.
        seed: () int64, of zoneout's draws.
    """

    xs: Tensor
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    norm_ih: Tensor | None = None
    norm_hh: Tensor | None = None
    weight_hr: Tensor | None = None
    peephole: Tensor | None = None
    norm_c: Tensor | None = None
    norm_c_bias: Tensor | None = None
    h: Tensor | None = None
    c: Tensor | None = None
    h_initial: Tensor | None = None
    c_initial: Tensor | None = None
    mask: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None
    seed: Tensor | None = None


STATE = Inputs._fields.index("h")
"""Where the weights end, and the states begin."""
NUM_DIFFERENTIABLE = Inputs._fields.index("mask")
"""How many of the inputs get a gradient: the first ones."""


class Outputs(NamedTuple):
    """What a scan gives.

    Attributes:
        ys: (T, B, O), zero on padding.
        h: (B, O) after each row's last step.
        c: (B, H), likewise, of an LSTM; else None.
        gates: what `backward` needs, in the kernel's own order; None where nothing is saved.
        cells: likewise.
        hidden: likewise.
    """

    ys: Tensor
    h: Tensor
    c: Tensor | None
    gates: Tensor | None = None
    cells: Tensor | None = None
    hidden: Tensor | None = None


class _Sizes(NamedTuple):
    kind: int
    num_steps: int
    batch_size: int
    input_size: int
    hidden_size: int
    output_size: int


def forward(
    options: Options, inputs: Inputs, num_threads: int, *, save: bool = False, packed: Tensor | None = None
) -> Outputs:
    """Run a scan.

    Args:
        options: what to do.
        inputs: contiguous, but for `xs`, whose last axis alone must be dense.
        num_threads: how many at most.
        save: keep what `backward` needs.
        packed: `pack` of the same weights; not with `save`.
    Raises:
        ShapeError: a tensor of another shape, type or layout than wanted, or a length outside 0..T.
    """
    sizes = _check(options, inputs)
    outputs = new_outputs(options, inputs, save)
    if sizes.num_steps == 0 or sizes.batch_size == 0:
        _copy_state(inputs, outputs)
        return outputs
    fields = (
        *_head(options, inputs, sizes, num_threads, save),
        *map(_address, outputs),
        _address(packed),
        *_NO_GRADIENTS,
    )
    _extension.forward(_is_double(inputs), fields, _numbers(options))
    return outputs


def backward(
    options: Options,
    inputs: Inputs,
    num_threads: int,
    saved: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of the first `NUM_DIFFERENTIABLE` inputs; None where not needed.

    Args:
        options: as in `forward`.
        inputs: likewise.
        num_threads: likewise, as the order of what is saved hangs on it.
        saved: ys, gates, cells and hidden of `forward` with `save`.
        gradients: of ys, h and c; None is zeros.
        needed: of which inputs.
    """
    sizes = _check(options, inputs)
    found = new_gradients(inputs, needed)
    d_ys, d_h, d_c = (None if gradient is None else dense(gradient) for gradient in (*gradients, None)[:3])
    if sizes.num_steps == 0 or sizes.batch_size == 0:
        return _gradients_of_nothing(found, d_h, d_c)
    fields = (
        *_head(options, inputs, sizes, num_threads, save=True),
        *(_address(saved[0]), 0, 0, *map(_address, saved[1:]), 0),
        *((0, 0, 0) if d_ys is None else (d_ys.data_ptr(), d_ys.stride(1), d_ys.stride(0))),
        *(_address(d if d is None else d.contiguous()) for d in (d_h, d_c)),
        *map(_address, (found[0], *found[STATE:], *_weights_in_order(found))),
    )
    _extension.backward(_is_double(inputs), fields, _numbers(options))
    return found


def new_outputs(options: Options, inputs: Inputs, save: bool) -> Outputs:
    """Memory for what `forward` gives."""
    new, (batch_size, num_steps, _) = inputs.xs.new_empty, inputs.xs.shape
    hidden_size, output_size = _hidden_size(options, inputs), inputs.weight_hh.shape[1]
    ys, h = new(num_steps, batch_size, output_size), new(batch_size, output_size)
    c = new(batch_size, hidden_size) if options.kind == LSTM else None
    if not save:
        return Outputs(ys, h, c)
    keeps_hidden = inputs.weight_hr is not None or options.kind == KINDS["gru_reset_before"]
    return Outputs(
        ys,
        h,
        c,
        new(num_steps * batch_size, _columns(options, inputs)),
        new(num_steps * batch_size, hidden_size) if options.kind == LSTM else None,
        new(num_steps * batch_size, hidden_size) if keeps_hidden else None,
    )


def new_gradients(inputs: Inputs, needed: Sequence[bool]) -> list[Tensor | None]:
    """Memory for what `backward` gives."""
    new, (batch_size, num_steps, input_size) = inputs.xs.new_empty, inputs.xs.shape
    found = [
        new(tensor.shape) if wanted and tensor is not None else None
        for tensor, wanted in zip(inputs[:NUM_DIFFERENTIABLE], needed, strict=True)
    ]
    if needed[0]:
        found[0] = new(num_steps, batch_size, input_size).transpose(0, 1)
    return found


def pack(options: Options, inputs: Inputs, num_threads: int) -> Tensor:
    """The weights in the order in which `forward` reads them for these inputs and threads."""
    sizes = _check(options, inputs)
    fields = (*_head(options, inputs, sizes, num_threads, save=False), *[0] * 6)
    size = _extension.packed_size(_is_double(inputs), (*fields, 0, *_NO_GRADIENTS))
    packed = inputs.xs.new_empty(size)
    _extension.pack(_is_double(inputs), (*fields, packed.data_ptr(), *_NO_GRADIENTS), _numbers(options))
    return packed


def arrange(inputs: Inputs) -> Inputs:
    """The same numbers as the kernel wants them in memory."""
    others: Any = (t if t is None or t.is_contiguous() else t.contiguous() for t in inputs[1:])
    return Inputs(dense(inputs.xs), *others)


def require_extension() -> None:
    """Refuse to go on without it.

    Raises:
        RuntimeError: says what is missing.
    """
    if MISSING:
        raise RuntimeError(f"this program was compiled or exported for them, but {MISSING}.")


def dense(tensor: Tensor) -> Tensor:
    """The same numbers with the last axis dense and none repeated, the other strides as they are."""
    strides = tensor.stride()
    if (strides[-1] != 1 and tensor.shape[-1] > 1) or 0 in strides or tensor.is_neg():
        return tensor.resolve_neg().contiguous()
    return tensor


def _head(options: Options, inputs: Inputs, sizes: _Sizes, num_threads: int, save: bool) -> tuple[int, ...]:
    """The fields from the first to `mask`."""
    xs, seed = inputs.xs, inputs.seed
    states = (inputs.h, inputs.c, inputs.h_initial, inputs.c_initial)
    return (
        *sizes,
        num_threads,
        options.coupled,
        options.reverse,
        save,
        options.draws,
        0 if seed is None else int(seed),
        xs.data_ptr(),
        xs.stride(0),
        xs.stride(1),
        *map(_address, (*_weights_in_order(inputs), *states, inputs.lengths, inputs.reset, inputs.mask)),
    )


def _weights_in_order(tensors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The weights, or their gradients, of tensors in the order of `Inputs`, in the order of the fields."""
    return *tensors[1:5], *tensors[7:9], *tensors[5:7], *tensors[9:STATE]


def _numbers(options: Options) -> tuple[float, float, float, float]:
    return options.zoneout_h, options.zoneout_c, options.cell_clip, _NORM_EPSILON


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _is_double(inputs: Inputs) -> bool:
    return inputs.xs.dtype == torch.float64


def _hidden_size(options: Options, inputs: Inputs) -> int:
    return inputs.weight_hh.shape[0] // (_NUM_GATES[options.kind] - options.coupled)


def _copy_state(inputs: Inputs, outputs: Outputs) -> None:
    """Without a step the state stays as it is."""
    for before, after in ((inputs.h, outputs.h), (inputs.c, outputs.c)):
        if after is not None:
            after.zero_() if before is None else after.copy_(before)


def _gradients_of_nothing(found: list[Tensor | None], *d_state: Tensor | None) -> list[Tensor | None]:
    """Without a step only the state's gradient goes through."""
    for tensor in found:
        if tensor is not None:
            tensor.zero_()
    for target, gradient in zip(found[STATE:], d_state, strict=False):
        if target is not None and gradient is not None:
            target.copy_(gradient)
    return found


def _columns(options: Options, inputs: Inputs) -> int:
    """Of `Outputs.gates`."""
    is_projected, is_normed = inputs.weight_hr is not None, inputs.norm_ih is not None
    return _known_columns(options.kind, options.coupled, int(_hidden_size(options, inputs)), is_projected, is_normed)


@lru_cache(maxsize=256)
def _known_columns(kind: int, coupled: bool, hidden_size: int, is_projected: bool, is_normed: bool) -> int:
    given = {"kind": kind, "coupled": coupled, "H": hidden_size, "w_hr": is_projected, "norm_ih": is_normed}
    return int(_extension.saved_columns(tuple(given.get(name, 0) for name in _FIELDS)))


def _check(options: Options, inputs: Inputs) -> _Sizes:
    """The sizes of a scan, after a look at every tensor.

    Raises:
        ShapeError: one does not fit.
    """
    batch_size, num_steps, input_size = inputs.xs.shape
    num_rows, output_size = inputs.weight_hh.shape
    hidden_size = _hidden_size(options, inputs)
    wanted = (
        (batch_size, num_steps, input_size),
        *_weight_shapes(num_rows, input_size, hidden_size, output_size),
        *((batch_size, output_size), (batch_size, hidden_size)) * 2,
        (batch_size, output_size),
        (batch_size,),
        (batch_size, num_steps),
        (),
    )
    for index, (tensor, shape) in enumerate(zip(inputs, wanted, strict=True)):
        if tensor is not None and (
            tensor.shape != shape
            or tensor.dtype != _OTHER_TYPES.get(index, inputs.xs.dtype)
            or not tensor.is_cpu
            or not (tensor.is_contiguous() or index == 0)
        ):
            raise ShapeError(_fault(Inputs._fields[index], tensor, shape))
    if inputs.xs.dtype not in TYPES or dense(inputs.xs) is not inputs.xs:
        raise ShapeError(_fault("xs", inputs.xs, wanted[0]))
    if inputs.weight_hr is None and output_size != hidden_size:
        raise ShapeError(_fault("weight_hh", inputs.weight_hh, (num_rows, hidden_size)))
    if inputs.lengths is not None and batch_size > 0:
        shortest, longest = inputs.lengths.aminmax()
        if not 0 <= int(shortest) <= int(longest) <= num_steps:
            raise ShapeError(f"recurra's kernel got `lengths` from {shortest} to {longest}: 0..{num_steps} is wanted.")
    return _Sizes(options.kind, num_steps, batch_size, input_size, hidden_size, output_size)


_OTHER_TYPES = {
    Inputs._fields.index("lengths"): torch.int64,
    Inputs._fields.index("reset"): torch.bool,
    Inputs._fields.index("seed"): torch.int64,
}


@lru_cache(maxsize=256)
def _weight_shapes(num_rows: int, input_size: int, hidden_size: int, output_size: int) -> tuple[tuple[int, ...], ...]:
    """Of weight_ih to norm_c_bias."""
    row, of_cell = (num_rows,), (hidden_size,)
    projection, peephole = (output_size, hidden_size), (num_rows - hidden_size,)
    return (num_rows, input_size), (num_rows, output_size), *[row] * 4, projection, peephole, of_cell, of_cell


def _fault(name: str, tensor: Tensor, shape: tuple[int, ...]) -> str:
    return (
        f"recurra's kernel got `{name}` of shape {tuple(tensor.shape)}, {tensor.dtype} on {tensor.device}, strides "
        f"{tensor.stride()}: shape {shape} in one precision, dense, on the CPU, is wanted."
    )
