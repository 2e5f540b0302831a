"""The running mean of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recurra.training.averaging import WeightAverage


def moved(model: nn.Linear, average: WeightAverage, values: list[float]) -> None:
    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()


def test_it_is_the_mean_since_its_start() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model)
    moved(model, average, [100.0, 1.0])
    assert not average.started
    average.start()
    moved(model, average, [2.0, 6.0, 7.0])
    with average.applied():
        assert model.weight.item() == pytest.approx((1 + 2 + 6 + 7) / 4)
    assert model.weight.item() == 7.0


def test_before_its_start_it_changes_nothing() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with WeightAverage(model).applied():
        assert torch.equal(model.weight, before)


def test_the_weights_come_back_after_an_error() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model)
    average.start()
    moved(model, average, [5.0])
    with pytest.raises(ValueError), average.applied():
        raise ValueError
    assert model.weight.item() == 5.0


def test_a_checkpoint_goes_on_with_the_same_mean() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model)
    average.start()
    moved(model, average, [2.0, 3.0])
    other = WeightAverage(model)
    other.load(average.tensors(), average.count)
    for one in (average, other):
        moved(model, one, [9.0])
    assert torch.equal(average.tensors()["weight"], other.tensors()["weight"])
