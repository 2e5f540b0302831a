"""From files and series to examples of anomaly detection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from recurra.core.errors import DataError
from recurra.data import (
    DataConfig,
    Series,
    SeriesConfig,
    SeriesSet,
    Splits,
    read_series,
    read_series_splits,
    series_from_frame,
    usual_calendar,
)
from recurra.tasks.anomaly_batches import AnomalyExample
from recurra.tasks.anomaly_fit import AnomalyFit, fit_covariates, fit_scales, require_alike
from recurra.tasks.anomaly_labels import has_column, label_column, split_labels, with_label_column
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.series_items import read_as_before

Labels = np.ndarray | None


class MarkedSeries(NamedTuple):
    """A series, and which of its steps are known to be odd.

    Attributes:
        series: it.
        labels: (T,) bool, or None where nobody knows.
    """

    series: Series
    labels: Labels


def prepare(
    config: AnomalyDetectionConfig, data: DataConfig, fitted: AnomalyFit | None
) -> tuple[AnomalyFit, Splits[Any], tuple[str, ...]]:
    """Read a run's files, part the series in time, fit scales on what is normal of the training part.

    Args:
        config: the options.
        data: which files.
        fitted: of the task that the run goes on from; its calendar and the scales of its covariates are kept.
    Raises:
        DataError: as `data.read_series_splits`; or the training part is too short for the longest lead.
    """
    label, note = label_column(data.train, data) if data.train is not None else (None, "")
    splits = read_series_splits(with_label_column(data, label), max(config.leads))
    whole, labels = split_labels(splits.whole, label is not None, data.series.windows)
    ends = splits.ends.tolist()
    training = [
        (one.part(0, end), None if odd is None else odd[:end])
        for one, odd, (end, _, _) in zip(whole.series, labels, ends, strict=True)
        if end
    ]
    fit = _fit(config, data, whole, training, label)
    if fitted is not None:
        require_alike(fitted, whole)
        fit = replace(fit, calendar=fitted.calendar, covariates=fitted.covariates)
    reader = AnomalyReader(config, fit)
    parts: list[list[AnomalyExample]] = [[], [], []]
    for one, odd, borders in zip(whole.series, labels, ends, strict=True):
        for place, (start, end) in enumerate(zip([0, *borders], borders, strict=False)):
            if end > start:
                own = None if odd is None else odd[:end]
                parts[place].append(reader.example(one.part(0, end), own, start=start, id=str(len(parts[place]))))
    parts[0] = [replace(one, targets=without(one, config.offsets)) for one in parts[0]]
    if not any(np.isfinite(one.targets).any() for one in parts[0]):
        raise DataError(
            f"{whole.source}: the training part is too short: {max(config.leads)} steps ahead are to be learnt, and "
            f"its longest series has {max(map(len, parts[0]), default=0)}. Give more rows, or shorter task.leads."
        )
    notes = [*splits.notes, *([note] if note else []), *_notes(whole, fit, training)]
    return fit, Splits(*(part or None for part in parts)), tuple(notes)


class AnomalyReader:
    """Series as a fitted task takes them.

    Args:
        config: the options.
        fit: what was fitted.
    """

    def __init__(self, config: AnomalyDetectionConfig, fit: AnomalyFit) -> None:
        self.config, self.fit = config, fit

    def reading(self, data: DataConfig) -> DataConfig:
        """`data`, whose options of series are those of the training where it says nothing."""
        return read_as_before(data, self.fit.reading)

    def read(self, paths: str | list[str], data: DataConfig) -> list[AnomalyExample]:
        """Series of files with what is known of their anomalies."""
        label = self.fit.label if data.label_column is None else data.label_column
        if label is not None and data.label_column is None and not has_column(paths, str(label), data):
            label = None
        if label is None:
            label = label_column(paths, self.reading(data))[0]
        return self.asked([MarkedSeries(*pair) for pair in self._labelled(paths, data, label)])

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Series | MarkedSeries]:
        """Series of files; `MarkedSeries` where `data` names what is known of their anomalies."""
        marked = data.label_column is not None or data.series.windows is not None
        pairs = self._labelled(paths, data, data.label_column)
        return (MarkedSeries(*pair) if marked else pair[0] for pair in pairs)

    def _labelled(
        self, paths: str | list[str], data: DataConfig, label: str | int | None
    ) -> Iterator[tuple[Series, Labels]]:
        given = self.reading(data)
        series = read_series(paths, with_label_column(given, None if label is None else str(label)), self.fit.frequency)
        series, labels = split_labels(series, label is not None, given.series.windows)
        require_alike(self.fit, series)
        return zip(series.series, labels, strict=True)

    def asked(self, items: Sequence[Any], labels: Sequence[Any] | None = None) -> list[AnomalyExample]:
        """Items: `Series`, `MarkedSeries`, arrays (T,) or (T, C), or frames."""
        examples = []
        for place, item in enumerate(items):
            one = self.as_series(item, place)
            known = item.labels if isinstance(item, MarkedSeries) else None if labels is None else labels[place]
            odd = None if known is None else np.asarray(known, dtype=bool)
            if odd is not None and len(odd) != len(one):
                raise DataError(f"series {place}: {len(one)} steps and {len(odd)} labels: one a step is wanted.")
            examples.append(self.example(one, odd, history=True, id=str(place)))
        return examples

    def as_series(self, item: Any, place: int) -> Series:
        """An item as a series.

        Raises:
            DataError: not the columns of the training.
        """
        if isinstance(item, Series | MarkedSeries):
            one = item if isinstance(item, Series) else item.series
        else:
            reading = {
                name: value for name, value in self.fit.reading.items() if hasattr(item, "columns") or name == "missing"
            }
            found = series_from_frame(item, SeriesConfig(**reading), f"series {place}")
            require_alike(self.fit, found)
            one = found.series[0]
        if one.values.shape[1] != len(self.fit.targets) or one.past.shape[1] != len(self.fit.past):
            raise DataError(
                f"series {place}: has {one.values.shape[1]} columns and {one.past.shape[1]} past covariates, and the "
                f"model was trained on {len(self.fit.targets)} ({', '.join(self.fit.targets)}) and "
                f"{len(self.fit.past)}."
            )
        return one

    def example(
        self, one: Series, labels: Labels, *, start: int = 0, history: bool = False, id: str = "0"
    ) -> AnomalyExample:
        """A series with inputs and targets; `history`: its scorer goes on from what was seen in training.

        Raises:
            DataError: it has no stamps and the model needs them, or is to go on and was not there in training.
        """
        if history and len(self.fit.scales) > 1 and one.name not in self.fit.scales:
            known = ", ".join(name for name in list(self.fit.scales)[:10] if name)
            raise DataError(
                f"series {one.name!r} was not in the training, so that nobody knows what is usual of it; {known} were. "
                "Train on it, too. (A model of a lone series takes any other for its continuation.)"
            )
        if self.fit.calendar and one.stamps.dtype.kind != "M":
            raise DataError(
                f"series {one.name!r}: the model was trained on series with stamps ({', '.join(self.fit.calendar)}), "
                "and here are none. Give a file or frame with stamps, or train with task.calendar=[]."
            )
        scaled = self.fit.scaled(one.name, one.values, self.config.squash)
        targets = np.stack([_ahead(scaled, lead) for lead in self.config.offsets], axis=-1).reshape(len(scaled), -1)
        return AnomalyExample(
            name=one.name,
            stamps=one.stamps,
            values=one.values,
            scaled=scaled,
            inputs=self.fit.inputs(one, scaled),
            targets=targets.astype(np.float32),
            labels=labels,
            start=start,
            history=self.fit.history(one.name) if history else None,
            id=id,
        )


def without(example: AnomalyExample, leads: Sequence[int]) -> np.ndarray:
    """(T, C * leads) targets, those that are known anomalies left out."""
    if example.labels is None:
        return example.targets
    odd = np.stack([_ahead(example.labels[:, None].astype(float), lead) for lead in leads], axis=-1) > 0
    size = example.targets.shape[1] // len(leads)
    return np.where(np.repeat(odd, size, axis=1).reshape(example.targets.shape), np.nan, example.targets)


def _fit(
    config: AnomalyDetectionConfig,
    data: DataConfig,
    whole: SeriesSet,
    training: Sequence[tuple[Series, Labels]],
    label: str | None,
) -> AnomalyFit:
    calendar: tuple[str, ...] = ()
    if config.calendar != "auto":
        calendar = tuple(config.calendar)
    elif whole.stamped:
        span = max(one.stamps[-1] - one.stamps[0] for one, _ in training)
        calendar = usual_calendar(whole.frequency, span)
    reading = data.series.model_dump(mode="json", exclude_unset=True, exclude={"split", "windows"})
    if whole.targets and not all(name.isdecimal() for name in whole.targets):
        reading["targets"] = list(whole.targets)
    return AnomalyFit(
        targets=whole.targets,
        past=whole.past,
        known=whole.known,
        label=label,
        reading=reading,
        frequency=whole.frequency,
        calendar=calendar,
        scales=fit_scales(training),
        covariates=fit_covariates([one for one, _ in training]),
    )


def _notes(whole: SeriesSet, fit: AnomalyFit, training: Sequence[tuple[Series, Labels]]) -> list[str]:
    notes = []
    odd = sum(int(labels.sum()) for _, labels in training if labels is not None)
    if odd:
        notes.append(f"{odd:,} steps of the training part are known anomalies: they are not learnt.")
    constant = [
        f"{name!r} of {one.name!r}"
        for one, _ in training
        for place, name in enumerate(whole.targets)
        if np.ptp(values := one.values[~np.isnan(one.values[:, place]), place]) == 0 and len(values)
    ]
    if constant:
        notes.append(f"constant over the training part: {', '.join(constant[:5])}: any change of it will look odd.")
    if fit.calendar:
        notes.append(f"calendar features: {', '.join(fit.calendar)}")
    return notes


def _ahead(values: np.ndarray, lead: int) -> np.ndarray:
    """(T, C) what comes `lead` steps later, NaN beyond the end."""
    moved = np.full_like(values, np.nan)
    moved[: max(len(values) - lead, 0)] = values[lead:]
    return moved
