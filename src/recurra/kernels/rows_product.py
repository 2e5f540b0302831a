"""Matrix products over the rows of all steps, by the faster of torch's two libraries.

torch.mm takes MKL for float32, which on AMD's processors leaves half of the machine unused; oneDNN was measured to be
twice as fast there for large products, and slower for small ones only.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Multiplications from which oneDNN's longer way to its kernel does not show.
_LARGE = 2**21


def rows_product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """a b + bias: (N, K), (K, M) and (M,) -> (N, M)."""
    fits = a.dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not fits or min(a.shape[0], b.shape[1]) < 16 or a.shape[0] * a.shape[1] * b.shape[1] < _LARGE:
        return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)
    if bias is None and a.stride(1) != 1 and b.numel() < a.numel():
        # oneDNN copies a transposed first factor: let it be the smaller one.
        return _by_onednn(b.t(), a.t(), None).t().contiguous()
    return _by_onednn(a, b, bias)


def _by_onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    if not b.is_contiguous() and not b.t().is_contiguous():
        # Of a part of a larger matrix oneDNN computes the product a thousand times slower.
        b = b.contiguous()
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a.contiguous(), b.t(), bias, "none", [], "")
    return result


def _fake(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


torch.library.define("recurra::rows_product", "(Tensor a, Tensor b, Tensor? bias) -> Tensor")
torch.library.impl("recurra::rows_product", "CPU")(rows_product)
torch.library.register_fake("recurra::rows_product")(_fake)
OPERATOR = torch.ops.recurra.rows_product.default
