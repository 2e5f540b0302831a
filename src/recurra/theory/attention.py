"""Attention of one query each over S keys: scores, weights, their mean of the values, and the way back.

Queries (B, Q), keys and values (B, S, K), scores and alpha (B, S): B rows, S steps that are looked at. A score also
gives a tape for its way back. Source of additive attention: Bahdanau et al. (2015), arXiv:1409.0473.
"""

import numpy as np

from recurra.theory.losses import softmax
from recurra.theory.recurrence import Array, Tape, Weights


def attend(scores: Array, values: Array) -> tuple[Array, Array]:
    """alpha_s = softmax(score)_s, context = sum_s alpha_s value_s: the context (B, K), and alpha."""
    alpha = softmax(scores)
    return np.einsum("bs,bsk->bk", alpha, values), alpha


def attend_back(dcontext: Array, alpha: Array, values: Array) -> tuple[Array, Array]:
    """dL/dscores = alpha (dalpha - sum_s alpha_s dalpha_s) with dalpha_s = dcontext . value_s; and dL/dvalues."""
    dalpha = np.einsum("bk,bsk->bs", dcontext, values)
    dscores = alpha * (dalpha - (alpha * dalpha).sum(-1, keepdims=True))
    return dscores, np.einsum("bs,bk->bsk", alpha, dcontext)


def scaled_dot(query: Array, keys: Array) -> tuple[Array, Tape]:
    """score_s = query . key_s / sqrt(K). Source: Vaswani et al. (2017), arXiv:1706.03762, equation 1."""
    return np.einsum("bk,bsk->bs", query, keys) / np.sqrt(keys.shape[-1]), (query, keys)


def scaled_dot_back(dscores: Array, tape: Tape) -> tuple[Array, Array]:
    """dL/dquery and dL/dkeys."""
    query, keys = tape
    dscores = dscores / np.sqrt(keys.shape[-1])
    return np.einsum("bs,bsk->bk", dscores, keys), np.einsum("bs,bk->bsk", dscores, query)


def additive(query: Array, keys: Array, w: Weights) -> tuple[Array, Tape]:
    """score_s = v . tanh(W query + U key_s + b), W (A, Q), U (A, K), b and v (A,). Bahdanau et al. (2015), A.1.2."""
    hidden = np.tanh((query @ w["W"].T + w["b"])[:, None] + keys @ w["U"].T)
    return hidden @ w["v"], (query, keys, hidden)


def additive_back(dscores: Array, tape: Tape, w: Weights) -> tuple[Array, Array, Weights]:
    """dL/dquery, dL/dkeys and dL/dw."""
    query, keys, hidden = tape
    da = dscores[..., None] * w["v"] * (1 - hidden**2)
    dw = {
        "W": da.sum(1).T @ query,
        "U": np.einsum("bsa,bsk->ak", da, keys),
        "b": da.sum((0, 1)),
        "v": np.einsum("bs,bsa->a", dscores, hidden),
    }
    return da.sum(1) @ w["W"], da @ w["U"], dw
