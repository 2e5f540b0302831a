"""Scores v . tanh(q + k) of all pairs of queries and keys, without keeping the hidden units of all pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels.rows_linear import takes_own_gradient


def additive_scores(queries: Tensor, keys: Tensor, value: Tensor) -> Tensor:
    """Score each query against each key of its row.

    On a CPU in float32 the hidden units (B, S, A) of one query after another stay in the cache, and are computed anew
    for the gradient: less time, and memory for one query in place of T.

    Args:
        queries: (B, T, A).
        keys: (B, S, A).
        value: (A,).
    Returns:
        (B, T, S).
    """
    if takes_own_gradient(queries, keys, value):
        found: Tensor = _AdditiveScores.apply(queries, keys, value)  # type: ignore[no-untyped-call]
        return found
    return _plain(queries, keys, value)


def _plain(queries: Tensor, keys: Tensor, value: Tensor) -> Tensor:
    return torch.tanh(queries[:, :, None] + keys[:, None]) @ value


class _AdditiveScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, value)
        scores = queries.new_empty(*queries.shape[:2], keys.shape[1])
        for step, query in enumerate(queries.unbind(1)):
            scores[:, step] = (keys + query[:, None]).tanh_() @ value
        return scores

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, value = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A second derivative is wanted: of the formula itself.
            inputs = [part for part, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True) if needed]
            found = iter(torch.autograd.grad(_plain(queries, keys, value), inputs, grad, create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        of_queries, of_keys = torch.empty_like(queries), torch.zeros_like(keys)
        of_value = torch.zeros_like(value)
        for step, query in enumerate(queries.unbind(1)):
            hidden = (keys + query[:, None]).tanh_()
            slope = grad[:, step]
            of_value += slope.reshape(-1) @ hidden.reshape(-1, hidden.shape[-1])
            inner = hidden.square_().neg_().add_(1).mul_(slope[..., None])
            of_keys += inner
            of_queries[:, step] = inner.sum(1)
        return of_queries * value, of_keys * value, of_value
