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
from recurra.core.state import State

KINDS = {"rnn_tanh": 0, "rnn_relu": 1, "rnn_sigmoid": 2, "lstm": 3, "gru": 4, "gru_reset_before": 5}
LSTM = KINDS["lstm"]
WRONG_ROWS, CHANGED_WEIGHTS = 1, 2
TYPES = (torch.float32, torch.float64)
_NUM_GATES = (1, 1, 1, 4, 3, 3)
_NORM_EPSILON = 1e-5
# The order of the integers that the extension takes; it names its own, so that a stale build is not used.
_FIELDS = (
    *("kind", "T", "B", "I", "H", "O", "threads", "coupled", "reverse", "save", "zoneout_draw", "seed"),
    *("x", "x_b", "x_t"),
    *("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole", "norm_ih", "norm_hh", "norm_c", "norm_c_bias"),
    *("h0", "c0", "h_init", "c_init", "lengths", "reset", "mask"),
    *("y", "h_T", "c_T", "gates", "cells", "hidden", "packed", "packed_half"),
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
    if tuple(extension.FIELDS) != _FIELDS or not hasattr(extension, "Step"):
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


class Sizes(NamedTuple):
    """What kind of scan it is, and how large: T, B, I, H, O."""

    kind: int
    num_steps: int
    batch_size: int
    input_size: int
    hidden_size: int
    output_size: int


class Call(NamedTuple):
    """A forward call of which only `xs`, h and c change, with what stays prepared.

    Attributes:
        options: as in `forward`.
        sizes: likewise.
        num_threads: likewise.
        shape: of `xs`.
        dtype: of all numbers.
        parts: the extension's fields before, between and behind the addresses that change.
        numbers: its numbers.
    """

    options: Options
    sizes: Sizes
    num_threads: int
    shape: tuple[int, int, int]
    dtype: torch.dtype
    parts: tuple[tuple[int, ...], ...]
    numbers: tuple[float, ...]

    @staticmethod
    def of(options: Options, sizes: Sizes, inputs: Inputs, num_threads: int, packed: Tensor) -> Call | None:
        """The call; None where more changes, or `xs` is not contiguous."""
        xs, dtype = inputs.xs, inputs.xs.dtype
        if inputs.h is None or not xs.is_contiguous() or any(tensor is not None for tensor in inputs[STATE + 2 :]):
            return None
        x, h, y = (_FIELDS.index(name) for name in ("x", "h0", "y"))
        fields = (*_head(options, sizes, inputs, num_threads, False), *[0] * 6, packed.data_ptr(), 0, *_NO_GRADIENTS)
        parts = fields[:x], fields[x + 1 : h], fields[h + 2 : y], fields[y + 3 :]
        shape = sizes.batch_size, sizes.num_steps, sizes.input_size
        return Call(options, sizes, num_threads, shape, dtype, parts, _numbers(options))

    def fits(self, xs: Tensor, state: State, reverse: bool) -> bool:
        """Whether these could be the inputs."""
        h, c = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        sizes = self.sizes
        return (
            reverse == self.options.reverse
            and self._is_like(xs, self.shape)
            and self._is_like(h, (sizes.batch_size, sizes.output_size))
            and (c is None if sizes.kind != LSTM else self._is_like(c, (sizes.batch_size, sizes.hidden_size)))
            and torch.get_num_threads() == self.num_threads
        )

    def run(self, xs: Tensor, state: Any) -> Outputs:
        """The call on inputs that fit."""
        sizes, (before, between, behind, after) = self.sizes, self.parts
        h, c = state if sizes.kind == LSTM else (state, None)
        ys = xs.new_empty(sizes.num_steps, sizes.batch_size, sizes.output_size)
        outputs = Outputs(ys, h.new_empty(h.shape), None if c is None else c.new_empty(c.shape))
        fields = (
            *(*before, xs.data_ptr(), *between, h.data_ptr(), _address(c), *behind),
            *(ys.data_ptr(), outputs.h.data_ptr(), _address(outputs.c), *after),
        )
        _extension.forward(self.dtype is torch.float64, fields, self.numbers)
        return outputs

    def _is_like(self, tensor: Any, shape: tuple[int, ...]) -> bool:
        return (
            type(tensor) is Tensor
            and tensor.shape == shape
            and tensor.dtype is self.dtype
            and tensor.is_cpu
            and tensor.is_contiguous()
            and not tensor.is_neg()
        )


def prepare(options: Options, inputs: Inputs) -> tuple[Sizes, Inputs]:
    """Check all that the extension relies on, and lay the tensors out as it wants them.

    Args:
        options: of the scan.
        inputs: its tensors.
    Returns:
        The sizes; tensors that are contiguous, but for `xs`, whose last axis alone is dense.
    Raises:
        ShapeError: a shape, type or device that does not fit, or a length outside 0..T.
    """
    sizes, like = sizes_of(options, inputs), inputs.xs.dtype
    shapes = _shapes(sizes, inputs.weight_hh.shape[0])
    prepared: list[Any] = []
    for tensor, shape, other in zip(inputs, shapes, _OTHER_TYPES, strict=True):
        if tensor is not None:
            if tensor.shape != shape or tensor.dtype is not (other or like) or not tensor.is_cpu:
                raise ShapeError(_fault(len(prepared), tensor, shape))
            if not tensor.is_contiguous() and tensor is not inputs.xs:
                tensor = tensor.contiguous()
        prepared.append(tensor)
    if like not in TYPES or (inputs.weight_hr is None and sizes.output_size != sizes.hidden_size):
        raise ShapeError(_fault(2, inputs.weight_hh, (inputs.weight_hh.shape[0], sizes.hidden_size)))
    if inputs.lengths is not None:
        _check_lengths(inputs.lengths, sizes.num_steps)
    prepared[0] = _dense(inputs.xs)
    return sizes, Inputs(*prepared)


def sizes_of(options: Options, inputs: Inputs) -> Sizes:
    """The sizes, unchecked."""
    batch_size, num_steps, input_size = inputs.xs.shape
    num_rows, output_size = inputs.weight_hh.shape
    hidden_size = num_rows // (_NUM_GATES[options.kind] - options.coupled)
    return Sizes(options.kind, num_steps, batch_size, input_size, hidden_size, output_size)


def forward(
    options: Options,
    sizes: Sizes,
    inputs: Inputs,
    num_threads: int,
    *,
    save: bool = False,
    packed: Tensor | None = None,
) -> Outputs:
    """Run a scan.

    Args:
        options: what to do.
        sizes: of `prepare`.
        inputs: likewise.
        num_threads: how many at most.
        save: keep what `backward` needs.
        packed: `pack` of the same weights; not with `save`.
    """
    outputs = new_outputs(options, sizes, inputs, save)
    if sizes.num_steps == 0 or sizes.batch_size == 0:
        _copy_state(inputs, outputs)
        return outputs
    head = _head(options, sizes, inputs, num_threads, save)
    fields = (*head, *map(_address, outputs), _address(packed), 0, *_NO_GRADIENTS)
    _extension.forward(inputs.xs.dtype is torch.float64, fields, _numbers(options))
    return outputs


def backward(
    options: Options,
    sizes: Sizes,
    inputs: Inputs,
    num_threads: int,
    saved: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of the first `NUM_DIFFERENTIABLE` inputs; None where not needed.

    Args:
        options: as in `forward`.
        sizes: likewise.
        inputs: likewise.
        num_threads: likewise, as the order of what is saved hangs on it.
        saved: ys, gates, cells and hidden of `forward` with `save`.
        gradients: of ys, h and c; None is zeros.
        needed: of which inputs.
    """
    found = new_gradients(sizes, inputs, needed)
    d_ys, *d_state = (None if gradient is None else _dense(gradient) for gradient in (*gradients, None)[:3])
    d_h, d_c = (None if d is None else d.contiguous() for d in d_state)  # kept by name for as long as the call lasts
    if sizes.num_steps == 0 or sizes.batch_size == 0:
        return _gradients_of_nothing(found, d_h, d_c)
    fields = (
        *_head(options, sizes, inputs, num_threads, save=True),
        *(_address(saved[0]), 0, 0, *map(_address, saved[1:]), 0, 0),
        *((0, 0, 0) if d_ys is None else (d_ys.data_ptr(), d_ys.stride(1), d_ys.stride(0))),
        *map(_address, (d_h, d_c, found[0], *found[STATE:], *_weights_in_order(found))),
    )
    _extension.backward(inputs.xs.dtype is torch.float64, fields, _numbers(options))
    return found


def pack(options: Options, sizes: Sizes, inputs: Inputs, num_threads: int) -> Tensor:
    """The weights in the order in which `forward` reads them for these sizes and threads."""
    is_double, rest = inputs.xs.dtype is torch.float64, (0,) * 6
    head = _head(options, sizes, inputs, num_threads, save=False)
    packed = inputs.xs.new_empty(_extension.packed_size(is_double, (*head, *rest, 0, 0, *_NO_GRADIENTS)))
    _extension.pack(is_double, (*head, *rest, packed.data_ptr(), 0, *_NO_GRADIENTS), _numbers(options))
    return packed


def new_outputs(options: Options, sizes: Sizes, inputs: Inputs, save: bool) -> Outputs:
    """Memory for what `forward` gives."""
    kind, num_steps, batch_size, _, hidden_size, output_size = sizes
    new = inputs.xs.new_empty
    ys, h = new(num_steps, batch_size, output_size), new(batch_size, output_size)
    c = new(batch_size, hidden_size) if kind == LSTM else None
    if not save:
        return Outputs(ys, h, c)
    num_rows, keeps_hidden = num_steps * batch_size, inputs.weight_hr is not None or kind == KINDS["gru_reset_before"]
    return Outputs(
        ys,
        h,
        c,
        new(num_rows, _num_columns(options, sizes, inputs)),
        new(num_rows, hidden_size) if kind == LSTM else None,
        new(num_rows, hidden_size) if keeps_hidden else None,
    )


def new_gradients(sizes: Sizes, inputs: Inputs, needed: Sequence[bool]) -> list[Tensor | None]:
    """Memory for what `backward` gives."""
    found = [
        tensor.new_empty(tensor.shape) if wanted and tensor is not None else None
        for tensor, wanted in zip(inputs[:NUM_DIFFERENTIABLE], needed, strict=True)
    ]
    if needed[0]:
        found[0] = inputs.xs.new_empty(sizes.num_steps, sizes.batch_size, sizes.input_size).transpose(0, 1)
    return found


def prepare_steps(
    layers: Sequence[tuple[Options, Inputs, Tensor, bool]], num_threads: int, bfloat16: bool
) -> tuple[Any, list[Inputs]]:
    """One step of a stack, over and over: `run(address of x, its row stride, N, address of N rows)`.

    It does nothing and returns `WRONG_ROWS` where a row is not there or is named twice, or `CHANGED_WEIGHTS` where some
    numbers of the weights are not what they were, else 0.

    Args:
        layers: of each its options; its inputs, of which `xs` (B, 1, I) is memory for them, and `h` and `c` are the
            states, which a step changes; memory (B, O) for its outputs, which is the next one's for its inputs; whether
            the inputs are added to the outputs.
        num_threads: how many at most.
        bfloat16: keep the matrices in bfloat16; the inputs must be float32.
    Returns:
        The step; what it reads and writes besides the outputs, to be kept for as long.
    Raises:
        ShapeError: as `prepare`.
    """
    described, kept = [], []
    for options, given, ys, adds_input in layers:
        sizes, inputs = prepare(options, given)
        head = _head(options, sizes, inputs, num_threads, save=False)
        fields = *head, *map(_address, (ys, inputs.h, inputs.c)), *(0,) * 4, int(bfloat16), *_NO_GRADIENTS
        described.append((fields, _numbers(options), adds_input))
        kept.append(inputs)
    return _extension.Step(kept[0].xs.dtype is torch.float64, described), kept


def require() -> None:
    """Refuse to go on without the extension.

    Raises:
        RuntimeError: says why it is not there.
    """
    if MISSING:
        raise RuntimeError(f"this was compiled or exported with recurra's own kernels, but {MISSING}.")


def _head(options: Options, sizes: Sizes, inputs: Inputs, num_threads: int, save: bool) -> tuple[int, ...]:
    """The fields from the first to `mask`."""
    xs, seed = inputs.xs, inputs.seed
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
        *map(_address, _weights_in_order(inputs)),
        *map(_address, inputs[STATE:NUM_DIFFERENTIABLE]),
        _address(inputs.lengths),
        _address(inputs.reset),
        _address(inputs.mask),
    )


def _weights_in_order(tensors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Of tensors in the order of `Inputs`, the weights or their gradients in the order of the fields."""
    return *tensors[1:5], *tensors[7:9], *tensors[5:7], *tensors[9:STATE]


def _numbers(options: Options) -> tuple[float, float, float, float]:
    return options.zoneout_h, options.zoneout_c, options.cell_clip, _NORM_EPSILON


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _dense(tensor: Tensor) -> Tensor:
    """The same numbers with the last axis dense and none repeated, the other strides as they are."""
    if tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    strides = tensor.stride()
    if (strides[-1] != 1 and tensor.shape[-1] > 1) or 0 in strides or tensor.is_neg():
        return tensor.resolve_neg().contiguous()
    return tensor


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


def _num_columns(options: Options, sizes: Sizes, inputs: Inputs) -> int:
    """Of `Outputs.gates`."""
    is_projected, is_normed = inputs.weight_hr is not None, inputs.norm_ih is not None
    return _known_columns(sizes.kind, options.coupled, int(sizes.hidden_size), is_projected, is_normed)


@lru_cache(maxsize=256)
def _known_columns(kind: int, is_coupled: bool, hidden_size: int, is_projected: bool, is_normed: bool) -> int:
    given = {"kind": kind, "coupled": is_coupled, "H": hidden_size, "w_hr": is_projected, "norm_ih": is_normed}
    return int(_extension.saved_columns(tuple(given.get(name, 0) for name in _FIELDS)))


@lru_cache(maxsize=1024)
def _shapes(sizes: Sizes, num_rows: int) -> tuple[tuple[int, ...], ...]:
    """Of all inputs."""
    _, num_steps, batch_size, input_size, hidden_size, output_size = sizes
    row, of_h, of_c = (num_rows,), (batch_size, output_size), (batch_size, hidden_size)
    return (
        (batch_size, num_steps, input_size),
        (num_rows, input_size),
        (num_rows, output_size),
        *[row] * 4,
        (output_size, hidden_size),
        (num_rows - hidden_size,),
        (hidden_size,),
        (hidden_size,),
        *[of_h, of_c] * 2,
        of_h,
        (batch_size,),
        (batch_size, num_steps),
        (),
    )


_OTHER_TYPES = tuple({"lengths": torch.int64, "reset": torch.bool, "seed": torch.int64}.get(n) for n in Inputs._fields)


def _check_lengths(lengths: Tensor, num_steps: int) -> None:
    if len(lengths) > 0:
        shortest, longest = map(int, lengths.aminmax())
        if not 0 <= shortest <= longest <= num_steps:
            raise ShapeError(f"recurra's kernel got lengths from {shortest} to {longest}: 0..{num_steps} is wanted.")


def _fault(index: int, tensor: Tensor, shape: tuple[int, ...]) -> str:
    return (
        f"recurra's kernel got `{Inputs._fields[index]}` of shape {tuple(tensor.shape)}, {tensor.dtype}, on "
        f"{tensor.device}: shape {shape}, all numbers in one precision (float32 or float64), on the CPU, is wanted."
    )
