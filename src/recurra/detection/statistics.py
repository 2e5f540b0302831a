"""Windows over columns that come in blocks of any size: short means, and what came before over a long window.

Axes: n rows of a block, S columns. Two blocks in a row give what one block of all their rows gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class ShortMeans:
    """Means of the last rows of each column, NaN left out.

    Args:
        windows: how many rows each mean is over; at the start, over as many as there are.
        num_columns: S.
    """

    def __init__(self, windows: Sequence[int], num_columns: int) -> None:
        self._windows = tuple(windows)
        self._tail = np.full((max(self._windows, default=1) - 1, num_columns), np.nan)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """(n, S) -> (n, len(windows) * S), the columns of the first window first; NaN where a mean is over nothing."""
        rows = np.concatenate([self._tail, block])
        self._tail = rows[len(block) :]
        means = [self._mean(rows[len(rows) - len(block) - window + 1 :], window) for window in self._windows]
        return np.concatenate(means, axis=1) if means else np.empty((len(block), 0))

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"tail": _to_json(self._tail)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` stood."""
        self._tail = _from_json(state["tail"], self._tail.shape[1])

    @staticmethod
    def _mean(rows: np.ndarray, window: int) -> np.ndarray:
        known = ~np.isnan(rows)
        if window == 1:
            return rows
        totals = sliding_window_view(np.where(known, rows, 0.0), window, axis=0).sum(axis=-1)
        counts = sliding_window_view(known, window, axis=0).sum(axis=-1)
        return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


class LongRecords:
    """The highest and lowest value of each column before each row.

    Args:
        length: how many rows back it looks; None: all of them.
        num_columns: S.
    """

    def __init__(self, length: int | None, num_columns: int) -> None:
        self._length = length
        rows = 1 if length is None else length
        self._high = np.full((rows, num_columns), np.nan)
        self._low = self._high

    def __call__(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, S) -> highest and lowest, (n, S) each, the row itself left out; NaN where nothing came before."""
        high, low = np.concatenate([self._high, block]), np.concatenate([self._low, block])
        if self._length is None:
            high, low = np.fmax.accumulate(high), np.fmin.accumulate(low)
            self._high, self._low = high[-1:], low[-1:]
            return high[:-1], low[:-1]
        self._high = self._low = high[len(block) :]
        return _extremes_of_windows(np.fmax, high[:-1], self._length), _extremes_of_windows(
            np.fmin, low[:-1], self._length
        )

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"high": _to_json(self._high), "low": _to_json(self._low)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` stood."""
        size = self._high.shape[1]
        self._high, self._low = _from_json(state["high"], size), _from_json(state["low"], size)


class LongMoments:
    """Mean and standard deviation of each column before each row.

    Args:
        length: how many rows back it looks; None: all of them.
        num_columns: S.
    """

    def __init__(self, length: int | None, num_columns: int) -> None:
        self._length = length
        self._rows = np.full((length or 0, num_columns), np.nan)
        # of all rows before the block: how many, their mean, their squared distance from it
        self._moments = np.zeros((3, num_columns))

    def __call__(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, S) -> mean and deviation, (n, S) each, the row itself left out; NaN where nothing came before."""
        if self._length is not None:
            rows = np.concatenate([self._rows, block])
            self._rows = rows[len(block) :]
            return _moments_of_windows(rows[:-1], self._length)
        count, mean, squares = self._moments
        known = ~np.isnan(block)
        # something near the mean is taken off, so that large values lose no digits
        first = block[known.argmax(axis=0), np.arange(block.shape[1])] if len(block) else mean
        mean = np.where((count == 0) & ~np.isnan(first), first, mean)
        centred = np.where(known, block - mean, 0.0)
        counts = np.concatenate([count[None], count + known.cumsum(axis=0)])
        sums = np.concatenate([np.zeros_like(mean)[None], centred.cumsum(axis=0)])
        raw = np.concatenate([squares[None], squares + np.square(centred).cumsum(axis=0)])
        moved = sums / np.maximum(counts, 1)
        spread = np.maximum(raw - counts * np.square(moved), 0.0)
        self._moments = np.stack([counts[-1], mean + moved[-1], spread[-1]])
        return _settled(counts[:-1], mean + moved[:-1], spread[:-1])

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"rows": _to_json(self._rows), "moments": self._moments.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` stood."""
        self._rows = _from_json(state["rows"], self._rows.shape[1])
        self._moments = np.array(state["moments"])


def _extremes_of_windows(extreme: np.ufunc, rows: np.ndarray, length: int) -> np.ndarray:
    """Highest or lowest of each window of `length` rows, in three passes whatever the length.

    A window lies in two blocks of that length: it holds an end of the first and a beginning of the second, whose
    extremes are running ones: van Herk (1992), Pattern Recognition Letters 13(7).
    """
    missing = -len(rows) % length
    blocks = np.concatenate([rows, np.full((missing, rows.shape[1]), np.nan)]).reshape(-1, length, rows.shape[1])
    beginnings = extreme.accumulate(blocks, axis=1).reshape(-1, rows.shape[1])
    ends = extreme.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].reshape(-1, rows.shape[1])
    count = len(rows) - length + 1
    found: np.ndarray = extreme(ends[:count], beginnings[length - 1 : length - 1 + count])
    return found


def _moments_of_windows(rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each window of `length` rows, from running sums."""
    known = ~np.isnan(rows)
    # something near the mean is taken off, so that large values lose no digits
    reference = rows[known.argmax(axis=0), np.arange(rows.shape[1])]
    centred = np.where(known, rows - np.nan_to_num(reference), 0.0)
    nothing = np.zeros((1, rows.shape[1]))
    counts, sums, raw = (
        running[length:] - running[:-length]
        for part in (known.astype(float), centred, np.square(centred))
        for running in [np.concatenate([nothing, part.cumsum(axis=0)])]
    )
    mean = sums / np.maximum(counts, 1)
    squares = np.maximum(raw - counts * np.square(mean), 0.0)
    return _settled(counts, mean + np.nan_to_num(reference), squares)


def _settled(counts: np.ndarray, mean: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    none = counts == 0
    return np.where(none, np.nan, mean), np.where(none, np.nan, np.sqrt(squares / np.maximum(counts, 1)))


def _to_json(rows: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


def _from_json(rows: Sequence[Sequence[float | None]], num_columns: int) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64).reshape(
        len(rows), num_columns
    )
