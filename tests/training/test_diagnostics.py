"""What is said of numbers that are not finite."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch
from recurra.core.errors import NonFiniteError
from recurra.core.sequences import Sequences
from recurra.training.diagnostics import (
    describe_batch,
    explain_non_finite,
    find_non_finite_weight,
    gradient_norms,
    require_finite_weights,
)


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def spoil(tensor: Tensor, value: float) -> None:
    with torch.no_grad():
        tensor.view(-1)[-1] = value


def explain(model: nn.Module, loss: float, clipped: bool = False) -> str:
    error = explain_non_finite(model, 7, loss, clipped=clipped, rate=0.5, batch="rows a .. b, shape (2, 2)")
    assert isinstance(error, NonFiniteError)
    return str(error)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_is_found(model: nn.Module, value: float) -> None:
    assert find_non_finite_weight(model) is None
    require_finite_weights(model, 3, 0.5)
    spoil(model.get_parameter("1.weight"), value)
    assert find_non_finite_weight(model) == "1.weight"
    assert explain(model, math.nan).startswith(
        "update 7: the loss is nan; first not finite: the weight `1.weight`. The step"
    )
    with pytest.raises(NonFiniteError, match=r"update 3: the weight `1\.weight` is not finite any more"):
        require_finite_weights(model, 3, 0.5)


@pytest.mark.parametrize(("clipped", "mend"), [(False, "or set optimizer.clip_norm=1."), (True, "(now 0.5). The last")])
def test_a_gradient_is_found(model: nn.Module, clipped: bool, mend: str) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gradient = model.get_parameter("1.bias").grad
    assert gradient is not None
    spoil(gradient, math.inf)
    message = explain(model, 1.0, clipped)
    assert "first not finite: the gradient of `1.bias`. Gradients exploded" in message and mend in message


def test_a_loss_over_finite_weights_points_at_the_batch_or_at_huge_weights(model: nn.Module) -> None:
    assert "The batch (rows a .. b, shape (2, 2)) may hold NaN" in explain(model, math.nan)
    spoil(model.get_parameter("0.bias"), 1e30)
    assert "the largest (1e+30) is in `0.bias`. The weights have grown too large: lower" in explain(model, math.inf)


def test_norms_are_by_parameter(model: nn.Module) -> None:
    model.get_parameter("0.bias").grad = torch.tensor([3.0, 4.0, 0.0])
    assert gradient_norms(model) == {"0.bias": 5.0}


def test_a_batch_in_words() -> None:
    batch = Batch(Sequences(torch.zeros(2, 3)), torch.zeros(2, 3), ("4", "9"))
    assert describe_batch(batch) == "rows 4 .. 9, targets of shape (2, 3)"
    assert describe_batch(replace(batch, ids=())) == "of a stream, targets of shape (2, 3)"
