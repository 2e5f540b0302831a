"""Cheap anomaly scores: how far a value lies from those before it, or from the last one."""

from __future__ import annotations

import numpy as np
import torch

_LEAST_SPREAD = 1e-6


def windowed_gaussian(values: np.ndarray, window: int = 6400, step: int = 100) -> np.ndarray:
    """1 - tail probability of each value under the normal distribution of a window before it.

    With the defaults this is the detector of that name of the Numenta Anomaly Benchmark: the window grows to its full
    length, and then moves on `step` rows at a time.

    Args:
        values: (T,).
        window: rows of the full window.
        step: rows by which it moves.
    Returns:
        (T,) from 0.5 to 1; 0 for the first.
    """
    rows = np.arange(len(values))
    ends = np.where(rows <= window, rows, window + (rows - window) // step * step)
    means, spreads = _moments(values, np.maximum(ends - window, 0), ends)
    z = np.abs(values - means) / np.where(spreads == 0, _LEAST_SPREAD, spreads)
    scores = 1 - torch.special.ndtr(torch.from_numpy(-z)).numpy()
    scores[:1] = 0
    return scores


def gaussian_nats(values: np.ndarray, window: int = 6400) -> tuple[np.ndarray, np.ndarray]:
    """Distance in standard deviations from the rows of a window before, and -log of the normal density.

    Args:
        values: (T,).
        window: rows before each one that count.
    Returns:
        (T,) each; 0 and NaN for the first, which has none before it.
    """
    ends = np.arange(len(values))
    means, spreads = _moments(values, np.maximum(ends - window, 0), ends)
    return _distance(values - means, spreads)


def last_value_nats(values: np.ndarray, window: int = 6400) -> tuple[np.ndarray, np.ndarray]:
    """The same of each value's distance from the one before it, under the normal distribution of such distances."""
    changes = np.diff(values, prepend=values[:1])
    distances, nats = gaussian_nats(changes, window)
    distances[:2], nats[:2] = 0, np.nan
    return distances, nats


def _distance(offsets: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spreads = np.maximum(spreads, 1e-2)
    distances = np.abs(offsets) / spreads
    nats = 0.5 * np.square(distances) + np.log(spreads) + 0.5 * np.log(2 * np.pi)
    distances[:1], nats[:1] = 0, np.nan
    return distances, nats


def _moments(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of rows starts[t] up to ends[t], (T,) each; 0 of none."""
    reference = values[:1].mean() if len(values) else 0.0
    centred = values - reference
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(centred))])
    counts = np.maximum(ends - starts, 1)
    means = (sums[ends] - sums[starts]) / counts
    variance = (squares[ends] - squares[starts]) / counts - np.square(means)
    # what is left of a constant stretch is rounding
    scale = np.maximum(np.abs(squares[ends] - squares[starts]) / counts, np.square(means))
    variance = np.where(variance > 1e-12 * scale, variance, 0.0)
    return means + reference, np.sqrt(np.maximum(variance, 0.0))
