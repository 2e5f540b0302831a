"""Frames and arrays as series, and series as the file that a run reads: every number comes back as it was."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.core.config import parse
from recurra.core.errors import DataError
from recurra.data import SeriesConfig, SeriesSet, series_from_frame
from recurra.data.readers.delimited import csv_cell

SERIES = "data.series."
_ID, _STAMP = "unique_id", "ds"


def series_options(options: Mapping[str, Any] | None) -> SeriesConfig:
    """Those of dotted options that tell how frames are read."""
    given = options or {}
    return parse(SeriesConfig, {key.removeprefix(SERIES): given[key] for key in given if key.startswith(SERIES)})


def is_frame(X: Any) -> bool:
    """Whether this is a pandas or polars frame or column, or a dict of columns."""
    return isinstance(X, Mapping) or hasattr(X, "columns") or hasattr(X, "to_frame")


def series_of_arrays(arrays: Sequence[Any], options: SeriesConfig) -> SeriesSet:
    """Arrays (T,) or (T, C) as series; their columns are called value, or value-1, value-2, ...

    Raises:
        DataError: an array is empty, or they have different numbers of columns.
    """
    if not all(map(np.size, arrays)):
        raise DataError("the data is empty, or has an empty series: numbers are wanted.")
    sources = ["the data"] if len(arrays) == 1 else [f"series {number}" for number in range(len(arrays))]
    sets = [series_from_frame(np.asarray(one), options, source) for one, source in zip(arrays, sources, strict=True)]
    if len({one.targets for one in sets}) > 1:
        raise DataError("the arrays have different numbers of columns: (T,), or (T, C) with one C, is wanted.")
    width = len(sets[0].targets)
    names = ("value",) if width == 1 else tuple(f"value-{place}" for place in range(1, width + 1))
    rows = tuple(replace(one.series[0], name=str(number)) for number, one in enumerate(sets))
    return replace(sets[0], series=rows, targets=names, source="the data")


def series_csv(series: SeriesSet) -> tuple[str, dict[str, Any]]:
    """The series as CSV, and the options by which it is read again.

    A lone series stands in the wide layout, others in the long one; rows that only hold covariates known ahead follow
    the values.
    """
    groups = {kind: [*getattr(series, kind)] for kind in ("targets", "past", "known", "static")}
    id_column, stamp_column = (_unused(name, groups) for name in (_ID, _STAMP))
    alone, stamped = len(series) == 1, series.stamped
    names = [name for columns in groups.values() for name in columns]
    head = [*([] if alone else [id_column]), *([stamp_column] if stamped else []), *names]
    text = io.StringIO()
    text.write(",".join(map(csv_cell, head)) + "\n")
    for one in series.series:
        total = max(len(one), len(one.known))
        stamps = one.stamps
        if stamped and total > len(one) and series.frequency is not None:
            stamps = np.concatenate([stamps, series.frequency.step(stamps, total - len(one))])
        elif stamped:
            total = len(one)
        blocks = [_cells(part, total) for part in (one.values, one.past, one.known[:total])]
        static = [repr(value) for value in one.static.tolist()]
        own = [] if alone else [csv_cell(one.name)]
        dates = [[str(stamp)] for stamp in stamps.astype("datetime64[s]")] if stamped else [[]] * total
        for step in range(total):
            cells = (cell for block in blocks for cell in block[step])
            text.write(",".join([*own, *dates[step], *cells, *static]) + "\n")
    options: dict[str, Any] = {
        "layout": "wide" if alone else "long",
        "id": None if alone else id_column,
        "stamp": stamp_column if stamped else None,
        "stamp_format": None,
        **groups,
    }
    named = {f"{SERIES}{name}": value for name, value in options.items()}
    return text.getvalue(), {"data.format": "csv", "data.header": "yes", **named}


def _cells(values: np.ndarray, total: int) -> list[list[str]]:
    """Rows of cells; nothing where a value is missing, or has not come yet."""
    rows = [["" if value != value else repr(value) for value in row] for row in values.tolist()]
    return rows + [[""] * values.shape[1]] * (total - len(rows))


def _unused(name: str, groups: dict[str, list[str]]) -> str:
    while any(name in columns for columns in groups.values()):
        name += "_"
    return name
