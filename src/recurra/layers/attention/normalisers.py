"""From scores to weights: softmax, and the two normalisers that give exact zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Normaliser = Literal["softmax", "sparsemax", "entmax"]

# Far below the least score that can get weight: with the highest at 0, that is -1 for sparsemax and -2 for entmax.
_OUT_OF_REACH = -1e4


def normalise(scores: Tensor, mask: Tensor, kind: Normaliser = "softmax") -> Tensor:
    """Weights over the last axis.

    Args:
        scores: (..., S), finite on masked places too.
        mask: broadcasts to `scores`, bool, True where there is a key.
        kind: the normaliser.
    Returns:
        (..., S), exactly 0 where `mask` is False; the others sum to 1, or are none.
    """
    if scores.shape[-1] == 0:
        return scores
    if kind == "softmax":
        # Finite, so that a row without keys gives no NaN.
        filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return filled.softmax(-1) * mask
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    shifted = (scores - filled.detach().amax(-1, keepdim=True)).masked_fill(~mask, _OUT_OF_REACH)
    return _SPARSE[kind](shifted) * mask


def sparsemax(scores: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores (..., S).

    Reference: Martins and Astudillo (2016), https://arxiv.org/abs/1602.02068, algorithm 1.
    """
    with torch.no_grad():
        ordered = scores.sort(dim=-1, descending=True).values
        counts = _counts(scores)
        size = (1 + counts * ordered > ordered.cumsum(-1)).sum(-1, keepdim=True)
        support = scores >= ordered.gather(-1, size - 1)
    # By autograd through the threshold as a function of the scores in the support, which gives the exact Jacobian.
    inside = torch.where(support, scores, 0.0)
    threshold = (inside.sum(-1, keepdim=True) - 1) / support.sum(-1, keepdim=True)
    return (scores - threshold).clamp(min=0)


def entmax(scores: Tensor) -> Tensor:
    """1.5-entmax of the scores (..., S): between softmax and sparsemax.

    Reference: Peters et al. (2019), https://arxiv.org/abs/1905.05702, algorithm 2 (exact, by sorting).
    """
    halves = scores / 2
    with torch.no_grad():
        ordered = halves.sort(dim=-1, descending=True).values
        counts = _counts(scores)
        mean, spread = ordered.cumsum(-1) / counts, ordered.square().cumsum(-1) / counts
        gaps = (1 / counts - (spread - mean.square())).clamp(min=0)
        size = (mean - gaps.sqrt() <= ordered).sum(-1, keepdim=True)
        support = halves >= ordered.gather(-1, size - 1)
    number = support.sum(-1, keepdim=True).to(scores.dtype)
    centre = torch.where(support, halves, 0.0).sum(-1, keepdim=True) / number
    variance = torch.where(support, halves - centre, 0.0).square().sum(-1, keepdim=True) / number
    # Of k scores in the support the mean lies at least 1 / k above the threshold, so that the root has a slope.
    distance = (1 / number - variance).clamp(min=1e-12).sqrt()
    return (halves - centre + distance).clamp(min=0).square() * support


_SPARSE: dict[str, Callable[[Tensor], Tensor]] = {"sparsemax": sparsemax, "entmax": entmax}


def _counts(scores: Tensor) -> Tensor:
    return torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
