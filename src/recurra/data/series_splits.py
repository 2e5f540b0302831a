"""Parts of series in the order of time: training, then validation, then test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recurra.core.errors import ConfigError, DataError
from recurra.data.config import DataConfig
from recurra.data.series import read_series
from recurra.data.series_types import Series, SeriesSet, joined
from recurra.data.windows import window_origins

Part = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True)
class SeriesSplits:
    """Whole series, and where their parts end.

    Attributes:
        whole: each series with all of its parts.
        ends: (N, 3) int64, where the training, validation and test part of each series end; a part begins where the one
            before it ends, and is empty where the two are equal.
        notes: sentences on how the parts were made.
    """

    whole: SeriesSet
    ends: np.ndarray
    notes: tuple[str, ...] = ()

    def origins(self, part: Part, horizon: int, *, stride: int = 1, shortest: int = 1) -> np.ndarray:
        """Origins of all windows whose targets lie in a part; their history may reach into the parts before.

        Args:
            part: which.
            horizon: targets of a window.
            stride: steps from one origin to the next.
            shortest: steps of history that a window needs.
        Returns:
            (n, 2) int64 pairs (series, origin).
        """
        place = ("train", "valid", "test").index(part)
        starts = self.ends[:, place - 1] if place else np.zeros(len(self.ends), np.int64)
        return window_origins(np.maximum(starts, shortest), self.ends[:, place], horizon, stride)

    def training(self) -> list[Series]:
        """The training part of each series, for scalers; series without one are left out."""
        return [one.part(0, int(end)) for one, end in zip(self.whole.series, self.ends[:, 0], strict=True) if end]


def read_series_splits(data: DataConfig, horizon: int = 1) -> SeriesSplits:
    """Read the files of a run, and part the series in the order of time.

    With `data.skip_bad_rows`, series that are constant over their training part are left out.

    Raises:
        ConfigError: no training file.
        DataError: as `read_series` and `split_series`.
    """
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (CSV, TSV, JSONL or Parquet).")
    train = read_series(data.train, data)
    valid = None if data.valid is None else read_series(data.valid, data, train.frequency)
    test = None if data.test is None else read_series(data.test, data, train.frequency)
    splits = split_series(train, data, valid, test, horizon=horizon)
    return _without_constant(splits) if data.skip_bad_rows else splits


def split_series(
    train: SeriesSet,
    data: DataConfig,
    valid: SeriesSet | None = None,
    test: SeriesSet | None = None,
    *,
    horizon: int = 1,
) -> SeriesSplits:
    """Part series in the order of time: by row counts, by fractions at the end, or by files that continue them.

    Args:
        train: series to train on.
        data: `series.split`, else `valid_fraction` and `test_fraction`, where there is no file of that part.
        valid: continues series of `train` of the same name, or has new ones.
        test: as `valid`, after it.
        horizon: a part that is held out has at least so many steps.
    Raises:
        DataError: too few rows, or a file that does not come after the one before it.
    """
    for name, given in (("validation", valid), ("test", test)):
        if given is not None:
            _require_alike(train, given, name)
    notes = list(train.notes)
    lengths = [len(one) for one in train.series]
    shares = (0.0 if valid else data.valid_fraction, 0.0 if test else data.test_fraction)
    if data.series.split is not None:
        ends = [_by_counts(one, data.series.split, train.source) for one in train.series]
        if (valid and data.series.split[1]) or (test and len(data.series.split) > 2 and data.series.split[2]):
            raise DataError("data.series.split parts what data.valid or data.test has files of. Give one of the two.")
    else:
        ends, kept = _by_shares(train, lengths, shares, horizon)
        parts = [
            f"{share:.0%} for {name}" for share, name in zip(shares, ("validation", "testing"), strict=True) if share
        ]
        if parts:
            notes.append(f"the last steps of each series are held out: {' and '.join(parts)}, in the order of time.")
        if kept:
            notes.append(f"{kept} series are too short to hold steps out: they are trained on alone.")
    series = list(train.series)
    for place, (name, given) in enumerate((("validation", valid), ("test", test)), start=1):
        if given is not None:
            notes += given.notes
            _continue(series, ends, train, given, place, name, notes)
    whole = replace(train, series=tuple(series), notes=())
    return SeriesSplits(whole, np.array(ends, np.int64), tuple(dict.fromkeys(notes)))


def require_variation(splits: SeriesSplits) -> None:
    """Check that there is something to learn.

    Raises:
        DataError: a column is constant over the training part.
    """
    for one, end in zip(splits.whole.series, splits.ends[:, 0].tolist(), strict=True):
        constant = np.flatnonzero(_constant(one.values[:end]))
        if len(constant):
            column = int(constant[0])
            value = one.values[:end, column][~np.isnan(one.values[:end, column])][0]
            raise DataError(
                f"{splits.whole.source}: series {one.name!r}: column {splits.whole.targets[column]!r} is {value:g} in "
                f"all {end} rows of the training part{_lines(one, end)}: there is nothing to learn. Leave the series "
                "or column out; data.skip_bad_rows=true leaves out such series."
            )


def _constant(values: np.ndarray) -> np.ndarray:
    """(C,) whether a column of (T, C) has several values, and all are the same."""
    known = ~np.isnan(values)
    lowest = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    highest = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    constant: np.ndarray = (known.sum(axis=0) > 1) & (lowest == highest)
    return constant


def _without_constant(splits: SeriesSplits) -> SeriesSplits:
    ends = splits.ends[:, 0].tolist()
    kept = [not _constant(one.values[:end]).all() for one, end in zip(splits.whole.series, ends, strict=True)]
    if all(kept) or not any(kept):
        return splits
    names = [one.name for one, keep in zip(splits.whole.series, kept, strict=True) if not keep]
    listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return SeriesSplits(
        replace(splits.whole, series=tuple(one for one, keep in zip(splits.whole.series, kept, strict=True) if keep)),
        splits.ends[kept],
        (*splits.notes, f"{len(names)} series were left out, as their values never change: {listed}."),
    )


def _lines(series: Series, end: int) -> str:
    if series.rows is None or not end:
        return ""
    return f" (lines {series.rows[0]} to {series.rows[:end].max()})"


def _by_counts(series: Series, counts: list[int], source: str) -> list[int]:
    borders = [int(border) for border in np.cumsum(counts)]
    if borders[-1] > len(series):
        raise DataError(
            f"{source}: series {series.name!r} has {len(series)} rows, and data.series.split={counts} wants "
            f"{borders[-1]}. Ask for fewer rows."
        )
    return borders if len(borders) == 3 else [*borders, borders[-1]]


def _by_shares(
    train: SeriesSet, lengths: list[int], shares: tuple[float, float], horizon: int
) -> tuple[list[list[int]], int]:
    ends = []
    kept = 0
    for length in lengths:
        valid, test = (max(round(length * share), horizon) if share else 0 for share in shares)
        if length - valid - test < horizon + 1:
            valid = test = 0
            kept += 1
        ends.append([length - valid - test, length - test, length])
    longest = max(lengths)
    if longest < horizon + 1:
        raise DataError(
            f"{train.source}: the horizon of {horizon} steps is longer than the history: the longest series has "
            f"{longest} rows. Give longer series, or a shorter horizon: task.horizon, or task.leads where "
            "anomalies are sought."
        )
    if kept == len(lengths) and any(shares):
        raise DataError(
            f"{train.source}: no series is long enough to train on with {horizon} steps held out for each part (the "
            f"longest has {longest} rows). Give longer series or a shorter horizon, or files of their own with "
            "--data.valid and --data.test."
        )
    return ends, kept


def _require_alike(train: SeriesSet, given: SeriesSet, name: str) -> None:
    for option in ("targets", "past", "known", "static"):
        ours, theirs = getattr(train, option), getattr(given, option)
        if ours != theirs:
            raise DataError(
                f"{given.source}: the {name} data has other columns ({option}: {', '.join(theirs)}) than the training "
                f"data ({', '.join(ours)})."
            )
    if train.stamped != given.stamped:
        raise DataError(f"{given.source}: the {name} data and the training data must both have stamps, or neither.")


def _continue(
    series: list[Series],
    ends: list[list[int]],
    train: SeriesSet,
    given: SeriesSet,
    place: int,
    name: str,
    notes: list[str],
) -> None:
    """Put the series of a file behind those that they continue; others stand for themselves."""
    by_name = {one.name: number for number, one in enumerate(series)}
    alone = len(series) == 1 and len(given.series) == 1
    apart = 0
    for one in given.series:
        number = 0 if alone else by_name.get(one.name)
        if number is not None and _follows(series[number], one, train, given, name):
            before = series[number]
            series[number] = replace(joined([before, one]), name=before.name)
            ends[number][place:] = [len(before) + len(one)] * (3 - place)
            continue
        apart += 1
        series.append(one)
        ends.append([0] * place + [len(one)] * (3 - place))
    if apart:
        notes.append(
            f"{given.source}: {apart} series of the {name} data do not continue one of the training data: their "
            "forecasts start from their own rows."
        )


def _follows(before: Series, after: Series, train: SeriesSet, given: SeriesSet, name: str) -> bool:
    numbered = before.stamps.dtype.kind != "M"
    if numbered and before.stamps[0] == after.stamps[0] == 0:
        return True
    if after.stamps[0] <= before.stamps[-1]:
        raise DataError(
            f"{given.source}: the {name} data of series {after.name!r} starts at {after.stamps[0]}, and the data "
            f"before it ends at {before.stamps[-1]}: parts must follow each other in time, or a forecast is tested on "
            "what it knows. Cut the files apart."
        )
    if numbered:
        return len(before) < 2 or bool(after.stamps[0] - before.stamps[-1] == before.stamps[-1] - before.stamps[-2])
    frequency = train.frequency or given.frequency
    return frequency is None or bool(frequency.step(before.stamps, 1)[0] == after.stamps[0])
