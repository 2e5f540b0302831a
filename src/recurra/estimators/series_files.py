"""Series at hand, as the file that a run reads: every number comes back as it was."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from recurra.data import SeriesSet

_ID, _STAMP = "unique_id", "ds"


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
    text.write(",".join(map(_quoted, head)) + "\n")
    for one in series.series:
        total = max(len(one), len(one.known))
        stamps = one.stamps
        if stamped and total > len(one) and series.frequency is not None:
            stamps = np.concatenate([stamps, series.frequency.step(stamps, total - len(one))])
        elif stamped:
            total = len(one)
        blocks = [_cells(part, total) for part in (one.values, one.past, one.known[:total])]
        static = [repr(value) for value in one.static.tolist()]
        own = [] if alone else [_quoted(one.name)]
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
    named = {f"data.series.{name}": value for name, value in options.items()}
    return text.getvalue(), {"data.format": "csv", "data.header": "yes", **named}


def _cells(values: np.ndarray, total: int) -> list[list[str]]:
    """Rows of cells; nothing where a value is missing, or has not come yet."""
    rows = [["" if value != value else repr(value) for value in row] for row in values.tolist()]
    return rows + [[""] * values.shape[1]] * (total - len(rows))


def _unused(name: str, groups: dict[str, list[str]]) -> str:
    while any(name in columns for columns in groups.values()):
        name += "_"
    return name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\n') else name
