"""Products over the rows of all steps."""

from __future__ import annotations

import pytest
import torch

from recurra.kernels.rows_product import OPERATOR


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(3, 4, 5), (0, 4, 5), (300, 64, 128), (64, 300, 128)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_it_is_the_product_in_every_layout(
    dtype: torch.dtype, sizes: tuple[int, int, int], turned: tuple[bool, bool]
) -> None:
    rows, inner, columns = sizes
    a, b, bias = (torch.randn(*shape, dtype=dtype) for shape in ((rows, inner), (inner, columns), (columns,)))
    a, b = (value.t().contiguous().t() if turn else value for value, turn in zip((a, b), turned, strict=True))
    for each in (bias, None):
        found = OPERATOR(a, b, each)
        torch.testing.assert_close(found, a @ b + (0 if each is None else bias), rtol=1e-4, atol=1e-4)
        assert found.is_contiguous()


def test_parts_of_larger_matrices() -> None:
    a, b = torch.randn(300, 200)[:, 72:], torch.randn(128, 400)[:, ::2]
    torch.testing.assert_close(OPERATOR(a, b, None), a @ b, rtol=1e-4, atol=1e-4)


def test_the_operator_obeys_torchs_rules() -> None:
    for size in (8, 200):
        values = torch.randn(size, size), torch.randn(size, size), torch.randn(size)
        torch.library.opcheck(OPERATOR, values, test_utils=("test_schema", "test_faketensor"))
