"""Naive2, the benchmark of the M4 competition: the last value without its season, the season put back.

Definition: "Benchmarks and Evaluation.R" of https://github.com/Mcompetitions/M4-methods; the season is that of R's
`decompose`: ratios to a centred moving average, their mean for each place in the season, scaled to a mean of one. Two
things are our own: histories that are not above zero are decomposed by differences instead of ratios, and the test sees
every lag (R's sees none beyond 10 log10 T).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recurra.baselines.histories import Histories, by_length, repeat_season

# the competition's hourly series are the longest that it was ever asked for
REACH = 1000
_CRITICAL = 1.645


class Naive2:
    """The last value, seasonally adjusted where a test at 90 % finds a season; reads at most the last 1,000 steps.

    Args:
        period: steps of a season; 1 for none.
    """

    def __init__(self, period: int) -> None:
        self.period = period

    def fit(self, training: Sequence[np.ndarray], horizon: int, context_length: int) -> Naive2:
        """Nothing is learnt."""
        return self

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        """Forecasts (N, horizon, C); see `ForecastBaseline.forecast`."""
        return by_length(histories, max(REACH, 4 * self.period), lambda _, tails: self._of_tails(tails, horizon))

    def _of_tails(self, tails: np.ndarray, horizon: int) -> np.ndarray:
        rows = np.moveaxis(tails, 1, 2).reshape(-1, tails.shape[1])
        found = self._of_rows(rows, horizon).reshape(len(tails), tails.shape[2], horizon)
        return np.moveaxis(found, 1, 2)

    def _of_rows(self, rows: np.ndarray, horizon: int) -> np.ndarray:
        """(R, T) -> (R, horizon)."""
        found = rows[:, -1:].repeat(horizon, axis=1)
        seasonal = is_seasonal(rows, self.period)
        positive = (rows > 0).all(axis=1)
        for chosen, ratios in ((seasonal & positive, True), (seasonal & ~positive, False)):
            if chosen.any():
                figure = seasonal_figure(rows[chosen], self.period, ratios=ratios)
                last, ahead = rows[chosen, -1:], repeat_season(figure, horizon)
                found[chosen] = last / figure[:, -1:] * ahead if ratios else last - figure[:, -1:] + ahead
        return found


def is_seasonal(rows: np.ndarray, period: int) -> np.ndarray:
    """Whether each row's autocorrelation at the period is beyond a 90 % bound made of those before it.

    Args:
        rows: (R, T).
        period: in steps; rows of fewer than three periods have no season, nor has a period of 1.
    Returns:
        (R,) bool.
    """
    length = rows.shape[1]
    if period <= 1 or length < 3 * period:
        return np.zeros(len(rows), bool)
    centred = rows - rows.mean(axis=1, keepdims=True)
    power = np.einsum("rt,rt->r", centred, centred)
    lags = [np.einsum("rt,rt->r", centred[:, lag:], centred[:, :-lag]) for lag in range(1, period + 1)]
    correlations = np.stack(lags, axis=1) / np.where(power > 0, power, 1.0)[:, None]
    bounds = _CRITICAL * np.sqrt((1 + 2 * np.square(correlations[:, :-1]).sum(axis=1)) / length)
    return np.abs(correlations[:, -1]) > bounds


def seasonal_figure(rows: np.ndarray, period: int, *, ratios: bool) -> np.ndarray:
    """The season of each row, from the step after its end on.

    Args:
        rows: (R, T), T at least three periods.
        period: in steps.
        ratios: a season that is multiplied (mean one), else one that is added (mean zero).
    Returns:
        (R, period).
    """
    length, half = rows.shape[1], period // 2
    reach = length - 2 * half
    sums = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1)
    trend = sums[:, 2 * half + 1 :] - sums[:, :reach]
    if period % 2 == 0:
        # a centred window of an even season has one step more, whose ends count half
        trend -= (rows[:, :reach] + rows[:, 2 * half :]) / 2
    trend /= period
    inner = rows[:, half : length - half]
    parts = inner / trend if ratios else inner - trend
    places = (np.arange(half, length - half) - length) % period
    figure = np.stack([parts[:, places == place].mean(axis=1) for place in range(period)], axis=1)
    mean = figure.mean(axis=1, keepdims=True)
    return figure / mean if ratios else figure - mean
