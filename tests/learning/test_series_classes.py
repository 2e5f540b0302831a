"""Whole series are told apart far above chance, and numbers of them estimated far better than by their mean."""

from __future__ import annotations

import numpy as np
import pytest

from recurra import SeriesClassifier, SeriesRegressor


def bumps(number: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Noise of 25 to 40 steps with one wave of one of three shapes at a random place; chance is 1 in 3."""
    rng = np.random.default_rng(seed)
    shapes = [np.array([0, 1, 2, 1, 0.0]), np.array([0, 2, 0, 2, 0.0]), np.array([2, 1, 0, -1, -2.0])]
    labels = np.arange(number) % 3
    rows = []
    for label in labels:
        row = rng.normal(0, 0.3, (1, rng.integers(25, 41)))
        place = rng.integers(0, row.shape[1] - 5)
        row[0, place : place + 5] += shapes[label]
        rows.append(row)
    return rows, labels


FASTER = {"optimizer.learning_rate": 1e-2, "task.augmentation.mixing": 0}


@pytest.mark.parametrize(
    ("recipe", "epochs", "options"), [("lstm-fcn", 15, {}), ("crnn", 20, {}), ("series-classifier", 40, FASTER)]
)
def test_shapes_at_random_places(recipe: str, epochs: int, options: dict[str, float]) -> None:
    model = SeriesClassifier(recipe, epochs=epochs, options=options).fit(*bumps(120, seed=0))
    assert model.score(*bumps(90, seed=1)) > 0.9


def test_numbers_of_series() -> None:
    rng = np.random.default_rng(0)
    series = np.cumsum(rng.normal(size=(160, 2, 30)), axis=2)
    targets = series[:, 0].max(axis=1) - series[:, 1].min(axis=1)
    model = SeriesRegressor(epochs=25).fit(series[:120], targets[:120])
    assert model.score(series[120:], targets[120:]) > 0.8
