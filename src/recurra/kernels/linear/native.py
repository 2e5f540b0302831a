"""Calls of the C++ extension for linear recurrences."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.core.errors import ShapeError
from recurra.kernels import extension
from recurra.kernels.linear.formula import Gradients, Inputs

REAL = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}
"""The types that it takes, and the type of their parts."""
# The order of the integers that the extension takes.
_FIELDS = (
    *("B", "T", "D", "threads", "complex", "reverse"),
    *("a", "a_b", "a_t", "b", "b_b", "b_t", "h0", "h_init", "lengths", "reset"),
    *("h", "h_T"),
    *("dh", "dh_b", "dh_t", "dh_T", "da", "da_t", "db", "dh0", "dh_init"),
)
_NO_GRADIENTS = (0,) * (len(_FIELDS) - _FIELDS.index("dh"))


def _load() -> tuple[Any, str]:
    """The extension, or None and the reason why."""
    if extension.MISSING:
        return None, extension.MISSING
    native = importlib.import_module("recurra.kernels._native")
    if tuple(native.LINEAR_FIELDS) != _FIELDS:
        return None, "recurra's own kernels were built from another version: install recurra anew"
    return native, ""


_extension, MISSING = _load()


def forward(inputs: Inputs, reverse: bool) -> tuple[Tensor, Tensor]:
    """All h (B, T, D) and each row's last (B, D), by as many threads as torch has."""
    inputs = _arrange(inputs)
    b = inputs.b
    hs, last = b.new_empty(b.shape), b.new_empty(b.shape[0], b.shape[2])
    fields = (*_head(inputs, reverse), hs.data_ptr(), last.data_ptr(), *_NO_GRADIENTS)
    _extension.linear_forward(REAL[b.dtype] is torch.float64, fields)
    return hs, last


def backward(inputs: Inputs, reverse: bool, d_hs: Tensor | None, d_last: Tensor | None, needs_a: bool) -> Gradients:
    """`formula.gradients` in one pass."""
    inputs = _arrange(inputs._replace(b=_contiguous(inputs.b)))
    a, hs = inputs.a, inputs.b
    batch_size, num_steps, num_channels = hs.shape
    new = hs.new_empty
    found = Gradients(
        new(batch_size, a.shape[1], num_channels) if needs_a else None,
        new(hs.shape),
        new(batch_size, num_channels),
        None if inputs.reset is None else new(batch_size, num_channels),
    )
    d_hs = None if d_hs is None else _dense(d_hs)
    d_last = None if d_last is None else _contiguous(d_last)
    for name, tensor, shape in (("d_hs", d_hs, hs.shape), ("d_last", d_last, found.state.shape)):
        _check(name, tensor, shape, hs.dtype)
    fields = (
        *_head(inputs, reverse),
        *(hs.data_ptr(), 0),
        *((0, 0, 0) if d_hs is None else _place(d_hs)),
        *(_address(d_last), _address(found.a), a.shape[1] == num_steps, *map(_address, found[1:])),
    )
    _extension.linear_backward(REAL[hs.dtype] is torch.float64, fields)
    return found


def _head(inputs: Inputs, reverse: bool) -> tuple[int, ...]:
    """The fields from the first to `reset`, after a look at every tensor."""
    a, b, state, initial, lengths, reset = inputs
    batch_size, num_steps, num_channels = b.shape
    of_row = batch_size, num_channels
    if b.dtype not in REAL or (a.shape[0] != 1 and a.shape[0] != batch_size):
        raise ShapeError(_fault("a", a, tuple(b.shape)))
    _check("a", a, (a.shape[0], 1 if a.shape[1] == 1 else num_steps, num_channels), b.dtype)
    _check("b", b, b.shape, b.dtype)
    _check("state", state, of_row, b.dtype)
    _check("initial", initial, of_row, b.dtype)
    _check("lengths", lengths, (batch_size,), torch.int64)
    _check("reset", reset, (batch_size, num_steps), torch.bool)
    return (
        *(batch_size, num_steps, num_channels, torch.get_num_threads(), b.is_complex(), reverse),
        *(*_place(a), *_place(b), *map(_address, (state, initial, lengths, reset))),
    )


def _arrange(inputs: Inputs) -> Inputs:
    """The same numbers as the kernel wants them in memory."""
    a, b, *rest = inputs
    return Inputs(_dense(a), _dense(b), *[None if tensor is None else _contiguous(tensor) for tensor in rest])


def _dense(tensor: Tensor) -> Tensor:
    """With the last axis dense; other axes may be expanded."""
    tensor = tensor.resolve_conj().resolve_neg()
    return tensor if tensor.stride(2) == 1 or tensor.shape[2] == 1 else tensor.contiguous()


def _contiguous(tensor: Tensor) -> Tensor:
    return tensor.resolve_conj().resolve_neg().contiguous()


def _place(tensor: Tensor) -> tuple[int, int, int]:
    """Address and strides in scalars, 0 along an axis of one."""
    size_b, size_t, _ = tensor.shape
    stride_b, stride_t, _ = tensor.stride()
    scalars = 2 if tensor.is_complex() else 1
    return tensor.data_ptr(), scalars * stride_b if size_b > 1 else 0, scalars * stride_t if size_t > 1 else 0


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _check(name: str, tensor: Tensor | None, shape: Sequence[int], dtype: torch.dtype) -> None:
    if tensor is not None and (tensor.shape != shape or tensor.dtype is not dtype or not tensor.is_cpu):
        raise ShapeError(_fault(name, tensor, shape))


def _fault(name: str, tensor: Tensor, shape: Sequence[int]) -> str:
    return (
        f"recurra's kernel got `{name}` of shape {tuple(tensor.shape)}, {tensor.dtype}, on {tensor.device}: shape "
        f"{tuple(shape)}, all numbers of one type (float32, float64, complex64 or complex128), on the CPU, is wanted."
    )
