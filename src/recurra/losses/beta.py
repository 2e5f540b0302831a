"""The regularised incomplete beta function, which torch lacks: the distribution functions of Student's t and of counts.

Nothing here has a gradient; it serves quantiles alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-300


@torch.no_grad()
def incomplete_beta(a: Tensor, b: Tensor, x: Tensor, max_terms: int = 3000) -> Tensor:
    """I_x(a, b), to about ten digits.

    Args:
        a: above 0, float64.
        b: above 0, float64; broadcasts with `a` and `x`.
        x: 0..1, float64.
        max_terms: of the continued fraction; some multiple of the root of the larger of `a` and `b` is needed.
    Reference: the continued fraction 8.17.22 of https://dlmf.nist.gov/8.17, evaluated from the front (Lentz, 1976),
    on the side of (a + 1) / (a + b + 2) where it converges fast.
    """
    a, b, x = torch.broadcast_tensors(a.double(), b.double(), x.double())
    swapped = x > (a + 1) / (a + b + 2)
    first, second = torch.where(swapped, b, a), torch.where(swapped, a, b)
    at = torch.where(swapped, 1 - x, x)
    log_beta = torch.lgamma(first) + torch.lgamma(second) - torch.lgamma(first + second)
    front = (torch.xlogy(first, at) + torch.xlogy(second, 1 - at) - log_beta).exp() / first
    value = front * _fraction(first, second, at, max_terms)
    return torch.where(swapped, 1 - value, value).clamp(0, 1)


def _fraction(a: Tensor, b: Tensor, x: Tensor, max_terms: int) -> Tensor:
    """1 / (1 + d1 / (1 + d2 / (1 + ...)))."""
    c = torch.ones_like(x)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, max_terms):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            change = c * d
            result = result * change
        if m % 8 == 0 and bool(((change - 1).abs() < 1e-12).all()):
            break
    return result


def _away_from_zero(value: Tensor) -> Tensor:
    return torch.where(value.abs() < _TINY, _TINY, value)
