"""Series as a fitted task takes them: rows with their scales, and the origins to forecast from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.core.errors import DataError
from recurra.data import DataConfig, Series, SeriesSet, window_origins
from recurra.tasks.forecast_fit import ForecastFit, channels_of, fit_scale
from recurra.tasks.forecast_options import ForecastingConfig
from recurra.tasks.forecast_results import stamp_texts
from recurra.tasks.forecast_windows import ForecastRow, ForecastSplit
from recurra.tasks.series_items import read_as_before

_FAR = 100.0
"""Spreads from the mean of the training, beyond which a person is told: no trend of years goes so far."""


class ForecastReader:
    """Series as a fitted task takes them.

    Args:
        config: the options.
        fit: what was fitted.
    """

    def __init__(self, config: ForecastingConfig, fit: ForecastFit) -> None:
        self.config, self.fit = config, fit
        self._joint = config.channels == "joint"

    def reading(self, data: DataConfig) -> DataConfig:
        """`data`, whose options of series are those of the training where it says nothing."""
        return read_as_before(data, self.fit.reading)

    def channels(self, series: SeriesSet) -> list[Series]:
        """The rows that are forecast.

        Raises:
            DataError: another frequency, or other covariates, than those of the training.
        """
        fit = self.fit
        if series.frequency is not None and fit.frequency is not None and series.frequency != fit.frequency:
            shortest = min(map(len, series.series))
            if shortest > 2:
                raise DataError(
                    f"{series.source}: has steps of {series.frequency}, and the model was trained on {fit.frequency}. "
                    f"Give series of {fit.frequency}, or bring them to it with data.series.frequency={fit.frequency}."
                )
        for kind in ("past", "known", "static"):
            given, wanted = getattr(series, kind), getattr(fit, kind)
            if len(given) != len(wanted):
                raise DataError(
                    f"{series.source}: the model was trained with {kind} covariates {', '.join(wanted) or 'none'}, and "
                    f"here are {', '.join(given) or 'none'}. Name the same columns in data.series.{kind}."
                )
        return channels_of(series, self._joint, fit.alone and len(series.series) == 1)

    def channel_names(self, series: Series) -> tuple[str, ...]:
        """(C,) names of what a row forecasts."""
        if not self._joint or len(self.fit.targets) == 1:
            return (series.name,)
        return self.fit.targets if self.fit.alone else tuple(f"{series.name}/{target}" for target in self.fit.targets)

    def row(self, series: Series, until: int | None = None) -> ForecastRow:
        """A series with its scale: of the training part if it was in training, else of its own first `until` steps."""
        fit = self.fit
        scale = fit.scales.get(series.name)
        if scale is None:
            scale = fit_scale(series.values[:until], self.config.scaling)
        stamps = series.stamps
        calendar = np.zeros((len(stamps), 0))
        if fit.calendar:
            ahead = max(self.config.horizon, len(series.known) - len(stamps), 1)
            calendar = fit.dated(np.concatenate([stamps, fit.continued(stamps, ahead)]))
        return ForecastRow(series, scale, calendar, fit.places.get(series.name, -1))

    def ending(self, series: SeriesSet, horizon: int) -> ForecastSplit:
        """The last `horizon` steps of each series are what came.

        Raises:
            DataError: a series is too short, or ends within the time of training.
        """
        rows = self.channels(series)
        for one in rows:
            if len(one) <= horizon:
                raise DataError(
                    f"{series.source}: series {one.name!r} has {len(one)} steps: {horizon} to be forecast and at least "
                    "one before them are wanted. Give the file of the history as well (--data.test "
                    "[history.csv,new.csv] joins series of one name), or a shorter horizon."
                )
            self._require_later(one, len(one) - horizon, series.source)
        places = np.array([[place, len(one) - horizon] for place, one in enumerate(rows)])
        return self._split(rows, places, horizon)

    def rolling(self, series: SeriesSet, horizon: int, stride: int) -> ForecastSplit:
        """Every `stride`-th origin after the time of training and validation.

        Raises:
            DataError: there is none.
        """
        rows = self.channels(series)
        firsts = np.array([max(self.first_origin(one, horizon), first_known(one)) for one in rows])
        places = window_origins(firsts, np.array([len(one) for one in rows]), horizon, stride)
        if not len(places):
            one, first = rows[0], int(firsts[0])
            raise DataError(
                f"{series.source}: no origin is left for a backtest: {horizon} steps must follow each, and training "
                f"and validation looked at series {one.name!r} up to {self._end(one, first)}, which leaves "
                f"{len(one) - first}. Give newer rows, ask for a shorter --horizon, or train with data.test_fraction "
                "above 0, which keeps the end unseen."
            )
        return self._split(rows, places, horizon)

    def asked(self, items: Sequence[Any], horizon: int) -> ForecastSplit:
        """What follows the end of each series.

        Raises:
            DataError: a series does not fit the task.
        """
        rows = [self._checked(self.as_series(item, number)) for number, item in enumerate(items)]
        for one in rows:
            self._tell_of_another_level(one)
        places = np.array([[place, len(one)] for place, one in enumerate(rows)])
        return self._split(rows, places, horizon, asked=True)

    def labelled(self, items: Sequence[Any], targets: Sequence[Any], horizon: int) -> ForecastSplit:
        """What follows is known.

        Raises:
            DataError: series and targets do not fit together.
        """
        if len(items) != len(targets):
            raise DataError(f"{len(items)} series and {len(targets)} targets: the steps that follow each are wanted.")
        rows, places = [], []
        for number, (item, target) in enumerate(zip(items, targets, strict=True)):
            one = self._checked(self.as_series(item, number))
            came = np.asarray(target, dtype=np.float64).reshape(len(target), -1)
            if came.shape != (horizon, one.values.shape[1]):
                raise DataError(
                    f"target {number} has shape {np.shape(target)}: ({horizon}, {one.values.shape[1]}) is wanted, the "
                    f"steps that follow series {one.name!r}."
                )
            places.append([number, len(one)])
            rows.append(
                replace(
                    one,
                    stamps=np.concatenate([one.stamps, self.fit.continued(one.stamps, horizon)]),
                    values=np.concatenate([one.values, came]),
                    past=np.pad(one.past, ((0, horizon), (0, 0)), mode="edge"),
                    rows=None,
                )
            )
        return self._split(rows, np.array(places), horizon)

    def as_series(self, item: Any, number: int) -> Series:
        """An item: a `Series`, or an array (T,) or (T, C)."""
        if isinstance(item, Series):
            return item
        try:
            values = np.asarray(item, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"item {number} is {type(item).__name__}: a Series or an array of numbers is wanted."
            ) from error
        if values.ndim not in (1, 2):
            raise DataError(f"item {number} has shape {values.shape}: (T,) or (T, C) is wanted.")
        columns, nothing = values if values.ndim == 2 else values[:, None], np.zeros((len(values), 0))
        return Series(str(number), np.arange(len(values)), columns, nothing, nothing, np.zeros(0))

    def first_origin(self, series: Series, horizon: int) -> int:
        """The first origin after all that training and validation looked at."""
        end = self.fit.ends.get(series.name)
        if end is None:
            return max(1, min(self.config.context_length, len(series) - horizon))
        dated = series.stamps.dtype.kind == "M"
        if end.isdigit() == dated:
            raise DataError(
                f"series {series.name!r} has {'dates' if dated else 'no dates'} here, and had "
                f"{'none' if dated else 'some'} in training, which went up to {end}: it can't be told what the model "
                "has seen. Name the column of dates with data.series.stamp, or leave it out, as in training."
            )
        return int(np.searchsorted(series.stamps, _stamp(end, series.stamps), side="right"))

    def _require_later(self, series: Series, origin: int, source: str) -> None:
        first = self.first_origin(series, 1) if series.name in self.fit.ends else 0
        if origin < first:
            stamp = stamp_texts(series.stamps[origin : origin + 1])[0]
            raise DataError(
                f"{source}: training and validation looked at series {series.name!r} up to {self._end(series, first)}, "
                f"so that a forecast from {stamp} on would be judged by what the model has seen. Give rows that go on "
                "for at least the horizon after that; where they have no dates, with the file of the history before "
                "them (--data.test [history.csv,new.csv])."
            )

    def _tell_of_another_level(self, series: Series) -> None:
        """A series of the training that comes in other units is forecast by its old scale: a person should know."""
        scale = self.fit.scales.get(series.name) if self.config.scaling == "standard" else None
        away = 0.0 if scale is None else float(np.abs((series.values[-1] - scale.shift) / scale.spread).max())
        if away > _FAR:
            logging.getLogger("recurra").warning(
                "recurra: the last value of series %r lies %.3g spreads from its mean in training, by which it "
                "is forecast all the same. Are the units those of the training?",
                series.name,
                away,
            )

    def _end(self, series: Series, first: int) -> str:
        return self.fit.ends.get(series.name, "the beginning") if first else "nothing"

    def _checked(self, series: Series) -> Series:
        """A series of the sizes of the task."""
        size = len(self.fit.targets) if self._joint else 1
        if series.values.shape[1] != size:
            raise DataError(
                f"series {series.name!r} has {series.values.shape[1]} columns, and this model forecasts {size} at a "
                "time. Take the items as model.items(FILE) gives them."
            )
        if not len(series):
            raise DataError(f"series {series.name!r} is empty: a forecast needs one value at least.")
        if np.isinf(series.values).any() or np.isnan(series.values).all():
            raise DataError(f"series {series.name!r} holds no number, or an infinite one.")
        for kind in ("past", "known", "static"):
            given, wanted = getattr(series, kind).shape[-1], getattr(self.fit, kind)
            if given != len(wanted):
                raise DataError(
                    f"series {series.name!r} has {given} {kind} covariates, and this model wants {len(wanted)}"
                    f"{': ' + ', '.join(wanted) if wanted else ''}."
                )
        return series

    def _split(self, rows: Sequence[Series], places: np.ndarray, horizon: int, *, asked: bool = False) -> ForecastSplit:
        firsts: dict[int, int] = {}
        for row, origin in places.tolist():
            firsts[row] = min(origin, firsts.get(row, origin))
        table = tuple(self._long_row(one, firsts.get(number), horizon) for number, one in enumerate(rows))
        context_length = None if asked else self.config.context_length
        return ForecastSplit(
            table, places, horizon, context_length, self.fit, asked=asked, trained_horizon=self.config.horizon
        )

    def _long_row(self, series: Series, until: int | None, horizon: int) -> ForecastRow:
        row = self.row(series, until)
        if self.fit.calendar and len(row.calendar) < len(series) + horizon:
            stamps = np.concatenate([series.stamps, self.fit.continued(series.stamps, horizon)])
            row = replace(row, calendar=self.fit.dated(stamps))
        return row


def first_known(series: Series) -> int:
    """How many steps pass until each column had a value: an origin before that has no history to go on."""
    known = ~np.isnan(series.values)
    return int(known.argmax(axis=0).max()) + 1


def _stamp(text: str, like: np.ndarray) -> Any:
    """A stored stamp as those of a series."""
    return np.datetime64(text, "s") if like.dtype.kind == "M" else like.dtype.type(text)
