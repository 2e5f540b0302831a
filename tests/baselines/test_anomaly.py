"""Cheap anomaly scores against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurra.baselines.anomaly import gaussian_nats, last_value_nats, windowed_gaussian

VALUES = np.random.default_rng(0).normal(50, 3, 400)


@pytest.mark.parametrize(("window", "step"), [(1000, 1), (60, 1), (60, 7)])
def test_the_windowed_gaussian_against_a_loop(window: int, step: int) -> None:
    found = windowed_gaussian(VALUES, window, step)
    start, kept = 0, 0
    for row, value in enumerate(VALUES):
        if row:
            part = VALUES[start : start + kept]
            chance = 0.5 * math.erfc(abs(value - part.mean()) / (part.std() or 1e-6) / math.sqrt(2))
            assert found[row] == pytest.approx(1 - chance, abs=1e-9)
        # grows to its length, then moves on by `step` rows at a time
        if kept < window:
            kept += 1
        elif row + 1 - (start + kept) == step:
            start += step
    assert found[0] == 0


def test_constant_values_are_not_odd_and_a_change_is() -> None:
    flat = np.full(300, 7.3)
    flat[200] = 7.4
    found = windowed_gaussian(flat, 100, 1)
    assert found[200] == found.max() == 1 and (found[1:200] == 0.5).all()


def test_distances_and_densities() -> None:
    distances, nats = gaussian_nats(VALUES, 50)
    part = VALUES[150:200]
    z = (VALUES[200] - part.mean()) / part.std()
    assert distances[200] == pytest.approx(abs(z))
    assert nats[200] == pytest.approx(0.5 * z**2 + math.log(part.std() * math.sqrt(2 * math.pi)))
    changes = np.diff(VALUES)
    distances, nats = last_value_nats(VALUES, 50)
    z = (changes[199] - changes[149:199].mean()) / changes[149:199].std()
    assert distances[200] == pytest.approx(abs(z)) and np.isnan(nats[:2]).all()
