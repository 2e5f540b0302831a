"""Recurra's own scans, in C++ on a CPU: Elman, LSTM and GRU cells with all their options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.core.state import State
from recurra.kernels import extension, operators, vmapping
from recurra.kernels.dispatch import in_functorch
from recurra.kernels.extension import NUM_DIFFERENTIABLE, Inputs, Options, Sizes
from recurra.kernels.packing import Packing
from recurra.kernels.zoneout import Zoneout

Results = tuple[Tensor, ...]
"""ys (T, B, O) and the leaves of the state."""
Replay = Callable[[Options, Inputs], Results]
"""The same scan in plain torch, for second derivatives."""


_PLAIN = {Tensor, nn.Parameter, nn.Buffer, type(None)}


class Native(NamedTuple):
    """A cell as recurra's kernel knows it.

    Attributes:
        kind: one of `extension.KINDS`.
        weights: weight_ih to norm_c_bias, as in `extension.Inputs`; None for options that are off.
        replay: the scan by the cell's own formula, over given weights.
        packing: where packed weights are kept.
        coupled: LSTM: input gate = 1 - forget gate.
        cell_clip: LSTM: bound of |c|; 0 for none.
    """

    kind: int
    weights: tuple[Tensor | None, ...]
    replay: Replay
    packing: Packing
    coupled: bool = False
    cell_clip: float = 0.0


def obstacle(kernel: Native, hidden_mask: Tensor | None) -> str:
    """What of a cell and its noise the kernel can't do; "" for nothing."""
    like = kernel.weights[0]
    assert like is not None
    dtype, is_cpu = like.dtype, like.is_cpu
    for weight in kernel.weights:
        if weight is not None and (weight.dtype is not dtype or weight.is_cpu != is_cpu):
            return "recurra's own kernels want all weights in one precision and on one device"
    if hidden_mask is not None and (hidden_mask.requires_grad or hidden_mask.device != like.device):
        return "recurra's own kernels want the mask of recurrent dropout on the CPU, and give it no gradient"
    return ""


def scan(
    kernel: Native,
    xs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    initial: State | None = None,
    *,
    hidden_mask: Tensor | None = None,
    zoneout: Zoneout | None = None,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """`reference.scan` of the cell that `kernel` is, with inputs (B, T, I) that may hold NaN on padding."""
    probabilities, seed = ((0.0,), None) if zoneout is None else zoneout
    zoneout_c = probabilities[1] if len(probabilities) > 1 else 0.0
    options = Options(
        kernel.kind, kernel.coupled, reverse, seed is not None, probabilities[0], zoneout_c, kernel.cell_clip
    )
    h, c = pair(state)
    h_initial, c_initial = (None, None) if reset is None else pair(initial)
    if hidden_mask is not None:
        hidden_mask = hidden_mask.to(xs.dtype).expand_as(h)
    rest: Any = (h, c, h_initial, c_initial, hidden_mask, lengths, reset, seed)
    inputs = Inputs(xs, *kernel.weights, *rest)  # type: ignore[arg-type]
    ys, *after = _run(kernel.replay, kernel.packing, options, inputs)
    return ys.transpose(0, 1), (after[0] if len(after) == 1 else tuple(after))


def pair(state: Any) -> tuple[Any, Any]:
    """h, and c or None."""
    h, c = state if isinstance(state, tuple) else (state, None)
    return h, c


def _run(replay: Replay, packing: Packing, options: Options, inputs: Inputs) -> Results:
    if torch.compiler.is_compiling():
        return operators.scan(options, inputs)
    if in_functorch():
        return _apply(_Mapped, replay, packing, options, *inputs)
    # A tensor that only describes another (of torch.compile, of a mode that watches) has no memory to work on.
    if torch._C._len_torch_dispatch_stack() or not _PLAIN.issuperset(map(type, inputs)):
        return operators.scan(options, inputs)
    sizes, inputs = extension.prepare(options, inputs)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        return _apply(_Scan, replay, options, sizes, *inputs)
    num_threads = torch.get_num_threads()
    packed = packing.find(options, sizes, inputs, num_threads)
    ys, h, c, *_ = extension.forward(options, sizes, inputs, num_threads, packed=packed)
    return (ys, h) if c is None else (ys, h, c)


def _apply(function: Any, *arguments: Any) -> Results:
    results: Results = function.apply(*arguments)
    return results


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, replay: Replay, options: Options, sizes: Sizes, *tensors: Any) -> Results:
        inputs, num_threads = Inputs(*tensors), torch.get_num_threads()
        ys, h, c, *saved = extension.forward(options, sizes, inputs, num_threads, save=True)
        ctx.save_for_backward(*tensors, ys, *saved)
        ctx.replay, ctx.options, ctx.sizes, ctx.num_threads = replay, options, sizes, num_threads
        ctx.set_materialize_grads(False)
        return (ys, h) if c is None else (ys, h, c)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        *tensors, ys, gates, cells, hidden = ctx.saved_tensors
        saved = ys, gates, cells, hidden
        inputs, needed = Inputs(*tensors), ctx.needs_input_grad[3 : 3 + NUM_DIFFERENTIABLE]
        if torch.is_grad_enabled() or in_functorch() or any(map(_is_mapped, gradients)):
            found = _replay_backward(ctx.replay, ctx.options, inputs, gradients, needed)
        elif torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
            threads = torch.tensor(ctx.num_threads)
            found = operators.backward(ctx.options, inputs, threads, saved, gradients, needed)
        else:
            found = extension.backward(ctx.options, ctx.sizes, inputs, ctx.num_threads, saved, gradients, needed)
        return (None, None, None, *found, *[None] * (len(tensors) - NUM_DIFFERENTIABLE))


def _is_mapped(gradient: Tensor | None) -> bool:
    """Whether it is several gradients at once, as `is_grads_batched` of torch.autograd.grad has them."""
    return gradient is not None and torch._C._functorch.is_legacy_batchedtensor(gradient)


def _replay_backward(
    replay: Replay,
    options: Options,
    inputs: Inputs,
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients through the cell's formula in plain torch, which can be differentiated and mapped themselves."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, as two inputs may be one tensor.
        sources: list[Any] = [None if tensor is None else tensor.view_as(tensor) for tensor in inputs]
        outputs = replay(options, Inputs(*sources))
    pairs = [(out, gradient) for out, gradient in zip(outputs, gradients, strict=True) if gradient is not None]
    wanted = [index for index, flag in enumerate(needed) if flag]
    found = torch.autograd.grad(
        [out for out, _ in pairs],
        [sources[index] for index in wanted],
        [gradient for _, gradient in pairs],
        create_graph=create_graph,
        allow_unused=True,
    )
    results: list[Tensor | None] = [None] * NUM_DIFFERENTIABLE
    for index, gradient in zip(wanted, found, strict=True):
        results[index] = gradient
    return results


class _Mapped(torch.autograd.Function):
    """A scan under vmap, for its rule alone: the calls that the rule makes are plain ones."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        raise AssertionError("called without vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Torch asks for it."""

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, replay: Replay, packing: Packing, options: Options, *tensors: Any
    ) -> tuple[Any, tuple[int, ...]]:
        """See `vmapping`."""

        def call(*parts: Any) -> Results:
            return _run(replay, packing, options, Inputs(*parts))

        walk = vmapping.fold if vmapping.can_fold(options, in_dims[3:]) else vmapping.loop
        return walk(call, info.batch_size, in_dims[3:], Inputs(*tensors))
