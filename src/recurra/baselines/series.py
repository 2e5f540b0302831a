"""Cheap models of whole series: nearest neighbours, and a linear model of simple statistics.

Series of unequal length are stretched by straight lines to the longest training length before distances are taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from recurra.baselines.distances import dynamic_time_warping, euclidean, same_length

BAND = 0.1
"""Half the width of DTW's band, as a part of the length."""
_DTW_CELLS = 3e9
"""Cells times dimensions of the dynamic programme that a baseline may cost: about half a minute."""
_PIECES = 8
_STRENGTHS = np.logspace(-3, 4, 15)


def series_classification_baselines(
    rows: Sequence[np.ndarray], targets: ArrayLike, test_rows: Sequence[np.ndarray], num_classes: int
) -> dict[str, np.ndarray]:
    """Scores (M, C) of the classes of the test rows by each baseline; the largest is its answer.

    Args:
        rows: N training series (T_i, F).
        targets: (N,) class indices.
        test_rows: M series.
        num_classes: C.
    """
    wanted = np.eye(num_classes)[np.asarray(targets, dtype=np.int64)]
    return {"majority": np.tile(wanted.mean(axis=0), (len(test_rows), 1)), **_answers(rows, wanted, test_rows)}


def series_regression_baselines(
    rows: Sequence[np.ndarray], targets: ArrayLike, test_rows: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Estimates (M, K) for the test rows by each baseline; `targets` are (N, K) numbers, otherwise as above."""
    wanted = np.asarray(targets, dtype=np.float64)
    return {"mean": np.tile(wanted.mean(axis=0), (len(test_rows), 1)), **_answers(rows, wanted, test_rows)}


def nearest(
    rows: np.ndarray, test_rows: np.ndarray, distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Index (M,) of each test series' nearest training series; the first of several equally near."""
    return np.asarray(distance(test_rows, rows).argmin(axis=1))


def statistics(rows: Sequence[np.ndarray]) -> np.ndarray:
    """What is easily said of each series (T_i, F): (N, F * 16) mean, deviation, extremes, ends, roughness, trend, and
    the means of eight pieces of equal length."""
    return np.stack([_statistics(row.astype(np.float64)) for row in rows])


def ridge(features: np.ndarray, targets: np.ndarray, test_features: np.ndarray) -> np.ndarray:
    """Ridge regression with an intercept, its penalty chosen by leaving out one row at a time: (M, K).

    Args:
        features: (N, D).
        targets: (N, K).
        test_features: (M, D).
    Reference: Golub, Heath and Wahba (1979), Technometrics 21(2) (leave-one-out residuals in closed form).
    """
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    left, sizes, right = np.linalg.svd((features - centre) / scale, full_matrices=False)
    middle = targets.mean(axis=0)
    inner = left.T @ (targets - middle)
    best, weights = np.inf, np.zeros((features.shape[1], targets.shape[1]))
    for strength in _STRENGTHS:
        shrunk = sizes**2 / (sizes**2 + strength)
        influence = np.square(left) @ shrunk + 1 / len(features)
        residuals = (targets - middle - left @ (shrunk[:, None] * inner)) / np.maximum(1 - influence, 1e-9)[:, None]
        error = float(np.square(residuals).mean())
        if error < best:
            best, weights = error, right.T @ ((sizes / (sizes**2 + strength))[:, None] * inner)
    found: np.ndarray = (test_features - centre) / scale @ weights + middle
    return found


def _answers(rows: Sequence[np.ndarray], targets: np.ndarray, test_rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Answers (M, K) of the baselines that look at the series."""
    length = max(1, max(map(len, rows)))
    known, asked = same_length(rows, length), same_length(test_rows, length)
    band = int(np.ceil(BAND * length))
    chosen = _affordable(len(rows), len(test_rows) * length * (2 * band + 1) * known.shape[2])
    note = "" if len(chosen) == len(rows) else f" ({len(chosen)} of {len(rows)} rows)"
    by_dtw = nearest(known[chosen], asked, lambda asked, known: dynamic_time_warping(asked, known, band))
    return {
        "1-nn-euclidean": targets[nearest(known, asked, euclidean)],
        f"1-nn-dtw{note}": targets[chosen][by_dtw],
        "ridge-statistics": ridge(statistics(rows), targets, statistics(test_rows)),
    }


def _affordable(num_rows: int, cells_a_row: float) -> np.ndarray:
    """Sorted indices of a fixed random choice of training rows whose distances stay within the budget."""
    count = int(min(num_rows, max(1, _DTW_CELLS // max(1, cells_a_row))))
    return np.sort(np.random.default_rng(0).permutation(num_rows)[:count])


def _statistics(row: np.ndarray) -> np.ndarray:
    if not len(row):
        return np.zeros(16 * row.shape[1])
    differences = np.diff(row, axis=0) if len(row) > 1 else np.zeros_like(row)
    times = np.linspace(-1, 1, len(row))[:, None]
    # a piece of a series with fewer steps than pieces repeats the nearest step
    places = np.minimum(np.linspace(0, len(row), _PIECES + 1).astype(np.int64), len(row) - 1)
    pieces = [row[start : max(stop, start + 1)].mean(axis=0) for start, stop in itertools.pairwise(places)]
    parts = [
        row.mean(axis=0),
        row.std(axis=0),
        row.min(axis=0),
        row.max(axis=0),
        row[0],
        row[-1],
        np.abs(differences).mean(axis=0),
        (times * row).mean(axis=0),
        *pieces,
    ]
    return np.concatenate(parts)
