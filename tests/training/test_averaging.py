"""Averages of weights, and snapshots."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from recurra.core.config import parse
from recurra.core.errors import ConfigError
from recurra.training import TrainingConfig
from recurra.training.averaging import (
    BaseAverageConfig,
    EMAConfig,
    NoAverageConfig,
    NonMonotoneConfig,
    SnapshotsConfig,
    SWAConfig,
    WeightAverage,
)
from recurra.training.schedule import CyclicConfig


def one_weight() -> nn.Linear:
    return nn.Linear(1, 1, bias=False)


def moved(model: nn.Linear, average: WeightAverage, values: list[float], first: int = 1) -> None:
    for update, value in enumerate(values, start=first):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(update)


def mean_of(model: nn.Linear, average: WeightAverage) -> float:
    with average.applied():
        return model.weight.item()


def test_stochastic_weight_averaging_is_the_mean_of_the_last_part() -> None:
    model = one_weight()
    average = WeightAverage(model, SWAConfig(start=0.5), 8)
    moved(model, average, [100.0, 50.0, 7.0])
    assert not average.started
    moved(model, average, [1.0, 2.0, 6.0, 7.0], first=4)
    assert mean_of(model, average) == pytest.approx((1 + 2 + 6 + 7) / 4)
    assert model.weight.item() == 7.0


def test_it_may_take_in_every_second_update_alone() -> None:
    model = one_weight()
    average = WeightAverage(model, SWAConfig(start=0.0, every=2), 5)
    moved(model, average, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean_of(model, average) == pytest.approx((2 + 4) / 2)


def test_the_exponential_mean_forgets_and_warms_up() -> None:
    model = one_weight()
    average = WeightAverage(model, EMAConfig(decay=0.5), 10**6)
    values = [4.0, 8.0, -2.0, 5.0]
    moved(model, average, values)
    mean = values[0]
    for count, value in enumerate(values[1:], start=1):
        decay = min(0.5, (1 + count) / (10 + count))
        mean = decay * mean + (1 - decay) * value
    assert mean_of(model, average) == pytest.approx(mean)


def test_the_non_monotone_mean_waits_for_an_evaluation_worse_than_an_old_one() -> None:
    model = one_weight()
    average = WeightAverage(model, NonMonotoneConfig(evaluations=2), 100)
    moved(model, average, [9.0])
    history: list[float] = []
    for value in (2.0, 3.0, 2.5):
        history.append(value)
        assert not average.after_evaluation(history, less_is_better=True)
    history.append(2.2)
    moved(model, average, [1.0])
    assert average.after_evaluation(history, less_is_better=True)
    moved(model, average, [2.0, 6.0])
    assert mean_of(model, average) == pytest.approx(3.0)
    assert not average.after_evaluation([*history, 9.0], less_is_better=True)


@pytest.mark.parametrize("config", [NoAverageConfig(), SnapshotsConfig(), SWAConfig()])
def test_before_its_start_it_changes_nothing(config: BaseAverageConfig) -> None:
    model = one_weight()
    average = WeightAverage(model, config, 100)
    moved(model, average, [1.0, 2.0])
    assert mean_of(model, average) == 2.0


def test_the_weights_come_back_after_an_error() -> None:
    model = one_weight()
    average = WeightAverage(model, EMAConfig(), 10)
    moved(model, average, [3.0, 5.0])
    with pytest.raises(ValueError), average.applied():
        raise ValueError
    assert model.weight.item() == 5.0


def test_a_checkpoint_goes_on_with_the_same_mean() -> None:
    model = one_weight()
    average = WeightAverage(model, SWAConfig(start=0.0), 10)
    moved(model, average, [2.0, 3.0])
    other = WeightAverage(model, SWAConfig(start=0.0), 10)
    other.load(average.tensors(), average.count)
    for one in (average, other):
        moved(model, one, [9.0], first=3)
    assert torch.equal(average.tensors()["weight"], other.tensors()["weight"])


def test_running_statistics_are_averaged_and_what_stands_still_is_not() -> None:
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    model[1].requires_grad_(False)
    average = WeightAverage(model, SWAConfig(start=0.0), 10)
    for update, value in enumerate((1.0, 3.0), start=1):
        model[0].running_mean.fill_(value)
        average.update(update)
    assert average.tensors()["0.running_mean"].item() == 2.0
    assert not any(name.startswith("1.") for name in average.tensors())


@pytest.mark.parametrize(("total", "warmup", "count"), [(100, 0, 5), (103, 7, 4), (10, 0, 3), (5, 0, 5)])
def test_snapshots_are_taken_where_the_cyclic_rate_is_lowest(total: int, warmup: int, count: int) -> None:
    config, schedule = SnapshotsConfig(count=count), CyclicConfig(cycles=count)
    taken = [update for update in range(1, total + 1) if config.is_snapshot(update, warmup, total)]
    size = total - warmup
    rates = [schedule.factor(update, size, 0.0) for update in range(size)]
    assert len(taken) == count and taken[-1] == total
    for update in taken:
        last = update - warmup - 1
        assert last + 1 == size or rates[last + 1] > rates[last] or math.isclose(rates[last], 1.0)


def test_an_average_of_no_such_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="average"):
        parse(TrainingConfig, {"average": "emma"})
