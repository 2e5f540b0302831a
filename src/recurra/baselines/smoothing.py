"""Exponential smoothing with season and damped trend; statsmodels finds the constants, all histories run together here.

Source: Hyndman and Athanasopoulos, "Forecasting: principles and practice", https://otexts.com/fpp3/, section 8.3
(Holt-Winters' damped method, additive season); on logarithms the season and the trend multiply.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.baselines.histories import Histories, by_length
from recurra.core.errors import MissingExtraError

# steps of a history that are run through; what was longer ago has no weight left
REACH = 1000
# columns whose constants are searched for, and steps of each: about ten seconds' work on one core
FITS = 150
FIT_STEPS = 500
# periods that the start of level, trend and season is made of
_STARTING = 3
# values that constants are searched for of, and origins by which a form is chosen
_FEWEST = 8
_ORIGINS = 3


class Constants(NamedTuple):
    """Smoothing constants, (R, 1) or scalars, each 0..1.

    Attributes:
        level: weight of a new value in the level.
        trend: weight of the level's change in the trend.
        season: weight of a new value in its place of the season.
        damping: what is left of the trend a step later.
        logarithms: 1 where logarithms are smoothed, 0 where values are.
    """

    level: np.ndarray
    trend: np.ndarray
    season: np.ndarray
    damping: np.ndarray
    logarithms: np.ndarray


class ExponentialSmoothing:
    """Holt-Winters: a season of one period, a damped trend or none, on values or logarithms, as suits each column.

    The constants are fitted once for a column of a series, of many columns for an even choice of FITS of them; others,
    and series that training did not see, get the median of those.

    Args:
        period: steps of a season; 1 for none. A history of fewer than two periods is smoothed without.
    """

    def __init__(self, period: int) -> None:
        self.period = period
        self._constants: np.ndarray = np.zeros((1, 1, len(Constants._fields)))

    def fit(self, training: Sequence[np.ndarray], horizon: int, context_length: int) -> ExponentialSmoothing:
        """Find the constants on the training part (T, C) of each series; see `ForecastBaseline.fit`.

        Raises:
            MissingExtraError: statsmodels is not installed.
        """
        num_columns = training[0].shape[1]
        total = len(training) * num_columns
        chosen = np.unique(np.linspace(0, total - 1, min(FITS, total)).astype(int))
        tails = [training[index // num_columns][-FIT_STEPS:, index % num_columns] for index in chosen]
        found = np.array([_fit_column(np.asarray(tail, np.float64), self.period, horizon) for tail in tails])
        # one row more than there are series: the last is for new ones
        medians = np.median(found.reshape(-1, found.shape[1]), axis=0)
        medians[-1] = np.round(medians[-1])
        self._constants = np.tile(medians, (len(training) + 1, num_columns, 1))
        self._constants[chosen // num_columns, chosen % num_columns] = found
        return self

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        """Forecasts (N, horizon, C); see `ForecastBaseline.forecast`."""
        owners = np.full(len(histories), -1) if series is None else np.asarray(series, int)
        reach = max(REACH, (_STARTING + 1) * self.period)

        def of_tails(indices: np.ndarray, tails: np.ndarray) -> np.ndarray:
            constants = self._constants[owners[indices]].reshape(-1, len(Constants._fields))
            rows = np.moveaxis(tails, 1, 2).reshape(-1, tails.shape[1])
            ahead = smooth(rows, Constants(*constants.T[:, :, None]), self.period, horizon)
            return np.moveaxis(ahead.reshape(len(tails), tails.shape[2], horizon), 1, 2)

        return by_length(histories, reach, of_tails)


def smooth(rows: np.ndarray, constants: Constants, period: int, horizon: int) -> np.ndarray:
    """Forecasts (R, horizon) of rows (R, T) by Holt-Winters' damped method; logarithms only of rows above zero."""
    logarithms = (constants.logarithms > 0.5) & (rows > 0).all(axis=1, keepdims=True)
    rows = np.where(logarithms, np.log(np.where(logarithms, rows, 1.0)), rows)
    level, trend, season = _start(rows, period)
    period = season.shape[1]
    for step in range(rows.shape[1]):
        value, place = rows[:, step : step + 1], step % period
        expected = level + constants.damping * trend
        old = season[:, place : place + 1].copy()
        level, before = constants.level * (value - old) + (1 - constants.level) * expected, level
        trend = constants.trend * (level - before) + (1 - constants.trend) * constants.damping * trend
        if period > 1:
            season[:, place : place + 1] = constants.season * (value - expected) + (1 - constants.season) * old
    damped = np.cumsum(constants.damping ** np.arange(1, horizon + 1)[None, :], axis=1)
    ahead = level + damped * trend + season[:, (rows.shape[1] + np.arange(horizon)) % period]
    return np.where(logarithms, np.exp(np.minimum(ahead, 700.0)), ahead)


def _start(rows: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level and trend (R, 1) before the first step and the season (R, period), of the first periods."""
    count = min(_STARTING, rows.shape[1] // period) if period > 1 else 0
    if count < 2:
        return rows[:, :1].copy(), np.zeros((len(rows), 1)), np.zeros((len(rows), 1))
    periods = rows[:, : count * period].reshape(len(rows), count, period)
    means = periods.mean(axis=2)
    trend = (means[:, -1:] - means[:, :1]) / ((count - 1) * period)
    steps = np.arange(period) - (period - 1) / 2
    season = (periods - means[:, :, None] - steps * trend[:, :, None]).mean(axis=1)
    return means[:, :1] - trend * (period + 1) / 2, trend, season


def _fit_column(values: np.ndarray, period: int, horizon: int) -> tuple[float, ...]:
    """The constants for one column (T,): with or without a trend, of values or logarithms, as it forecasts best."""
    if np.ptp(values) == 0 or len(values) < _FEWEST:
        return 1.0, 0.0, 0.0, 0.0, 0.0
    found = [(*_search(values, period, trended=trended), 0.0) for trended in (False, True)]
    if values.min() > 0:
        found += [(*_search(np.log(values), period, trended=trended), 1.0) for trended in (False, True)]
    return min(found, key=lambda constants: _error(values, constants, period, horizon))


def _error(values: np.ndarray, constants: tuple[float, ...], period: int, horizon: int) -> float:
    """Mean absolute error of the last steps, forecast from some origins `horizon` apart."""
    ahead = max(1, min(horizon, len(values) // 4))
    origins = [len(values) - ahead * place for place in range(1, _ORIGINS + 1)]
    given = Constants(*np.array(constants)[:, None, None])
    errors = [
        np.abs(smooth(values[None, :origin], given, period, ahead)[0] - values[origin : origin + ahead]).mean()
        for origin in origins
        if origin >= len(values) // 4
    ]
    return float(np.mean(errors))


def _search(values: np.ndarray, period: int, *, trended: bool) -> tuple[float, float, float, float]:
    """The constants by statsmodels; without a trend its weight and its damping are 0."""
    try:
        from statsmodels.tsa.holtwinters import ExponentialSmoothing as HoltWinters
    except ImportError as absent:
        raise MissingExtraError("statsmodels", "baselines", "The exponential smoothing baseline") from absent
    level, trend, season = _start(values[None], period)
    scale = values.std()
    seasonal = season.shape[1] > 1
    start = {"initial_seasonal": season[0] / scale} if seasonal else {}
    if trended:
        start["initial_trend"] = trend[0, 0] / scale
    with warnings.catch_warnings():
        # a search that stops early leaves constants that are still worth a baseline
        warnings.simplefilter("ignore")
        model = HoltWinters(
            values / scale,
            trend="add" if trended else None,
            damped_trend=trended,
            seasonal="add" if seasonal else None,
            seasonal_periods=period if seasonal else None,
            initialization_method="known",
            initial_level=level[0, 0] / scale,
            **start,
        )
        found = model.fit(use_brute=False).params
    level_weight, season_weight = float(found["smoothing_level"]), float(found["smoothing_seasonal"])
    trend_weight, damping = (float(found[name]) for name in ("smoothing_trend", "damping_trend"))
    return (
        level_weight,
        trend_weight if trended else 0.0,
        season_weight if seasonal else 0.0,
        damping if trended else 0.0,
    )
