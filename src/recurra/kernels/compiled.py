"""The fused scan as one operator of torch's, so that torch.compile keeps it whole and T may vary.

Used only while compiling: there it is opaque (lengths and resets are looked at when it runs), and its backward runs the
forward again. Outputs travel as (T, B, O), the layout in which torch computes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from recurra.core.state import State, leaves
from recurra.kernels import fused
from recurra.kernels.fused import Fused
from recurra.kernels.rows import simplify


def scan(
    kernel: Fused,
    xs: Tensor,
    state: State,
    lengths: Tensor | None,
    reset: Tensor | None,
    initial: State | None,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """`fused.scan`; the same numbers."""
    name, weights, has_biases = kernel
    fresh = [] if initial is None else list(leaves(initial))
    learned = any(leaf.requires_grad for leaf in fresh)
    outputs = _forward([xs, *weights], list(leaves(state)), fresh, lengths, reset, name, has_biases, reverse, learned)
    ys = outputs[0].transpose(0, 1)
    return ys, ((outputs[1], outputs[2]) if name == "lstm" else outputs[1])


@torch.library.custom_op("recurra::fused_scan", mutates_args=())
def _forward(
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    initial: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    name: str,
    has_biases: bool,
    reverse: bool,
    learned: bool,
) -> list[Tensor]:
    # An operator's outputs may share no memory with its inputs or with one another.
    ys, *after = _compute(inputs, state, initial, lengths, reset, name, has_biases, reverse)
    return [ys, *(leaf.clone(memory_format=torch.contiguous_format) for leaf in after)]


@torch.library.custom_op("recurra::fused_scan_backward", mutates_args=())
def _backward(
    gradients: Sequence[Tensor],
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    initial: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    name: str,
    has_biases: bool,
    reverse: bool,
    learned: bool,
) -> list[Tensor]:
    with _recording():
        # An initial state without a gradient leaves the kernel its faster way with resets.
        sources = [tensor.detach().requires_grad_() for tensor in (*inputs, *state, *(initial if learned else ()))]
        split = len(inputs), len(inputs) + len(state)
        fresh = sources[split[1] :] if learned else initial
        outputs = _compute(
            sources[: split[0]], sources[split[0] : split[1]], fresh, lengths, reset, name, has_biases, reverse
        )
        results = torch.autograd.grad(outputs, sources, gradients, allow_unused=True)
    return [
        torch.zeros_like(source) if result is None else result.clone(memory_format=torch.contiguous_format)
        for source, result in zip(sources, results, strict=True)
    ]


@_forward.register_fake
def _(inputs: Sequence[Tensor], state: Sequence[Tensor], *_: Any) -> list[Tensor]:
    xs, size = inputs[0], state[0].shape[1]
    ys = inputs[1].new_empty(xs.shape[1], xs.shape[0], size)
    return [ys, *(leaf.new_empty(leaf.shape) for leaf in state)]


@_backward.register_fake
def _(
    gradients: Sequence[Tensor],
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    initial: Sequence[Tensor],
    *options: Any,
) -> list[Tensor]:
    learned = options[-1]
    return [tensor.new_empty(tensor.shape) for tensor in (*inputs, *state, *(initial if learned else ()))]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    tensors, state, initial, lengths, reset, *ctx.options = inputs
    ctx.sizes = len(tensors), len(state)
    ctx.save_for_backward(*tensors, *state, *initial, lengths, reset)


def _differentiate(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    *sources, lengths, reset = ctx.saved_tensors
    first, second = ctx.sizes[0], sum(ctx.sizes)
    groups = sources[:first], sources[first:second], sources[second:]
    results = _backward(gradients, *groups, lengths, reset, *ctx.options)
    of_initial = results[second:] or [None] * len(groups[2])
    return results[:first], results[first:second], of_initial, *[None] * 6


_forward.register_autograd(_differentiate, setup_context=_remember)


@contextmanager
def _recording() -> Iterator[None]:
    """Record gradients inside an operator, where torch has switched its autograd keys off."""
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in ("AutogradFunctionality", "ADInplaceOrView"):
        excluded = excluded.remove(getattr(torch._C.DispatchKey, key))
    with torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded), torch.enable_grad():
        yield


def _compute(
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    initial: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    name: str,
    has_biases: bool,
    reverse: bool,
) -> list[Tensor]:
    xs, *weights = inputs
    lengths, reset = simplify(lengths, reset, xs.shape, xs.device)
    kernel = Fused(name, weights, has_biases)
    ys, after = fused.scan(kernel, xs, _pack(state), lengths, reset, _pack(initial), reverse=reverse)
    return [ys.transpose(0, 1).contiguous(), *leaves(after)]


def _pack(parts: Sequence[Tensor]) -> State:
    return parts[0] if len(parts) == 1 else tuple(parts)
