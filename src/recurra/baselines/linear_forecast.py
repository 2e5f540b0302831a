"""Ridge regression of the steps ahead on the steps of a window, all counted from the window's last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from recurra.baselines.histories import Histories, by_length

# multiplications that a fit may take: a few seconds' work on one core
BUDGET = 20_000_000_000
# penalties, as parts of the sum of squares of a step of the windows
PENALTIES = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
_HELD_OUT = 0.2
_CHUNK = 4096


class RidgeForecast:
    """One linear map from window to horizon for all columns of all series: NLinear, in closed form.

    A column's windows weigh by the inverse of its variance; without an intercept the map fits every unit. The penalty
    is chosen on the last fifth of each training part, then all of it is learnt from.

    Attributes:
        context_length: steps of the window, at most what was asked for and half of what the longest training part has
            room for; 0 where that is nothing. Set by `fit`.
        penalty: that of PENALTIES which was chosen; set by `fit`.
    """

    def __init__(self) -> None:
        self.context_length = 0
        self.penalty = float("nan")
        self._weights = np.zeros((0, 0))

    def fit(self, training: Sequence[np.ndarray], horizon: int, context_length: int) -> RidgeForecast:
        """Learn from the training part (T, C) of each series; see `ForecastBaseline.fit`."""
        room = max((len(values) for values in training), default=0) - horizon
        self.context_length = max(0, min(context_length, room // 2))
        if self.context_length < 2:
            self.context_length = 0
            return self
        early, late, between = self._moments(training, horizon)
        every = _Moments(
            early.of_inputs + late.of_inputs + between.of_inputs,
            early.with_targets + late.with_targets + between.with_targets,
        )
        self.penalty = min(PENALTIES, key=lambda penalty: _error(_solve(early, penalty), late))
        self._weights = _solve(every, self.penalty)
        return self

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        """Forecasts (N, horizon, C); beyond the horizon of `fit` the forecast itself is read as history."""

        def of_tails(_: np.ndarray, tails: np.ndarray) -> np.ndarray:
            missing = max(0, self.context_length - tails.shape[1])
            window = np.pad(tails, ((0, 0), (missing, 0), (0, 0)), mode="edge")
            start = window.shape[1]
            while window.shape[1] < start + horizon:
                window = np.concatenate([window, self._ahead(window[:, -self.context_length :])], axis=1)
            return window[:, start : start + horizon]

        return by_length(histories, self.context_length, of_tails)

    def _ahead(self, window: np.ndarray) -> np.ndarray:
        """(N, context_length, C) -> (N, H, C)."""
        last = window[:, -1:]
        return np.moveaxis(np.moveaxis(window[:, :-1] - last, 1, 2) @ self._weights, 1, 2) + last

    def _moments(self, training: Sequence[np.ndarray], horizon: int) -> list[_Moments]:
        """Of the windows that end before the last fifth, of those that lie in it, and of those between."""
        size = self.context_length
        cost = sum(max(0, len(values) - horizon - size) * values.shape[1] for values in training)
        stride = max(1, -(-cost * size * (size + horizon) // BUDGET))
        found = [_Moments(np.zeros((size - 1, size - 1)), np.zeros((size - 1, horizon))) for _ in range(3)]
        for values in training:
            if len(values) < size + horizon:
                continue
            spread = values.std(axis=0)
            columns = np.asarray(values, np.float64)[:, spread > 0] / spread[spread > 0]
            views = sliding_window_view(columns, size + horizon, axis=0)[::-stride][::-1]
            starts = np.arange(len(columns) - size - horizon, -1, -stride)[::-1]
            cut = len(columns) - _HELD_OUT * (len(columns) - size)
            early, late = starts + size + horizon <= cut, starts + size >= cut
            for part, chosen in zip(found, (early, late, ~early & ~late), strict=True):
                _add_products(views[chosen].reshape(-1, size + horizon), size, part)
        return found


class _Moments(NamedTuple):
    """Sums over windows, of steps (L - 1) and targets (H) less the window's last value."""

    of_inputs: np.ndarray
    with_targets: np.ndarray


def _add_products(windows: np.ndarray, size: int, moments: _Moments) -> None:
    for start in range(0, len(windows), _CHUNK):
        centred = windows[start : start + _CHUNK] - windows[start : start + _CHUNK, size - 1 : size]
        inputs = centred[:, : size - 1]
        moments.of_inputs[...] += inputs.T @ inputs
        moments.with_targets[...] += inputs.T @ centred[:, size:]


def _solve(moments: _Moments, penalty: float) -> np.ndarray:
    scale = max(float(np.trace(moments.of_inputs)) / len(moments.of_inputs), np.finfo(float).tiny)
    return np.linalg.solve(moments.of_inputs + penalty * scale * np.eye(len(moments.of_inputs)), moments.with_targets)


def _error(weights: np.ndarray, moments: _Moments) -> float:
    """Sum of squared errors, less a constant."""
    return float((weights * (moments.of_inputs @ weights)).sum() - 2 * (weights * moments.with_targets).sum())
