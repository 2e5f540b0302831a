"""The scan and its backward as operators of torch, for torch.compile, torch.export and modes that watch operators.

They are opaque and functional: outputs share no memory with inputs or with one another. T and B may vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.kernels import extension, vmapping
from recurra.kernels.extension import LSTM, NUM_DIFFERENTIABLE, Inputs, Options

_OPTIONAL = {name for name in Inputs._fields if name not in ("xs", "weight_ih", "weight_hh")}
_INPUTS = ", ".join(f"Tensor{'?' if name in _OPTIONAL else ''} {name}" for name in Inputs._fields)
_OPTIONS = "int kind, bool coupled, bool reverse, bool draws, float zoneout_h, float zoneout_c, float cell_clip"
_NUM_INPUTS, _NUM_OPTIONS = len(Inputs._fields), len(Options._fields)


def scan(options: Options, inputs: Inputs) -> tuple[Tensor, ...]:
    """`extension.forward`: ys and the leaves of the state."""
    # What is exported is for inference; asked for gradients, it runs the scan again.
    save = torch.is_grad_enabled() and not torch.compiler.is_exporting()
    save = save and any(tensor is not None and tensor.requires_grad for tensor in inputs)
    outputs = torch.ops.recurra.scan.default(*inputs, *options, save)
    return tuple(outputs[: 3 if options.kind == LSTM else 2])


def backward(
    options: Options,
    inputs: Inputs,
    num_threads: Tensor,
    saved: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """`extension.backward`; the number of threads is a tensor, as only the running program knows it."""
    ys = saved[0]
    assert ys is not None
    kept = [ys.new_empty(0) if tensor is None else tensor for tensor in saved]
    d_ys, d_h, d_c = (*gradients, None)[:3]
    found = iter(
        torch.ops.recurra.scan_backward.default(d_ys, d_h, d_c, list(needed), *inputs, *options, num_threads, *kept)
    )
    return [next(found) if flag else None for flag in needed]


def _split(arguments: Sequence[Any]) -> tuple[Inputs, Options, list[Any]]:
    """Inputs, options and what follows."""
    end = _NUM_INPUTS + _NUM_OPTIONS
    return Inputs(*arguments[:_NUM_INPUTS]), Options(*arguments[_NUM_INPUTS:end]), list(arguments[end:])


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    inputs, options, (save,) = _split(arguments)
    extension.require()
    num_threads = torch.get_num_threads()
    outputs = extension.forward(options, *extension.prepare(options, inputs), num_threads, save=save)
    return *_filled(inputs, outputs), torch.tensor(num_threads)


def _fake_forward(*arguments: Any) -> tuple[Tensor, ...]:
    inputs, options, (save,) = _split(arguments)
    outputs = extension.new_outputs(options, extension.sizes_of(options, inputs), inputs, save)
    return *_filled(inputs, outputs), inputs.xs.new_empty((), dtype=torch.int64)


def _filled(inputs: Inputs, outputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """An operator returns a tensor in any case."""
    return tuple(inputs.xs.new_empty(0) if tensor is None else tensor for tensor in outputs)


def _backward(*arguments: Any) -> list[Tensor]:
    (*gradients, needed), (inputs, options, (threads, *kept)) = arguments[:4], _split(arguments[4:])
    extension.require()
    (sizes, inputs), num_threads = extension.prepare(options, inputs), int(threads)
    saved = [None if tensor.numel() == 0 else tensor.contiguous() for tensor in kept]
    if saved[0] is not None and saved[1] is None:
        saved[1:] = extension.forward(options, sizes, inputs, num_threads, save=True)[3:]
    found = extension.backward(options, sizes, inputs, num_threads, saved, gradients, needed)
    return [tensor for tensor in found if tensor is not None]


def _fake_backward(*arguments: Any) -> list[Tensor]:
    (*_, needed), (inputs, options, _) = arguments[:4], _split(arguments[4:])
    found = extension.new_gradients(extension.sizes_of(options, inputs), inputs, needed)
    return [tensor for tensor in found if tensor is not None]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, ctx.options, _ = _split(inputs)
    ys, _, _, *kept, threads = output
    ctx.save_for_backward(*tensors, threads, ys, *kept)
    ctx.mark_non_differentiable(*kept, threads)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    tensors = ctx.saved_tensors
    needed = ctx.needs_input_grad[:NUM_DIFFERENTIABLE]
    inputs, (threads, *saved) = Inputs(*tensors[:_NUM_INPUTS]), tensors[_NUM_INPUTS:]
    found = backward(ctx.options, inputs, threads, saved, gradients[:3], needed)
    return (*found, *[None] * (_NUM_INPUTS - NUM_DIFFERENTIABLE + _NUM_OPTIONS + 1))


def _refuse_second_derivatives(ctx: Any, *gradients: Tensor | None) -> None:
    raise RuntimeError(
        "a compiled or exported scan has first derivatives only. Take second ones without torch.compile, or compile "
        "inside `with recurra.kernels.dispatch.use('reference')`."
    )


def _map_forward(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    inputs, options, (save,) = _split(arguments)
    if save or not vmapping.can_fold(options, in_dims):
        return vmapping.loop(torch.ops.recurra.scan.default, info.batch_size, in_dims, arguments)

    def call(*rows: Any) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = torch.ops.recurra.scan.default(*rows, *options, save)
        return outputs[: 3 if options.kind == LSTM else 2]

    parts, dims = vmapping.fold(call, info.batch_size, in_dims, inputs)
    rest = [inputs.xs.new_empty(0) for _ in range(6 - len(parts))]
    return (*parts, *rest, torch.tensor(torch.get_num_threads())), (*dims, *[None] * (len(rest) + 1))


def _map_backward(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    parts, dims = vmapping.loop(torch.ops.recurra.scan_backward.default, info.batch_size, in_dims, arguments)
    return list(parts), list(dims)


def _register(name: str, schema: str, compute: Any, fake: Any, differentiate: Any, remember: Any, mapped: Any) -> None:
    torch.library.define(name, schema, tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(name, "CPU")(compute)
    torch.library.register_fake(name)(fake)
    torch.library.register_autograd(name, differentiate, setup_context=remember)
    torch.library.register_vmap(name)(mapped)


_register(
    "recurra::scan",
    f"({_INPUTS}, {_OPTIONS}, bool save) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _forward,
    _fake_forward,
    _differentiate,
    _remember,
    _map_forward,
)
_register(
    "recurra::scan_backward",
    f"(Tensor? d_ys, Tensor? d_h, Tensor? d_c, bool[] needed, {_INPUTS}, {_OPTIONS}, "
    "Tensor threads, Tensor ys, Tensor gates, Tensor cells, Tensor hidden) -> Tensor[]",
    _backward,
    _fake_backward,
    _refuse_second_derivatives,
    None,
    _map_backward,
)
