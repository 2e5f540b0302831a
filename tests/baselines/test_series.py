"""Distances against their definitions; ridge against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from recurra.baselines import series
from recurra.baselines.distances import dynamic_time_warping, euclidean, same_length


def plain_dtw(first: np.ndarray, second: np.ndarray, band: int) -> float:
    """The definition, cell by cell."""
    costs = np.full((len(first) + 1, len(second) + 1), np.inf)
    costs[0, 0] = 0
    for i in range(1, len(first) + 1):
        for j in range(max(1, i - band), min(len(second), i + band) + 1):
            step = ((first[i - 1] - second[j - 1]) ** 2).sum()
            costs[i, j] = step + min(costs[i - 1, j], costs[i, j - 1], costs[i - 1, j - 1])
    return float(costs[-1, -1])


@pytest.mark.parametrize("band", [0, 2, 9])
def test_dynamic_time_warping(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.baselines.distances._PAIRS_AT_ONCE", 8)
    rng = np.random.default_rng(0)
    asked, known = rng.normal(size=(5, 9, 2)).astype(np.float32), rng.normal(size=(4, 9, 2)).astype(np.float32)
    wanted = [[plain_dtw(one, other, band) for other in known] for one in asked]
    np.testing.assert_allclose(dynamic_time_warping(asked, known, band), wanted, rtol=1e-4)
    if band == 0:
        np.testing.assert_allclose(euclidean(asked, known), wanted, rtol=1e-4)
    assert dynamic_time_warping(asked[:0], known, band).shape == (0, 4)


def test_series_are_stretched_by_straight_lines() -> None:
    found = same_length([np.array([[0.0], [2.0]]), np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])], 3)
    np.testing.assert_allclose(found[..., 0], [[0, 1, 2], [1, 3, 5]])
    assert (same_length([np.zeros((0, 2))], 3) == 0).all()


def test_ridge_as_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(30, 8)), rng.normal(size=(30, 2))
    features[:, 3] = 1.0
    features[:, 0] *= 50
    scaled = (features - features.mean(0)) / np.where(features.std(0) > 0, features.std(0), 1)
    other = RidgeCV(alphas=np.logspace(-3, 4, 15)).fit(scaled, targets)
    np.testing.assert_allclose(series.ridge(features, targets, features), other.predict(scaled), rtol=1e-6, atol=1e-8)


def waves(number: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Bumps (class 0) and dips at random places, of random length."""
    labels = np.arange(number) % 2
    rows = []
    for label in labels:
        row = rng.normal(0, 0.1, (rng.integers(20, 40), 1))
        place = rng.integers(5, 15)
        row[place : place + 5] += 1 - 2 * label
        rows.append(row.astype(np.float32))
    return rows, labels


def test_baselines_of_classes_beat_the_majority() -> None:
    rng = np.random.default_rng(0)
    (rows, labels), (asked, wanted) = waves(40, rng), waves(30, rng)
    found = series.series_classification_baselines(rows, labels, asked, 2)
    right = {name: (scores.argmax(1) == wanted).mean() for name, scores in found.items()}
    assert list(found) == ["majority", "1-nn-euclidean", "1-nn-dtw", "ridge-statistics"]
    assert right["majority"] == 0.5 and right["1-nn-dtw"] > 0.9 and right["ridge-statistics"] > 0.9


def test_baselines_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(mean, 0.1, (15, 2)) for mean in rng.normal(size=60)]
    targets = np.array([[row.mean(), row.std()] for row in rows])
    monkeypatch.setattr(series, "_DTW_CELLS", 20 * 15 * 5 * 2 * 10)
    found = series.series_regression_baselines(rows[:40], targets[:40], rows[40:])
    assert list(found) == ["mean", "1-nn-euclidean", "1-nn-dtw (10 of 40 rows)", "ridge-statistics"]
    errors = {name: np.abs(table - targets[40:]).mean() for name, table in found.items()}
    assert errors["ridge-statistics"] < 0.2 * errors["mean"] and errors["1-nn-euclidean"] < errors["mean"]


@pytest.mark.parametrize("num_steps", [0, 1, 3, 8, 40])
def test_statistics_of_any_length(num_steps: int) -> None:
    found = series.statistics([np.ones((num_steps, 3), np.float32)])
    assert found.shape == (1, 48) and np.isfinite(found).all()
