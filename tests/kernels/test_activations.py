"""Sigmoid and tanh of the kernels, over samples of all numbers that there are."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.kernels import extension

pytestmark = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)
EXACT = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}


def activate(kind: str, xs: Tensor) -> Tensor:
    native: Any = importlib.import_module("recurra.kernels._native")
    found = torch.empty_like(xs)
    native.activation(kind, xs.dtype == torch.float64, xs.data_ptr(), found.data_ptr(), xs.numel())
    return found


@pytest.mark.parametrize("kind", EXACT)
def test_single_precision_within_four_units_in_the_last_place_of_one(kind: str) -> None:
    """Every 1,021st of the 2^32 patterns of bits; a unit is that of the largest value below 1, 2^-24."""
    bits = torch.arange(-(2**31), 2**31, 1021, dtype=torch.int64).to(torch.int32)
    xs = bits.view(torch.float32)
    xs = xs[~xs.isnan()]
    error = activate(kind, xs).double() - EXACT[kind](xs.double())
    assert float(error.abs().max()) <= 4 * 2.0**-24


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 30.0, 1e6])
def test_double_precision(kind: str, scale: float) -> None:
    xs = torch.randn(10_007, dtype=torch.float64) * scale
    assert float((activate(kind, xs) - EXACT[kind](xs)).abs().max()) < 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_keeps_its_relative_precision_near_zero(dtype: torch.dtype) -> None:
    xs = torch.logspace(-30, -2, 1001, dtype=dtype)
    torch.testing.assert_close(
        activate("tanh", xs), torch.tanh(xs.double()).to(dtype), rtol=8 * torch.finfo(dtype).eps, atol=0
    )


@pytest.mark.parametrize("kind", EXACT)
def test_infinities_saturate_and_a_nan_stays_one(kind: str) -> None:
    xs = torch.tensor([float("inf"), float("-inf"), float("nan"), 0.0])
    torch.testing.assert_close(activate(kind, xs), EXACT[kind](xs), equal_nan=True)
