"""Forecasts in scikit-learn's manners: fit, predict, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from recurra.core.errors import ConfigError, DataError, did_you_mean
from recurra.data import Frequency, Series, SeriesSet, series_from_frame
from recurra.estimators.base import Estimator
from recurra.estimators.series_files import is_frame, series_csv, series_of_arrays, series_options
from recurra.tasks import Forecasting, ForecastResult, LiveForecast


class Forecaster(Estimator):
    """Forecasts series: `Forecaster(horizon=24).fit(frame).predict(levels=(80, 95))`.

    Data are a pandas or polars frame (a column of dates, and a column a variable; or several series below each other,
    with a column that tells them apart), an array (T,) or (T, C), or a list of such arrays of unequal lengths. What
    `fit` was given, `predict` gives back: a frame, an array or a list.

    Attributes:
        model_: the trained SavedModel, once fitted.
    """

    def __init__(
        self,
        horizon: int = 24,
        context_length: int | None = None,
        recipe: str = "forecast",
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train.

        Args:
            horizon: steps ahead.
            context_length: steps of history that the model is trained on; None: the recipe's.
            recipe: a recipe of forecasting.
            epochs: overrides the recipe's.
            seed: same seed, same numbers.
            options: further dotted options, for example {"task.likelihood": "student-t", "data.series.past": ["wind"]}.
            verbose: print what happens.
        """
        super().__init__(recipe, epochs, seed, options, verbose)
        self.horizon, self.context_length = horizon, context_length

    def fit(self, X: Any, y: None = None) -> Self:
        """Train; the end of each series is held out to choose the best epoch.

        Args:
            X: the data.
            y: nothing; scikit-learn passes it.
        """
        self._frames = series_options(self.options)
        series = self._series(X)
        if is_frame(X):
            known = ("targets", "past", "known", "static")
            self._frames = self._frames.model_copy(update={kind: list(getattr(series, kind)) for kind in known})
        text, reading = series_csv(series)
        overrides = {"task.horizon": self.horizon}
        if self.context_length is not None:
            overrides["task.context_length"] = self.context_length
        self._fit(text, ".csv", overrides, reading=reading)
        self._history, self._kind = series, _Kind(X)
        return self

    def predict(
        self, X: Any = None, *, horizon: int | None = None, levels: Sequence[float] | float = (), known: Any = None
    ) -> Any:
        """What follows the data.

        Args:
            X: the history; None: what was given to `fit`.
            horizon: steps ahead; None: those of the constructor.
            levels: of intervals, in per cent, such as 80 or (80, 95).
            known: covariates known ahead, (H, F) or a frame with their columns, for a lone series.
        Returns:
            For frames, a frame with the columns unique_id, ds, mean, and for each level lo-80, hi-80. For an array or a
            list the point forecasts, (H,) or (H, C) each; with levels a dict of such by column.
        """
        series = self._given(X)
        if known is not None:
            series = _with_known(series, known)
        found = self._answer(series, horizon, levels or None)
        kind = self._kind if X is None else _Kind(X)
        return kind.shaped(found, len(series.targets), bool(levels))

    def predict_samples(self, X: Any = None, *, horizon: int | None = None) -> list[np.ndarray]:
        """(N, H, C) sample paths of each series, of a model that goes step by step.

        Raises:
            ConfigError: the model draws no paths.
        """
        found = self._answer(self._given(X), horizon, None)
        if found[0].samples is None:
            raise ConfigError("this model gives all steps at once, and draws no paths: take recipe='forecast-sampled'.")
        return [one.samples for one in found if one.samples is not None]

    def stream(self, name: str | None = None) -> LiveForecast:
        """A forecast that goes on with each new observation, from the end of the data given to `fit`.

        Args:
            name: of the series (or column); may be left out where there is one.
        """
        rows = {one.name: one for one in self._task().reader.channels(self._given(None))}
        if name is None and len(rows) > 1:
            raise DataError(f"stream: which of {', '.join(list(rows)[:10])}? Name one.")
        chosen = next(iter(rows)) if name is None else name
        if chosen not in rows:
            raise DataError(f"stream: no series `{chosen}`.{did_you_mean(chosen, rows)}")
        live: LiveForecast = self._fitted().live(rows[chosen])
        return live

    def backtest(self, X: Any, stride: int = 1) -> dict[str, float]:
        """Figures of forecasts from one origin after another, all after the time that `fit` saw.

        Args:
            X: the data given to `fit` with what came after them.
            stride: steps from one origin to the next.
        """
        split = self._task().reader.rolling(self._given(X), self.horizon, stride)
        return self._fitted().evaluate_split(split)[0]

    def score(self, X: Any, y: None = None) -> float:
        """Minus the mean absolute error, in training spreads, of what follows the data given to `fit`: more is better.

        Args:
            X: the steps that followed, in the form of the data; at most `horizon` of them count.
            y: nothing; scikit-learn passes it.
        """
        task, later = self._task(), self._given(X)
        came = {one.name: one.values[: self.horizon] for one in task.reader.channels(later)}
        rows = [one for one in task.reader.channels(self._given(None)) if one.name in came]
        if not rows:
            raise DataError(f"score: none of the series {', '.join(came)} was given to fit.")
        horizon = min(len(came[one.name]) for one in rows)
        saved = self._fitted().asked_for(horizon=horizon)
        return -saved.evaluate_items(rows, [came[one.name][:horizon] for one in rows])["mae_scaled"]

    def _task(self) -> Forecasting:
        task = self._fitted().task
        assert isinstance(task, Forecasting), "a recipe of forecasting makes a forecasting task"
        return task

    def _answer(
        self, series: SeriesSet, horizon: int | None, levels: Sequence[float] | float | None
    ) -> list[ForecastResult]:
        saved = self._fitted()
        if horizon is not None or levels is not None:
            saved = saved.asked_for(horizon=horizon, levels=levels)
        return saved.predictions(self._task().reader.channels(series))

    def _given(self, X: Any) -> SeriesSet:
        fit = self._task().fit
        return self._history if X is None else self._series(X, fit.frequency)

    def _series(self, X: Any, usual: Frequency | None = None) -> SeriesSet:
        if is_frame(X):
            return series_from_frame(X, self._frames, "the data", usual)
        return series_of_arrays(X if _Kind(X).is_list else [X], self._frames)


class _Kind:
    """The form of data, and forecasts in the same form."""

    def __init__(self, X: Any) -> None:
        self.library = type(X).__module__.split(".")[0] if is_frame(X) else ""
        self.is_list = isinstance(X, list | tuple) and any(np.ndim(one) for one in X)
        self._flat = np.ndim(X[0] if self.is_list else X) == 1 if not self.library else False

    def shaped(self, found: list[ForecastResult], width: int, wide: bool) -> Any:
        """A frame, an array, or a list of arrays.

        Args:
            found: of each row that was forecast.
            width: columns of a series.
            wide: whether intervals are wanted beside the points.
        """
        if self.library:
            return self._frame(found, wide)
        tables = [one.table() if wide else one.mean[..., None] for one in found]
        rows = width // len(found[0].channels)
        joined = [np.concatenate(tables[at : at + rows], axis=1) for at in range(0, len(tables), rows)]
        names = found[0].columns() if wide else ["mean"]
        parts = {name: [self._one(table[..., place]) for table in joined] for place, name in enumerate(names)}
        shaped = {name: values if self.is_list else values[0] for name, values in parts.items()}
        return shaped if wide else shaped["mean"]

    def _one(self, table: np.ndarray) -> np.ndarray:
        return table[:, 0] if self._flat else table

    def _frame(self, found: list[ForecastResult], wide: bool) -> Any:
        names = found[0].columns() if wide else ["mean"]
        columns: dict[str, Any] = {
            "unique_id": [name for one in found for name in one.channels for _ in one.stamps],
            "ds": np.concatenate([one.stamps for one in found for _ in one.channels]),
        }
        for place, name in enumerate(names):
            tables = [one.table()[..., place] if wide else one.mean for one in found]
            columns[name] = np.concatenate([table.T.ravel() for table in tables])
        if self.library == "polars":
            import polars

            if columns["ds"].dtype.kind == "M":
                columns["ds"] = columns["ds"].astype("datetime64[ms]")
            return polars.DataFrame(columns)
        if self.library == "pandas":
            import pandas

            return pandas.DataFrame(columns)
        return columns


def _with_known(series: SeriesSet, known: Any) -> SeriesSet:
    """A lone series with covariates of the steps ahead."""
    if len(series) != 1:
        raise DataError("known: several series have covariates of their own; give them as rows without values.")
    one: Series = series.series[0]
    table = known
    if hasattr(known, "columns"):
        missing = [name for name in series.known if name not in known.columns]
        if missing:
            raise DataError(f"known: has no column {missing[0]!r}; {', '.join(series.known)} are wanted.")
        table = np.stack([np.asarray(known[name]) for name in series.known], axis=1)
    try:
        rows = np.asarray(table, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"known: numbers are wanted, (H, F) ({error}).") from error
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != len(series.known):
        columns = rows.shape[-1] if rows.ndim else 0
        raise DataError(f"known: has {columns} columns, and {len(series.known)} covariates are known ahead.")
    empty = np.argwhere(~np.isfinite(rows))
    if len(empty):
        step, place = empty[0]
        raise DataError(f"known: {series.known[place]!r} has no finite value {step + 1} steps ahead.")
    joined = np.concatenate([one.known[: len(one)], rows])
    return replace(series, series=(replace(one, known=joined),))
