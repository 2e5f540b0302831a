"""What a report says of forecasts: figures by series, pictures, honest sentences, cheap forecasts beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recurra.baselines.forecasting import fitted_baselines
from recurra.metrics import Forecasted, ForecastMetrics
from recurra.tasks.forecast_results import ForecastResult, ForecastTruth, picture_of, stamp_texts
from recurra.tasks.forecast_windows import ForecastSplit
from recurra.tasks.judging import Judged, mean_figure, pooled

_MOST_SERIES = 50
_MOST_VALUES = 24
_CHUNK = 2_000
_SAME = 0.15
"""A forecast that stays this near to another, measured by how far the truth goes from it, is a copy."""
_LITTLE = 0.02
"""Gains below this part of the error are none."""


def report(
    metrics: Callable[[], ForecastMetrics],
    predictions: Sequence[ForecastResult],
    references: Sequence[ForecastTruth],
    season: int,
) -> dict[str, Any]:
    """Tables, pictures and sentences.

    Args:
        metrics: a fresh collector.
        predictions: of all windows.
        references: what came.
        season: steps of the shortest season; 1 for none.
    """
    classes = _by_series(metrics(), predictions, references)
    return {
        "classes": dict(list(classes.items())[:_MOST_SERIES]),
        "pictures": _pictures(predictions, references),
        "sentences": [*copying(predictions, references, season), *_coverage(predictions, references)],
    }


def judge_windows(
    split: ForecastSplit,
    predictions: Sequence[ForecastResult],
    references: Sequence[ForecastTruth],
    *,
    squared: bool,
) -> Judged:
    """Windows by their mean error in training spreads.

    Args:
        split: where the windows were cut.
        predictions: of all windows.
        references: what came.
        squared: whether errors are squared.
    """
    rows = []
    for found, truth in zip(predictions, references, strict=True):
        errors = np.abs(found.mean - truth.values) / truth.spread
        known = np.isfinite(errors)
        rows.append([np.sum((errors**2 if squared else errors)[known]), known.sum()])
    terms = np.array(rows, dtype=np.float64).reshape(-1, 2)
    # targets of windows that begin in the same stretch of one horizon overlap
    series, stretch = split.places[:, 0], split.places[:, 1] // split.horizon
    alike = series * (int(stretch.max(initial=0)) + 1) + stretch

    def shown(place: int) -> tuple[str, str, str]:
        found, truth = predictions[place], references[place]
        return _window_name(found, truth), _values(found.mean), _values(truth.values)

    return Judged(
        predictions=predictions,
        references=references,
        terms=pooled(terms, alike),
        figure=mean_figure,
        losses=np.nan_to_num(mean_figure(terms)),
        lengths=split.places[:, 1],
        ids=tuple(_window_name(*pair) for pair in zip(predictions, references, strict=True)),
        shown=shown,
        alike=alike,
        marks={"series": [(truth.series,) for truth in references]},
    )


def copying(predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth], season: int) -> list[str]:
    """Sentences where the forecasts are little else than the last value, or the last season, again.

    A forecast copies another where it stays near to it, compared with how far what came is from it, and is not better.
    """
    said = []
    for what, period in (("the last value", 1), *((("the last season", season),) if season > 1 else ())):
        near, away, error = (0.0, 0.0, 0.0)
        for found, truth in zip(predictions, references, strict=True):
            copy = _last_season(truth.history, period, len(truth.values))
            if copy is None:
                continue
            known = ~np.isnan(truth.values) & ~np.isnan(copy)
            unit = truth.spread
            near += float((np.abs(found.mean - copy) / unit)[known].sum())
            away += float((np.abs(truth.values - copy) / unit)[known].sum())
            error += float((np.abs(truth.values - found.mean) / unit)[known].sum())
        if away > 0 and near < _SAME * away and error > (1 - _LITTLE) * away:
            said.append(
                f"This model copies {what}: its forecasts differ from it by {near / away:.0%} of what the truth does, "
                f"and their error is {error / away:.0%} of that of the copy."
            )
    return said


def baselines(train: ForecastSplit, evaluated: ForecastSplit) -> dict[str, dict[str, float]]:
    """Figures of cheap forecasts, fitted on the training parts, from the origins of `evaluated`."""
    fit = train.fit
    filled = train.filled()
    trained = [row for row, end in enumerate(train.ends.tolist()) if end]
    place = {train.rows[row].series.name: number for number, row in enumerate(trained)}
    parts = [filled[row][: train.ends[row]] for row in trained]
    found = fitted_baselines(parts, train.horizon, train.context_length or 1, fit.periods)
    histories = evaluated.histories()
    owners = [place.get(evaluated.rows[row].series.name, -1) for row in evaluated.places[:, 0].tolist()]
    ahead = {name: one.forecast(histories, evaluated.horizon, owners) for name, one in found.items()}
    figures = {}
    for name, forecasts in ahead.items():
        metrics = ForecastMetrics()
        for start in range(0, len(histories), _CHUNK):
            chosen = np.arange(start, min(start + _CHUNK, len(histories)))
            truths = evaluated.truths(chosen)
            if "naive2" in ahead:
                truths = [truth._replace(naive=ahead["naive2"][i]) for i, truth in zip(chosen, truths, strict=True)]
            metrics.update([Forecasted(forecasts[i]) for i in chosen], truths)
        figures[name] = metrics.compute()
    return figures


def _by_series(
    metrics: ForecastMetrics, predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth]
) -> dict[str, dict[str, float]]:
    """Figures of each channel of each series, the worst first."""
    shown = ("mae", "rmse", "mase", "smape", "mae_scaled")
    for found, truth in zip(predictions, references, strict=True):
        for channel, name in enumerate(found.channels):
            one = slice(channel, channel + 1)
            metrics.update(
                [Forecasted(found.mean[:, one], None if found.quantiles is None else found.quantiles[:, one])],
                [
                    truth._replace(
                        series=name,
                        values=truth.values[:, one],
                        spread=truth.spread[one],
                        seasonal=truth.seasonal[one],
                        naive=None,
                    )
                ],
            )
    table = {
        name: {tag: value for tag, value in figures.items() if tag in shown or tag.startswith("coverage")}
        for name, figures in metrics.per_series().items()
    }
    return dict(sorted(table.items(), key=lambda item: -np.nan_to_num(item[1]["mae_scaled"])))


def _values(table: np.ndarray) -> str:
    """The first values of the first channel."""
    return ", ".join(f"{value:.4g}" for value in table[:_MOST_VALUES, 0])


def _window_name(found: ForecastResult, truth: ForecastTruth) -> str:
    first, last = (stamp_texts(found.stamps[place : place + 1 or None])[0] for place in (0, -1))
    return f"{truth.series} {first} to {last}"


def _pictures(predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth]) -> list[Any]:
    """The window of the median error, the best and the worst, and the latest."""
    errors = np.array(
        [
            np.nanmean(np.abs(found.mean[:, 0] - truth.values[:, 0]) / truth.spread[0])
            if not np.isnan(truth.values[:, 0]).all()
            else np.nan
            for found, truth in zip(predictions, references, strict=True)
        ]
    )
    usable = np.flatnonzero(~np.isnan(errors))
    if not len(usable):
        return []
    order = usable[np.argsort(errors[usable], kind="stable")]
    chosen = dict.fromkeys([int(order[len(order) // 2]), int(order[0]), int(order[-1]), int(usable[-1])])
    return [
        picture_of(predictions[i], references[i].history, references[i].stamps, references[i].values) for i in chosen
    ]


def _coverage(predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth]) -> list[str]:
    """How many values the intervals held."""
    said: list[str] = []
    if not predictions or predictions[0].quantiles is None:
        return said
    for level in predictions[0].levels:
        inside = total = 0
        for found, truth in zip(predictions, references, strict=True):
            low, high = found.interval(level)
            known = ~np.isnan(truth.values)
            inside += int(((truth.values >= low) & (truth.values <= high) & known).sum())
            total += int(known.sum())
        held = 100 * inside / max(total, 1)
        if abs(held - level) > max(4.0, (100 - level) / 4):
            word = "too narrow" if held < level else "too wide"
            said.append(f"The {level:g} % interval held {held:.1f} % of the values: it is {word}.")
    return said


def _last_season(history: np.ndarray, period: int, horizon: int) -> np.ndarray | None:
    """(H, C) the last `period` values again; None where the history is shorter."""
    if len(history) < period:
        return None
    return history[len(history) - period + np.arange(horizon) % period]
