"""What forecasting learns of the training part before any model does: names, scales, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from recurra.core.errors import DataError
from recurra.data import Frequency, Series, SeriesSet, calendar_features
from recurra.data.series_types import carried_forward
from recurra.tasks.forecast_residuals import recalibrated, residual_quantiles
from recurra.tasks.forecast_results import stamp_texts

Scaling = Literal["standard", "mean", "none"]


class Scale(NamedTuple):
    """Units of one row of values: (value - shift) / scale is what a model sees.

    Attributes:
        shift: (C,).
        scale: (C,) above 0.
        spread: (C,) standard deviation, above 0, whatever the scaling: the unit of `mse_scaled`.
    """

    shift: np.ndarray
    scale: np.ndarray
    spread: np.ndarray


def fit_scale(values: np.ndarray, scaling: Scaling) -> Scale:
    """The scale of values (T, C), NaN left out; what does not vary has a spread of 1."""
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=0) / counts
    spread = np.sqrt((np.square(filled - mean) * known).sum(axis=0) / counts)
    # a spread of rounding errors is none
    spread = np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300), spread, 1.0)
    zero = np.zeros_like(mean)
    if scaling == "none":
        return Scale(zero, zero + 1, spread)
    if scaling == "mean":
        size = np.abs(filled).sum(axis=0) / counts
        return Scale(zero, np.where(size > 0, size, 1.0), spread)
    return Scale(mean, spread, spread)


@dataclass(frozen=True, kw_only=True)
class ForecastFit:
    """All that was fitted.

    Attributes:
        targets: names of the columns that are forecast.
        past: names of covariates that end with the values.
        known: names of covariates known ahead.
        static: names of features of a series as a whole.
        alone: whether the training data was one series, whose columns then stand for themselves.
        reading: options by which its files were read.
        frequency: time between steps, or None.
        periods: seasonal periods in steps.
        calendar: features of the calendar that the model is told.
        holidays: dates, as texts, where one of them is `holiday`.
        scales: by name of a row, in the order in which models number them.
        ends: by name of a row, the last stamp that training or validation looked at.
        covariates: "past", "known", "static" -> means and spreads.
        residuals: (H, C, P) quantiles of validation errors in spreads, where the model knows points alone; P is that of
            `RESIDUAL_LEVELS`.
        recalibration: (P,) levels to ask a distribution for in the place of those, or None.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    alone: bool
    reading: dict[str, Any]
    frequency: Frequency | None
    periods: tuple[int, ...]
    calendar: tuple[str, ...]
    holidays: tuple[str, ...]
    scales: Mapping[str, Scale]
    ends: Mapping[str, str]
    covariates: Mapping[str, tuple[np.ndarray, np.ndarray]]
    residuals: np.ndarray | None = None
    recalibration: np.ndarray | None = None

    @property
    def season(self) -> int:
        """The shortest period; 1 where there is none."""
        return min(self.periods, default=1)

    @cached_property
    def places(self) -> dict[str, int]:
        """Which of the training rows a name is."""
        return {name: place for place, name in enumerate(self.scales)}

    @cached_property
    def _errors(self) -> dict[tuple[int, tuple[float, ...]], np.ndarray]:
        return {}

    def errors(self, horizon: int, probabilities: tuple[float, ...]) -> np.ndarray | None:
        """(horizon, C, Q) quantiles of validation errors in spreads, where the model knows points alone, else None."""
        if self.residuals is None:
            return None
        key = (horizon, probabilities)
        if key not in self._errors:
            self._errors[key] = residual_quantiles(self.residuals, horizon, probabilities)
        return self._errors[key]

    def asked(self, probabilities: tuple[float, ...]) -> tuple[float, ...]:
        """The levels to ask a distribution for, so that as many values lie below as `probabilities` say."""
        if self.recalibration is None:
            return probabilities
        return tuple(recalibrated(self.recalibration, probabilities).tolist())

    def scaled(self, kind: str, values: np.ndarray) -> np.ndarray:
        """Covariates (..., P) in their training spreads."""
        mean, spread = self.covariates[kind]
        return (values - mean) / spread

    def dated(self, stamps: np.ndarray) -> np.ndarray:
        """(T, F) features of the calendar."""
        holidays = np.array(self.holidays, dtype="datetime64[D]")
        return calendar_features(stamps, self.calendar, holidays)

    def continued(self, stamps: np.ndarray, count: int) -> np.ndarray:
        """The stamps of the `count` steps that follow."""
        if stamps.dtype.kind == "M" and self.frequency is not None:
            return self.frequency.step(stamps, count)
        steps = np.diff(stamps)
        usual = np.median(steps.astype(np.int64)).astype(np.int64) if len(steps) else 1
        return stamps[-1] + (usual * np.arange(1, count + 1)).astype(steps.dtype)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        names = ("targets", "past", "known", "static", "alone", "reading", "periods", "calendar", "holidays")
        return {
            **{name: getattr(self, name) for name in names},
            "frequency": None if self.frequency is None else str(self.frequency),
            "scales": {name: [part.tolist() for part in scale] for name, scale in self.scales.items()},
            "ends": dict(self.ends),
            "covariates": {kind: [part.tolist() for part in parts] for kind, parts in self.covariates.items()},
            "residuals": None if self.residuals is None else self.residuals.tolist(),
            "recalibration": None if self.recalibration is None else self.recalibration.tolist(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ForecastFit:
        """What `to_json` gave."""
        given = dict(stored)
        names = ("targets", "past", "known", "static", "periods", "calendar", "holidays")
        given |= {name: tuple(given[name]) for name in names}
        given["frequency"] = None if given["frequency"] is None else Frequency.parse(given["frequency"])
        given["scales"] = {name: Scale(*map(np.array, parts)) for name, parts in given["scales"].items()}
        given["covariates"] = {
            kind: (np.array(mean), np.array(spread)) for kind, (mean, spread) in given["covariates"].items()
        }
        for name in ("residuals", "recalibration"):
            given[name] = None if given[name] is None else np.array(given[name])
        return cls(**given)


def channels_of(series: SeriesSet, joint: bool, alone: bool) -> list[Series]:
    """The rows that are forecast: whole series, or each column of each by itself.

    Columns of a lone series go by their own names, others by `series/column`.
    """
    if joint or len(series.targets) == 1:
        name = series.targets[0] if len(series.targets) == 1 else "+".join(series.targets)
        return [replace(one, name=name) for one in series.series] if alone else list(series.series)
    return [
        replace(one, name=target if alone else f"{one.name}/{target}", values=one.values[:, place : place + 1])
        for one in series.series
        for place, target in enumerate(series.targets)
    ]


def fit_covariates(training: Sequence[Series]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means and spreads over the training parts of all series together."""
    found = {}
    for kind in ("past", "known"):
        scale = fit_scale(np.concatenate([getattr(one, kind)[: len(one)] for one in training]), "standard")
        found[kind] = (scale.shift, scale.scale)
    scale = fit_scale(np.stack([one.static for one in training]), "standard")
    return {**found, "static": (scale.shift, scale.scale)}


def require_counts(rows: Sequence[Series], source: str) -> None:
    """Check that all values are whole numbers from 0.

    Raises:
        DataError: names the first that is none.
    """
    for one in rows:
        wrong = np.flatnonzero(
            ((one.values < 0) | (one.values != np.round(one.values))).any(axis=1) & _known(one.values)
        )
        if len(wrong):
            step = int(wrong[0])
            line = f":{one.rows[step]}" if one.rows is not None and one.rows[step] else ""
            raise DataError(
                f"{source}{line}: {one.values[step].tolist()} in series {one.name!r} "
                f"({stamp_texts(one.stamps[step : step + 1])[0]}) "
                "is no count: task.likelihood=negative-binomial is for 0, 1, 2, ... Take normal or student-t."
            )


def without_holes(values: np.ndarray) -> np.ndarray:
    """(T, C) with NaN replaced by the last value before, at the start by the first after."""
    return np.nan_to_num(carried_forward(carried_forward(values)[::-1])[::-1]) if np.isnan(values).any() else values


def _known(values: np.ndarray) -> np.ndarray:
    known: np.ndarray = ~np.isnan(values).any(axis=1)
    return known
