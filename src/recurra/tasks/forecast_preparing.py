"""From a run's files to windows: parts in time, what is fitted on the training part, origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.core.errors import DataError
from recurra.data import (
    DataConfig,
    Series,
    SeriesSet,
    Splits,
    read_holidays,
    read_series_splits,
    require_variation,
    usual_calendar,
    window_origins,
)
from recurra.tasks.forecast_fit import (
    ForecastFit,
    channels_of,
    fit_covariates,
    fit_scale,
    require_counts,
)
from recurra.tasks.forecast_options import ForecastingConfig
from recurra.tasks.forecast_reader import ForecastReader, first_known
from recurra.tasks.forecast_results import stamp_texts
from recurra.tasks.forecast_windows import ForecastSplit, training_starts


def prepare(
    config: ForecastingConfig, data: DataConfig, fitted: ForecastFit | None
) -> tuple[ForecastFit, Splits[Any], tuple[str, ...]]:
    """Read a run's files, part the series in time, fit what is fitted, and choose the origins.

    Args:
        config: the options.
        data: which files.
        fitted: of the task that the run goes on from: its names, calendar and covariates' scales are kept, so that
            its model fits.
    Raises:
        DataError: as `data.read_series_splits`; or no window fits into the training part.
    """
    splits = read_series_splits(data, config.horizon)
    require_variation(splits)
    whole, joint = splits.whole, config.channels == "joint"
    alone = len(whole.series) == 1
    rows = channels_of(whole, joint, alone)
    ends = np.repeat(splits.ends, len(rows) // len(whole.series), axis=0)
    if config.likelihood.kind == "negative-binomial":
        require_counts(rows, whole.source)
    if fitted is not None:
        ForecastReader(config, fitted).channels(whole)
    fit = _fit(config, data, whole, rows, ends, fitted)
    reader = ForecastReader(config, fit)
    windows = config.windows
    starts = np.maximum(_starts(config, ends), np.array([[first_known(one)] for one in rows]))
    firsts = np.where(ends[:, 0] > 0, ends[:, 0], starts[:, 1])
    table = tuple(reader.row(one, int(first)) for one, first in zip(rows, firsts, strict=True))
    strides = (windows.stride, windows.evaluation_stride, windows.evaluation_stride)
    parts = []
    for part, stride in enumerate(strides):
        places = window_origins(starts[:, part], ends[:, part], config.horizon, stride)
        samples = windows.samples_per_epoch if part == 0 else None
        made = ForecastSplit(
            table, places, config.horizon, config.context_length, fit, samples=samples, ends=ends[:, 0]
        )
        parts.append(made if len(places) else None)
    if parts[0] is None:
        longest = int(ends[:, 0].max())
        raise DataError(
            f"{whole.source}: no window of {config.horizon} steps ahead fits into the training part: its longest "
            f"series has {longest} steps. Give longer series, a shorter task.horizon, or less to data.valid_fraction."
        )
    return fit, Splits(*parts), (*splits.notes, *_notes(config, fit, parts))


def _starts(config: ForecastingConfig, ends: np.ndarray) -> np.ndarray:
    """(R, 3) the first origin of each part; a series that training does not see needs a history of its own first."""
    first = np.maximum(np.minimum(config.context_length, ends[:, 2] - config.horizon), 1)
    held_out = [np.where(ends[:, part] > 0, ends[:, part], first) for part in (0, 1)]
    return np.stack([training_starts(ends[:, 0], config.context_length, config.horizon), *held_out], axis=1)


def _fit(
    config: ForecastingConfig,
    data: DataConfig,
    whole: SeriesSet,
    rows: Sequence[Series],
    ends: np.ndarray,
    fitted: ForecastFit | None,
) -> ForecastFit:
    trained = [one.part(0, int(end)) for one, end in zip(rows, ends[:, 0], strict=True) if end]
    scales = {one.name: fit_scale(one.values, config.scaling) for one in trained}
    seen = {
        one.name: stamp_texts(one.stamps[int(end) - 1 : int(end)])[0]
        for one, end in zip(rows, ends[:, 1], strict=True)
        if end
    }
    rows_layout = all(one.rows is not None and len(one) > 1 and one.rows[0] == one.rows[-1] for one in whole.series)
    named = {name: list(getattr(whole, name)) for name in ("targets", "past", "known", "static")}
    reading = data.series.model_dump(mode="json", exclude={"split"})
    if fitted is not None:
        known = {name: scales.get(name, scale) for name, scale in fitted.scales.items()}
        return replace(fitted, scales=known, ends={**fitted.ends, **seen}, residuals=None, recalibration=None)
    calendar, holidays = _calendar(config, whole)
    periods = config.periods
    if periods is None:
        longest = int(ends[:, 0].max())
        periods = [] if whole.frequency is None else [p for p in whole.frequency.periods if 2 * p <= longest]
    return ForecastFit(
        targets=whole.targets,
        past=whole.past,
        known=whole.known,
        static=whole.static,
        alone=len(whole.series) == 1,
        reading=reading | ({"layout": "rows"} if rows_layout else named),
        frequency=whole.frequency,
        periods=tuple(periods),
        calendar=calendar,
        holidays=holidays,
        scales=scales,
        ends=seen,
        covariates=fit_covariates(trained),
    )


def _calendar(config: ForecastingConfig, whole: SeriesSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The features of the calendar, and the holidays."""
    given = config.calendar
    holidays = tuple(map(str, read_holidays(given.holidays))) if given.holidays else ()
    if given.features != "auto":
        return tuple(given.features), holidays
    if not whole.stamped:
        return (), holidays
    span = max(one.stamps[-1] - one.stamps[0] for one in whole.series)
    return (*usual_calendar(whole.frequency, span), *(("holiday",) if holidays else ())), holidays


def _notes(config: ForecastingConfig, fit: ForecastFit, parts: Sequence[ForecastSplit | None]) -> list[str]:
    """What the person who waits should know."""
    what = f"{len(fit.scales)} series" if len(fit.scales) > 1 else "one series"
    steps = f", steps of {fit.frequency}" if fit.frequency is not None else ""
    seasons = f", seasons of {', '.join(map(str, fit.periods))} steps" if fit.periods else ", no season known"
    if not fit.periods and fit.frequency is None:
        seasons += " (name some with task.periods=[24,168])"
    counts = ", ".join(
        f"{name} {len(part):,}"
        for name, part in zip(("train", "valid", "test"), parts, strict=True)
        if part is not None
    )
    notes = [f"{what}{steps}{seasons}; windows of {config.context_length} + {config.horizon} steps: {counts}"]
    if fit.calendar:
        notes.append(f"the model is told of each step: {', '.join(fit.calendar)}")
    return notes
