"""Attention against recurra.layers.attention and torch.autograd."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.layers.attention import AdditiveAttentionConfig, ScaledDotAttentionConfig
from recurra.theory.attention import additive, additive_back, attend, attend_back, scaled_dot, scaled_dot_back

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def numbers(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def test_additive_equals_recurra_and_autograd() -> None:
    query, keys, dcontext = numbers(1, 3, 4), numbers(2, 3, 6, 5), numbers(3, 3, 5)
    attention = AdditiveAttentionConfig(attention_size=7).build(4, 5).double()
    parameters = {
        "W": attention.query.weight,
        "U": attention.key.weight,
        "b": attention.query.bias,
        "v": attention.value,
    }
    w = {name: parameter.detach().numpy() for name, parameter in parameters.items()}
    queries, memory = (torch.from_numpy(one).requires_grad_() for one in (query, keys))
    output = attention(queries, attention.prepare(memory, torch.ones(3, 6, dtype=torch.bool)))
    wanted = torch.autograd.grad(
        (output.context * torch.from_numpy(dcontext)).sum(), [queries, memory, *parameters.values()]
    )
    scores, tape = additive(query, keys, w)
    context, alpha = attend(scores, keys)
    dscores, dvalues = attend_back(dcontext, alpha, keys)
    dquery, dkeys, dw = additive_back(dscores, tape, w)
    np.testing.assert_allclose(context, output.context.detach(), **EXACT)
    np.testing.assert_allclose(alpha, output.weights.detach(), **EXACT)
    for ours, theirs in zip([dquery, dkeys + dvalues, *(dw[name] for name in parameters)], wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


def test_scaled_dot_equals_recurra_and_torch() -> None:
    query, keys, dcontext = numbers(1, 3, 5), numbers(2, 3, 6, 5), numbers(3, 3, 5)
    queries, memory = (torch.from_numpy(one).requires_grad_() for one in (query, keys))
    attention = ScaledDotAttentionConfig().build(5, 5).double()
    output = attention(queries, attention.prepare(memory, torch.ones(3, 6, dtype=torch.bool)))
    wanted = torch.autograd.grad((output.context * torch.from_numpy(dcontext)).sum(), [queries, memory])
    scores, tape = scaled_dot(query, keys)
    context, alpha = attend(scores, keys)
    dscores, dvalues = attend_back(dcontext, alpha, keys)
    dquery, dkeys = scaled_dot_back(dscores, tape)
    theirs = torch.nn.functional.scaled_dot_product_attention(queries[:, None], memory, memory)[:, 0]
    np.testing.assert_allclose(context, theirs.detach(), **EXACT)
    np.testing.assert_allclose(context, output.context.detach(), **EXACT)
    np.testing.assert_allclose(dquery, wanted[0], **EXACT)
    np.testing.assert_allclose(dkeys + dvalues, wanted[1], **EXACT)
