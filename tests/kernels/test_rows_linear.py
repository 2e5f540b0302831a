"""The linear map over rows: torch's numbers, first and second gradients, under every transform."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.kernels import dispatch
from recurra.kernels.rows_linear import rows_linear

SIZES = [((3, 4), 5), ((64, 128), 300), ((8, 20, 128), 300), ((0, 128), 300)]


def arguments(shape: tuple[int, ...], outputs: int, **options: Any) -> list[Tensor]:
    shapes = (shape, (outputs, shape[-1]), (outputs,))
    return [torch.randn(*each, **options).requires_grad_() for each in shapes]


def gradients(function: Any, given: list[Tensor]) -> list[Tensor]:
    """The values, their gradients, and the gradients of those."""
    found = function(*given)
    first = torch.autograd.grad(found.square().sum() / 100, given, create_graph=True)
    total = torch.stack([grad.square().sum() for grad in first]).sum() / 100
    return [found, *first, *torch.autograd.grad(total, given)]


@pytest.mark.parametrize(("shape", "outputs"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_torchs(
    shape: tuple[int, ...], outputs: int, dtype: torch.dtype, biased: bool
) -> None:
    given = arguments(shape, outputs, dtype=dtype)[: 3 if biased else 2]
    for found, wanted in zip(gradients(rows_linear, given), gradients(F.linear, given), strict=True):
        torch.testing.assert_close(
            found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.detach().abs().max() if wanted.numel() else 0)
        )


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, weight, bias = arguments((64, 128), 300)
    rows_linear(x.detach(), weight, bias.detach()).sum().backward()
    assert x.grad is None and bias.grad is None and weight.grad is not None


def test_transforms_and_precisions_go_torchs_way() -> None:
    x, weight, bias = (value.detach() for value in arguments((64, 128), 300))
    rows = torch.func.vmap(lambda row: rows_linear(row, weight, bias))(x[:, None].expand(-1, 64, -1))
    torch.testing.assert_close(rows[:, 0], F.linear(x, weight, bias), rtol=1e-4, atol=1e-4)
    slope = torch.func.grad(lambda values: rows_linear(values, weight).sum())(x)
    torch.testing.assert_close(slope, weight.sum(0).expand_as(x), rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rows_linear(x, weight, bias).dtype is torch.bfloat16
    with dispatch.use("reference"):
        assert torch.equal(rows_linear(x, weight, bias), F.linear(x, weight, bias))
