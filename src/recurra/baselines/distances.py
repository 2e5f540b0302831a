"""Distances between whole series: Euclidean, and dynamic time warping within a band, for all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PAIRS_AT_ONCE = 20_000
"""Pairs whose dynamic programme runs together: its rows then fit into a cache."""


def same_length(rows: Sequence[np.ndarray], num_steps: int) -> np.ndarray:
    """Series (T_i, C), each stretched by straight lines to `num_steps` steps: (N, num_steps, C) float32.

    A series without steps becomes zeros.
    """
    stacked = np.zeros((len(rows), num_steps, rows[0].shape[1] if len(rows) else 0), dtype=np.float32)
    for place, row in enumerate(rows):
        if len(row) == num_steps:
            stacked[place] = row
        elif len(row):
            where = np.linspace(0, len(row) - 1, num_steps)
            below = np.minimum(where.astype(np.int64), len(row) - 1)
            above = np.minimum(below + 1, len(row) - 1)
            part = (where - below)[:, None]
            stacked[place] = row[below] * (1 - part) + row[above] * part
    return stacked


def euclidean(queries: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Squared distances (M, N) of series (M, T, C) and (N, T, C), over all steps and dimensions."""
    return _squares(queries.reshape(len(queries), -1), known.reshape(len(known), -1))


def dynamic_time_warping(queries: np.ndarray, known: np.ndarray, band: int) -> np.ndarray:
    """Squared DTW distances (M, N): the cheapest way to step through both series, at most `band` steps apart.

    The cost of a pair of steps is their squared distance over all dimensions (dependent DTW).

    Args:
        queries: (M, T, C).
        known: (N, T, C).
        band: width of the Sakoe-Chiba band; 0 gives the Euclidean distance.
    Reference: Sakoe and Chiba (1978), IEEE Transactions on Acoustics, Speech and Signal Processing 26(1);
        Shokoohi-Yekta et al. (2017), https://doi.org/10.1007/s10618-016-0455-0 (dependent DTW).
    """
    size = max(1, _PAIRS_AT_ONCE // max(1, len(known)))
    parts = [_warped(queries[start : start + size], known, band) for start in range(0, len(queries), size)]
    return np.concatenate(parts) if parts else np.zeros((0, len(known)), dtype=np.float32)


def _warped(queries: np.ndarray, known: np.ndarray, band: int) -> np.ndarray:
    num_steps = queries.shape[1]
    endless = np.full((len(queries), len(known)), np.inf, dtype=np.float32)
    before = [np.zeros_like(endless), *[endless] * num_steps]
    steps = [np.ascontiguousarray(known[:, step].T) for step in range(num_steps)]
    lengths = [np.square(step).sum(axis=0) for step in steps]
    for row in range(num_steps):
        query = np.ascontiguousarray(queries[:, row])
        own = np.square(query).sum(axis=1)[:, None]
        now = [endless] * (num_steps + 1)
        for column in range(max(0, row - band), min(num_steps, row + band + 1)):
            cost = query @ steps[column]
            cost *= -2
            cost += own
            cost += lengths[column]
            np.maximum(cost, 0, out=cost)
            cheapest = np.minimum(before[column], before[column + 1])
            np.minimum(cheapest, now[column], out=cheapest)
            cheapest += cost
            now[column + 1] = cheapest
        before = now
    return before[num_steps]


def _squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1)[None] - 2 * first @ second.T
    return np.maximum(squares, 0)
