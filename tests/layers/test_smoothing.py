"""Seasonal smoothing and dilated stacks, beside the same step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.core.batch import WindowSpec
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences, pad
from recurra.layers import RecurrentConfig
from recurra.layers.dilated import DilatedRecurrent
from recurra.layers.smoothing import SeasonalSmoothing, smooth

SPEC = WindowSpec(
    horizon=5, context_length=24, target_size=1, num_parameters=1, num_series=2, periods=(3, 7), static_size=0
)


def season_of(values: np.ndarray, period: int) -> np.ndarray:
    """Mean deviation from the mean of its period, by place; the last period ends with the values."""
    count = len(values) // period
    cycles = values[len(values) - count * period :].reshape(count, period)
    means = (cycles - cycles.mean(1, keepdims=True)).mean(0)
    return np.array([means[(step - len(values)) % period] for step in range(len(values))])


def by_steps(values: np.ndarray, factors: list[float]) -> tuple[float, np.ndarray, list[float]]:
    """Level and seasons (2, T + 5) by the textbook, and the errors of the first season's steps ahead."""
    first = season_of(values, 3)
    second = season_of(values - first, 7)
    seasons = [list(first[:3]), list(second[:7])]
    level, levels = values.mean(), []
    for step, value in enumerate(values):
        now = seasons[0][step] + seasons[1][step]
        level = level + factors[0] * (value - now - level)
        levels.append(level)
        for season, factor in zip(seasons, factors[1:], strict=True):
            season.append(season[step] + factor * (value - now - level))
    ahead = [
        np.array([season[len(values) + step % period] for step in range(5)])
        for season, period in zip(seasons, (3, 7), strict=True)
    ]
    return level, ahead[0] + ahead[1] + level, levels


def test_level_and_seasons_are_those_of_the_textbook() -> None:
    layer = SeasonalSmoothing(SPEC)
    with torch.no_grad():
        layer.common.copy_(torch.tensor([0.3, -1.0, 0.2]))
        assert layer.own is not None
        layer.own.weight[1] = torch.tensor([-0.5, 0.4, 0.1])
    draw = torch.Generator().manual_seed(2)
    values = torch.randn(3, 24, 1, generator=draw).cumsum(1)
    series = torch.tensor([0, 1, -1])
    found = layer(values, torch.ones_like(values), series)
    factors = layer.factors(series, 3)
    torch.testing.assert_close(factors[0], factors[2])
    for row in range(3):
        level, ahead, _ = by_steps(values[row, :, 0].double().numpy(), factors[row].tolist())
        assert found.level[row, 0].item() == pytest.approx(level, abs=1e-4)
        np.testing.assert_allclose(layer.ahead(found, 5)[row, :, 0].detach().numpy(), ahead, atol=1e-4)


def test_levels_stand_still_where_nothing_was_observed() -> None:
    values = torch.tensor([[[1.0], [9.0], [3.0], [9.0]]])
    weight = torch.tensor([[[1.0], [0.0], [1.0], [0.0]]])
    levels = smooth(values, weight, torch.tensor([[0.5]]), torch.tensor([[2.0]]))
    assert levels.flatten().tolist() == pytest.approx([1.5, 1.5, 2.25, 2.25])


def test_a_season_is_found_whole_and_what_is_left_is_nothing() -> None:
    pattern = torch.tensor([1.0, -2.0, 1.0])
    values = (5 + pattern.repeat(8))[None, :, None]
    layer = SeasonalSmoothing(replace(SPEC, periods=(3,)))
    found = layer(values, torch.ones_like(values), None)
    torch.testing.assert_close(found.residual, torch.zeros_like(values), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.ahead(found, 5)[0, :, 0], torch.tensor([6.0, 3.0, 6.0, 6.0, 3.0]))


def test_periods_that_do_not_come_twice_are_left_out() -> None:
    assert SeasonalSmoothing(replace(SPEC, periods=(3, 13))).periods == (3,)
    assert SeasonalSmoothing(replace(SPEC, periods=())).chunk == 24


def stepwise(layer: DilatedRecurrent, row: Tensor) -> Tensor:
    """Each stack walks over every d-th step by itself."""
    for stack, dilation in zip(layer.stacks, layer.dilations, strict=True):
        outputs = [torch.empty(0)] * len(row)
        for first in range(min(dilation, len(row))):
            part = stack(Sequences(row[None, first::dilation])).outputs.data[0]
            for number, output in enumerate(part):
                outputs[first + number * dilation] = output
        stacked = torch.stack(outputs)
        row = stacked + row if stacked.shape == row.shape else stacked
    return row


@pytest.mark.parametrize("dilations", [(1,), (1, 3), (2, 5)])
@torch.no_grad()
def test_a_dilated_stack_skips_steps(dilations: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    layer = DilatedRecurrent(4, RecurrentConfig(hidden_size=6), dilations)
    rows = [torch.randn(length, 4) for length in (8, 1, 5)]
    found = layer(pad(rows)).unpad()
    for row, one in zip(rows, found, strict=True):
        torch.testing.assert_close(one, stepwise(layer, row), rtol=1e-5, atol=1e-6)


def test_a_dilated_stack_is_causal() -> None:
    with pytest.raises(ConfigError, match="bidirectional=false"):
        DilatedRecurrent(4, RecurrentConfig(bidirectional=True), (1,))
