"""Cheap forecasts: what every report of a forecasting model sets beside it.

A history is (T, C): a series up to an origin, as long as it is known. Each baseline takes of it what it needs, so that
`[values[:origin] for origin in origins]` (views, no copies) asks for a forecast at every origin of a series; none sees
anything else. Histories may be of unequal length; none may hold NaN.

Sources: Hyndman and Athanasopoulos, "Forecasting: principles and practice", https://otexts.com/fpp3/, section 5.2 (last
value, seasonal naive, drift); Makridakis, Spiliotis and Assimakopoulos (2020), "The M4 Competition",
https://doi.org/10.1016/j.ijforecast.2019.04.014 (Naive2); Zeng et al. (2023), https://arxiv.org/abs/2205.13504
(NLinear, of which `RidgeForecast` is the closed form).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from recurra.baselines.histories import Histories, by_length, repeat_season
from recurra.baselines.linear_forecast import RidgeForecast
from recurra.baselines.naive2 import Naive2
from recurra.baselines.smoothing import ExponentialSmoothing

SEASONS = 7


class ForecastBaseline(Protocol):
    """A cheap forecaster of series."""

    def fit(self, training: Sequence[np.ndarray], horizon: int, context_length: int) -> ForecastBaseline:
        """Learn what there is to be learnt.

        Args:
            training: the training part of each series, (T, C); lengths may differ, C is the same.
            horizon: steps ahead that matter.
            context_length: how many steps the model beside it reads of a history.
        """

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        """Forecasts (N, horizon, C), float64.

        Args:
            histories: N of (T, C) each, T at least 1; or one array (N, T, C).
            horizon: how many steps ahead; may differ from that of `fit`.
            series: (N,) which of the training series each history belongs to; -1 or None for a new one.
        Raises:
            DataError: a history without a step.
        """


class _Unfitted(ABC):
    """Base of what learns nothing."""

    def fit(self, training: Sequence[np.ndarray], horizon: int, context_length: int) -> ForecastBaseline:
        return self

    @abstractmethod
    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        """As `ForecastBaseline.forecast`."""


class LastValue(_Unfitted):
    """The last value, again and again."""

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        return by_length(histories, 1, lambda _, tails: tails.repeat(horizon, axis=1))


class Drift(_Unfitted):
    """The straight line through the first and the last value of the history."""

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        steps = np.arange(1, horizon + 1)[None, :, None]
        last = by_length(histories, 1, lambda _, tails: tails)
        first = by_length([history[:1] for history in histories], 1, lambda _, heads: heads)
        lengths = np.array([len(history) for history in histories])[:, None, None]
        return last + steps * (last - first) / np.maximum(lengths - 1, 1)


class SeasonMean(_Unfitted):
    """The mean of the values one, two, ... `seasons` periods before; of fewer where the history is shorter.

    With seasons=1 it is the seasonal naive forecast. A history without a whole period gives its last value.
    """

    def __init__(self, period: int, seasons: int = SEASONS) -> None:
        self.period = period
        self.seasons = seasons

    def forecast(self, histories: Histories, horizon: int, series: Sequence[int] | None = None) -> np.ndarray:
        def of_tails(_: np.ndarray, tails: np.ndarray) -> np.ndarray:
            count = tails.shape[1] // self.period
            if count == 0:
                return tails[:, -1:].repeat(horizon, axis=1)
            whole = tails[:, tails.shape[1] - count * self.period :]
            season = whole.reshape(len(tails), count, self.period, -1).mean(axis=1)
            return repeat_season(season, horizon)

        return by_length(histories, self.period * self.seasons, of_tails)


# what is made for one seasonal period in steps; a period of 1 is none
FORECAST_BASELINES: dict[str, Callable[[int], ForecastBaseline]] = {
    "last-value": lambda period: LastValue(),
    "drift": lambda period: Drift(),
    "seasonal-naive": lambda period: SeasonMean(period, seasons=1),
    "season-mean": SeasonMean,
    "naive2": Naive2,
    "ridge": lambda period: RidgeForecast(),
    "exponential-smoothing": ExponentialSmoothing,
}
_OF_EVERY_PERIOD = ("seasonal-naive", "season-mean")


def fitted_baselines(
    training: Sequence[np.ndarray], horizon: int, context_length: int, periods: Sequence[int] = ()
) -> dict[str, ForecastBaseline]:
    """All of FORECAST_BASELINES that make sense for the series, fitted, by the name a report gives them.

    Seasonal ones stand once for each period ("seasonal-naive-24", "seasonal-naive-168") that at least half of the
    training parts are as long as; others look at the first period alone. Exponential smoothing is left out where
    statsmodels (the extra `baselines`) is not installed, ridge regression where no training part has room for a window.

    Args:
        training: as `ForecastBaseline.fit`.
        horizon: as there.
        context_length: as there.
        periods: seasonal periods in steps, shortest first; empty for none.
    """
    length = float(np.median([len(values) for values in training])) if len(training) else 0.0
    usable = [period for period in periods if 1 < period <= length]
    found = {}
    for name, build in FORECAST_BASELINES.items():
        if name == "exponential-smoothing" and find_spec("statsmodels") is None:
            continue
        if name in _OF_EVERY_PERIOD:
            found.update({f"{name}-{period}": build(period) for period in usable})
        elif name != "naive2" or usable:
            found[name] = build(usable[0] if usable else 1)
    fitted = {name: baseline.fit(training, horizon, context_length) for name, baseline in found.items()}
    return {name: one for name, one in fitted.items() if not isinstance(one, RidgeForecast) or one.context_length}
