"""`torch.nn.functional.linear` with its gradients, by the faster of torch's two libraries; see `rows_product`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.kernels import dispatch
from recurra.kernels.rows_product import rows_product

# As in `rows_product`: smaller products are not worth a detour.
_LARGE = 2**21


def rows_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, differentiable as often as wanted.

    Args:
        x: (..., K).
        weight: (M, K).
        bias: (M,), or None.
    """
    if x.numel() * weight.shape[0] < _LARGE or not takes_own_gradient(x, weight):
        return F.linear(x, weight, bias)
    flat: Tensor = _RowsLinear.apply(x.reshape(-1, x.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return flat.reshape(*x.shape[:-1], weight.shape[0])


def takes_own_gradient(*values: Tensor) -> bool:
    """Whether a hand-written gradient for float32 on a CPU is allowed: no transform, no autocast, no other wish."""
    x = values[0]
    return (
        all(value.dtype is torch.float32 and value.is_cpu for value in values)
        and type(x) in (Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
        and not dispatch.reference_is_asked_for()
        and not dispatch.in_functorch()
        and not dispatch.native_obstacle(x, x.dtype)
    )


class _RowsLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return rows_product(x, weight.t(), bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            rows_linear(grad, weight.t()) if wants_x else None,
            rows_linear(grad.t(), x.t()) if wants_weight else None,
            grad.sum(0) if wants_bias else None,
        )
