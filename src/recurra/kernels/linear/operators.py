"""The linear recurrence with its gradients: in one pass of C++ where that is there, else step after step.

Two operators of torch's, for torch.compile, torch.export, vmap and modes that watch operators: opaque, functional, for
any B and T. And an autograd function beside them, which takes less time where none of these is at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from recurra.kernels import dispatch
from recurra.kernels.dispatch import Path, in_functorch
from recurra.kernels.linear import formula, native
from recurra.kernels.linear.checks import check_range
from recurra.kernels.linear.formula import Gradients, Inputs

_PLAIN = {Tensor, nn.Parameter, nn.Buffer, type(None)}
_INPUTS = "Tensor a, Tensor {}, Tensor? state, Tensor? initial, Tensor? lengths, Tensor? reset, bool reverse"
_NUM_INPUTS = len(Inputs._fields)


def choose(b: Tensor, dtype: torch.dtype) -> Path:
    """The kernel for numbers of `dtype` on the device of `b`, and why."""
    real = native.REAL.get(dtype, dtype)
    return dispatch.choose(native.MISSING, lambda: ("", "torch has no kernel for linear recurrences"), b, real)


def scan(inputs: Inputs, reverse: bool) -> tuple[Tensor, Tensor]:
    """All h (B, T, D) and each row's last (B, D)."""
    if torch.compiler.is_compiling():
        # Torch knows no rule of an operator for forward mode, and would give zeros in silence.
        has_rule = not in_functorch() and forward_ad._current_level < 0
        return _by_operator(inputs, reverse) if has_rule else formula.loop(inputs, reverse)
    if choose(inputs.b, inputs.b.dtype).name != "native":
        return formula.loop(inputs, reverse)
    if _is_watched(inputs):
        return _by_operator(inputs, reverse)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs[:4]):
        hs, last = _LinearScan.apply(reverse, *inputs)  # type: ignore[no-untyped-call]
        return hs, last
    return native.forward(inputs, reverse)


def _by_operator(inputs: Inputs, reverse: bool) -> tuple[Tensor, Tensor]:
    """The operator chooses the kernel when it runs."""
    hs, last = torch.ops.recurra.linear_scan.default(*inputs, reverse)
    return hs, last


def _is_watched(inputs: Inputs) -> bool:
    """Whether somebody wants to see operators."""
    if torch.compiler.is_compiling() or in_functorch() or torch._C._len_torch_dispatch_stack():
        return True
    return not _PLAIN.issuperset(map(type, inputs))


def _is_mapped(gradient: Tensor | None) -> bool:
    """By `torch.autograd.grad(..., is_grads_batched=True)`, whose vmap is an older one."""
    return gradient is not None and bool(torch._C._functorch.is_legacy_batchedtensor(gradient))


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, reverse: bool, *tensors: Any) -> tuple[Tensor, Tensor]:
        inputs = Inputs(*tensors)
        hs, last = native.forward(inputs, reverse)
        ctx.save_for_backward(*inputs._replace(b=hs))
        ctx.set_materialize_grads(False)
        ctx.reverse = reverse
        return hs, last

    @staticmethod
    def backward(ctx: Any, d_hs: Tensor | None, d_last: Tensor | None) -> tuple[Any, ...]:
        inputs, (_, *needed) = Inputs(*ctx.saved_tensors), ctx.needs_input_grad
        if torch.is_grad_enabled() or _is_watched(inputs) or _is_mapped(d_hs) or _is_mapped(d_last):
            return None, *_gradients(inputs, ctx.reverse, d_hs, d_last, needed)
        return None, *_select(inputs, native.backward(inputs, ctx.reverse, d_hs, d_last, needed[0]), needed)


def _gradients(
    inputs: Inputs, reverse: bool, d_hs: Tensor | None, d_last: Tensor | None, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients of the inputs by the operator, which can be differentiated again."""
    arguments = (d_hs, d_last, needed[0], *inputs, reverse)
    d_a, d_b, d_state, d_initial = torch.ops.recurra.linear_scan_backward.default(*arguments)
    found = Gradients(d_a, d_b, d_state, None if inputs.reset is None else d_initial)
    return _select(inputs, found, needed)


def _select(inputs: Inputs, found: Gradients, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs, None where not needed."""
    d_a = found.a if needed[0] else None
    if d_a is not None and inputs.a.shape[0] != d_a.shape[0]:
        d_a = d_a.sum(0, keepdim=True)
    rest = (tensor if flag else None for tensor, flag in zip(found[1:], needed[1:], strict=False))
    return d_a, *rest, None, None


def _resolved(arguments: Sequence[Any]) -> Inputs:
    tensors: list[Any] = list(map(_resolve, arguments[:_NUM_INPUTS]))
    return Inputs(*tensors)


def _resolve(tensor: Tensor | None) -> Tensor | None:
    """See `formula._conjugate`."""
    return None if tensor is None else tensor.resolve_conj().resolve_neg()


def _forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    inputs, reverse = _resolved(arguments), arguments[_NUM_INPUTS]
    if inputs.lengths is not None:  # where the caller compiled, nobody has looked at them yet
        check_range(inputs.lengths, inputs.b.shape[1])
    if choose(inputs.b, inputs.b.dtype).name == "native":
        return native.forward(inputs, reverse)
    return formula.loop(inputs, reverse)


def _fake_forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    b = arguments[1]
    return b.new_empty(b.shape), b.new_empty(b.shape[0], b.shape[2])


def _backward(
    d_hs: Tensor | None, d_last: Tensor | None, needs_a: bool, *arguments: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs, reverse = _resolved(arguments), arguments[_NUM_INPUTS]
    d_hs, d_last = _resolve(d_hs), _resolve(d_last)
    if choose(inputs.b, inputs.b.dtype).name == "native":
        found = native.backward(inputs, reverse, d_hs, d_last, needs_a)
    else:
        found = formula.gradients(formula.loop, inputs, reverse, d_hs, d_last)
    nothing = inputs.b.new_empty(len(inputs.b), 0)
    return (
        found.a if needs_a and found.a is not None else nothing.clone(),
        found.b,
        found.state,
        nothing if found.initial is None else found.initial,
    )


def _fake_backward(
    d_hs: Tensor | None, d_last: Tensor | None, needs_a: bool, a: Tensor, hs: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    new, (batch_size, _, num_channels) = hs.new_empty, hs.shape
    return (
        new(batch_size, a.shape[1], num_channels) if needs_a else new(batch_size, 0),
        new(hs.shape),
        new(batch_size, num_channels),
        new(batch_size, 0 if rest[3] is None else num_channels),
    )


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.reverse = inputs
    ctx.save_for_backward(*Inputs(*tensors)._replace(b=output[0]))
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, d_hs: Tensor | None, d_last: Tensor | None) -> tuple[Any, ...]:
    needed = ctx.needs_input_grad
    return *_gradients(Inputs(*ctx.saved_tensors), ctx.reverse, d_hs, d_last, needed[:_NUM_INPUTS]), None


def _remember_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    d_hs, d_last, ctx.needs_a, *tensors, ctx.reverse = inputs
    ctx.save_for_backward(d_hs, d_last, *tensors)
    ctx.set_materialize_grads(False)


def _differentiate_backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    """By the formula, run again."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, as two inputs may be one tensor.
        sources: list[Any] = [None if tensor is None else tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        found = formula.gradients(scan, Inputs(*sources[2:]), ctx.reverse, *sources[:2])
    pairs = [(out, d) for out, d in zip(found, gradients, strict=True) if out is not None and d is not None]
    if not ctx.needs_a:
        pairs = [(out, d) for out, d in pairs if out is not found.a]
    needed = [flag for index, flag in enumerate(ctx.needs_input_grad) if index != 2][:-1]
    wanted = torch.autograd.grad(
        [out for out, _ in pairs],
        [source for source, flag in zip(sources, needed, strict=True) if flag],
        [d for _, d in pairs],
        create_graph=create_graph,
        allow_unused=True,
    )
    rest = iter(wanted)
    d_hs, d_last, *others = (next(rest) if flag else None for flag in needed)
    return d_hs, d_last, None, *others, None


def _map(operator: Any, first: int, info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
    """How vmap goes through: mapped rows become rows of a larger batch. `first` is the place of `a`."""
    hs, dim = arguments[first + 1], in_dims[first + 1]
    batch_size = hs.shape[0 if dim is None else 1 if dim == 0 else 0]

    def merge(index: int, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        dim = in_dims[index]
        if dim is None and index == first and len(value) == 1:
            return value
        rows = value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
        return rows.expand(-1, batch_size, *rows.shape[2:]).flatten(0, 1)

    parts = operator(*(merge(index, value) for index, value in enumerate(arguments)))
    return tuple(part.unflatten(0, (info.batch_size, batch_size)) for part in parts), (0,) * len(parts)


def _register(name: str, schema: str, compute: Any, fake: Any, differentiate: Any, remember: Any, first: int) -> None:
    torch.library.define(name, schema, tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(name, "CompositeExplicitAutograd")(compute)
    torch.library.register_fake(name)(fake)
    torch.library.register_autograd(name, differentiate, setup_context=remember)
    operator = getattr(torch.ops.recurra, name.removeprefix("recurra::")).default
    torch.library.register_vmap(name)(partial(_map, operator, first))


_register(
    "recurra::linear_scan",
    f"({_INPUTS.format('b')}) -> (Tensor, Tensor)",
    _forward,
    _fake_forward,
    _differentiate,
    _remember,
    first=0,
)
_register(
    "recurra::linear_scan_backward",
    f"(Tensor? d_hs, Tensor? d_last, bool needs_a, {_INPUTS.format('hs')}) -> (Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _fake_backward,
    _differentiate_backward,
    _remember_backward,
    first=3,
)
