"""Known anomalies: a column of 0 and 1, or a JSON file of windows as the Numenta Anomaly Benchmark has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from recurra.core.errors import DataError
from recurra.data import DataConfig, Series, SeriesSet
from recurra.data.readers.decoding import read_lines
from recurra.data.stamp_texts import StampFault, parse_stamps
from recurra.data.tables import read_table

_USUAL = ("anomaly", "is_anomaly", "label", "is_outlier", "outlier", "anomalous", "异常")


def label_column(paths: str | list[str] | None, data: DataConfig) -> tuple[str | None, str]:
    """The column of labels, and a sentence where it was guessed.

    A guess is a column of a usual name that holds nothing but 0 and 1.

    Args:
        paths: of the training.
        data: `label_column`, where it is named.
    Raises:
        DataError: the column that is named is not there.
    """
    if data.label_column is not None:
        if paths is not None and not has_column(paths, str(data.label_column), data):
            raise DataError(f"{paths}: no column {str(data.label_column)!r} (data.label_column).")
        return str(data.label_column), ""
    first = Path(paths[0] if isinstance(paths, list) and paths else str(paths)).expanduser()
    if not first.is_file() or data.series.layout == "rows":
        return None, ""
    table = read_table(first, data)
    named = {data.series.stamp, data.series.id, *(data.series.targets or ()), *data.series.past, *data.series.known}
    by_name = {name.strip().lower(): name for name in table.columns if name not in named}
    for usual in _USUAL:
        if usual in by_name and table.named:
            name = by_name[usual]
            values = table.numbers(name) if table.is_numeric(name) else np.array([np.nan])
            if np.isin(values, (0, 1)).all():
                return name, f"{first}: anomalies from column {name!r} (guessed; else pass --data.label_column)."
    return None, ""


def has_column(paths: str | list[str], name: str, data: DataConfig) -> bool:
    """Whether the first of the files has a column of this name or number."""
    first = Path(paths[0] if isinstance(paths, list) else paths).expanduser()
    if not first.is_file():
        return True
    columns = read_table(first, data).columns
    return name in columns or (name.isdecimal() and int(name) < len(columns))


def with_label_column(data: DataConfig, name: str | None) -> DataConfig:
    """Options by which the labels come along, as the last of the past covariates."""
    if name is None:
        return data
    series = data.series.model_copy(update={"past": [*data.series.past, name]})
    return data.model_copy(update={"series": series})


def split_labels(
    series: SeriesSet, labelled: bool, windows: str | None
) -> tuple[SeriesSet, tuple[np.ndarray | None, ...]]:
    """Series without their labels, and (T,) bool of each, or None where nobody knows.

    Args:
        series: as read.
        labelled: whether the last of the past covariates is the label.
        windows: a JSON file of windows, or None.
    Raises:
        DataError: a label that is neither 0 nor 1, or windows that can't be read or belong to no series.
    """
    labels: list[np.ndarray | None] = [None] * len(series)
    if labelled:
        name = series.past[-1]
        labels = [_column(one, name, series.source) for one in series.series]
        bare = tuple(_without_last(one) for one in series.series)
        series = SeriesSet(
            bare, series.targets, series.past[:-1], series.known, series.static, series.frequency, series.source,
            series.notes,
        )  # fmt: skip
    if windows is not None:
        known = _read_windows(Path(windows).expanduser())
        keys = {one.name: _key_of(one.name, known) for one in series.series}
        if not any(key is not None for key in keys.values()):
            raise DataError(
                f"{windows}: has windows of {', '.join(list(known)[:5])}, and none of the series read "
                f"({', '.join(list(keys)[:5])}). Name them by the file, as in {next(iter(keys))}.csv."
            )
        for place, one in enumerate(series.series):
            key = keys[one.name]
            if key is not None:
                own = _inside(one.stamps, known[key], f"{windows}: {key}")
                before = labels[place]
                labels[place] = own if before is None else own | before
    return series, tuple(labels)


def _column(series: Series, name: str, source: str) -> np.ndarray:
    values = series.past[:, -1]
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(wrong):
        row = int(wrong[0])
        line = f":{series.rows[row]}" if series.rows is not None and series.rows[row] else f": step {row}"
        raise DataError(
            f"{source}{line}: label column {name!r} is {values[row]:g}: 1 is wanted for an anomaly, 0 for none. Name "
            "another column with --data.label_column."
        )
    # stamps that were filled in have labels between those of their neighbours
    odd: np.ndarray = values >= 0.5
    return odd


def _without_last(series: Series) -> Series:
    return Series(
        series.name, series.stamps, series.values, series.past[:, :-1], series.known, series.static, series.rows
    )


def _read_windows(path: Path) -> Mapping[str, Sequence[Any]]:
    text = "\n".join(read_lines(path))
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: no valid JSON ({error}).") from error
    pairs = [pair for windows in found.values() for pair in windows] if isinstance(found, dict) else [None]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise DataError(
            f'{path}: windows of anomalies are wanted as {{"series.csv": [["2024-05-01 10:00", "2024-05-01 12:00"]]}}: '
            "first and last stamp of each, or first and last row from 0 where there are no stamps."
        )
    return found


def _key_of(name: str, known: Mapping[str, Any]) -> str | None:
    """The entry of a series: its name, or a path that ends in it, with or without an ending."""
    bare = {key: str(PurePosixPath(key).with_suffix("")) if PurePosixPath(key).suffix else key for key in known}
    whole = [key for key in known if name in (key, bare[key])]
    ending = [key for key in known if bare[key].endswith(f"/{name}")]
    return next(iter([*whole, *ending]), None)


def _inside(stamps: np.ndarray, windows: Sequence[Any], where: str) -> np.ndarray:
    odd = np.zeros(len(stamps), dtype=bool)
    for first, last in windows:
        if stamps.dtype.kind == "M":
            try:
                borders, _ = parse_stamps([str(first), str(last)])
            except StampFault as fault:
                raise DataError(f"{where}: {fault}") from None
        else:
            borders = np.array([first, last])
        if borders[1] < borders[0]:
            raise DataError(f"{where}: the window from {first} to {last} ends before it begins. Swap the two.")
        odd |= (stamps >= borders[0]) & (stamps <= borders[1])
    return odd
