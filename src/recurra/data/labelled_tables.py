"""Tables -> whole series with labels: a series a row, or `long`, a step a row with a column that names the series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from recurra.core.errors import DataError
from recurra.data.column_names import LABEL_NAMES
from recurra.data.config import DataConfig
from recurra.data.labelled_series import (
    MEND,
    LabelledSeries,
    RowFaultError,
    SeriesColumns,
    parse_values,
    usable,
)
from recurra.data.readers.reading import format_of
from recurra.data.stamp_texts import StampFault, parse_stamps
from recurra.data.tables import Table, header_of, read_cells, read_table

ID_NAMES = ("id", "series", "series_id", "unique_id", "case", "case_id", "sample", "sample_id", "instance", "subject")
STAMP_NAMES = ("step", "time", "t", "timestamp", "ds", "date", "datetime", "stamp", "dim_time", "frame", "index")
_SURELY_LABELS = ("label", "labels", "class", "category", "target", "标签", "类别")
"""Of the usual names those that no dimension has."""
Found: TypeAlias = Iterator["LabelledSeries | RowFaultError"]


def read_series_table(
    file: Path, options: DataConfig, known: SeriesColumns, want_label: bool
) -> tuple[SeriesColumns, list[str], Found]:
    """The series of a CSV, TSV, JSONL or Parquet file.

    Returns:
        The columns, sentences on how they were chosen, and the series as they come.
    Raises:
        DataError: no such column, none to choose from, or text among the values.
    """
    layout = options.series.layout
    table = _ragged_table(file, options) if layout == "rows" else read_table(file, options)
    if layout == "wide":
        raise DataError(
            f"{file}: data.series.layout=wide is for forecasting, where a column is a series. Labelled series stand in "
            "rows (layout=rows) or a step a row, with a column that names the series (layout=long)."
        )
    name = _first_named(table, options.series.id, ID_NAMES, "id")
    repeated = name is not None and len(set(table.texts(name))) < table.num_rows
    if layout == "long" or (layout == "auto" and repeated):
        if name is None:
            raise DataError(f"{file}: no column names the series. Pass --data.series.id=COLUMN.")
        return _long(table, options, known, want_label, name)
    labels = _label_columns(table, options, known, want_label, taken=[] if name is None else [name])
    ids = None if name is None else table.texts(name)
    if "values" in table.columns:
        texts = table.texts("values")
        found = _series(
            table, lambda row: parse_values(texts[row], table.where(row)), labels, ids, want_label=want_label
        )
        return replace(known, label=_joined(labels)), list(table.notes), found
    taken = {*labels, *([] if name is None else [name])}
    columns = _value_columns(table, options, [column for column in table.columns if column not in taken])
    matrix = np.stack([table.numbers(column) for column in columns], axis=1)
    notes = [*table.notes, _sentence(table, labels, f"{len(columns)} columns of values, one series a row")]
    found = _series(table, lambda row: matrix[row][:, None], labels, ids, want_label=want_label)
    return replace(known, label=_joined(labels)), notes, found


def _ragged_table(file: Path, options: DataConfig) -> Table:
    """The table of a file whose rows may end early, as short series do; cells that are not there are empty."""
    if format_of(file, options) not in ("csv", "tsv"):
        return read_table(file, options)
    rows, lines, _ = read_cells(file, options)
    width = max(map(len, rows))
    rows = [row + [""] * (width - len(row)) for row in rows]
    named, columns = header_of(file, rows, lines, options)
    rows, lines = (rows[1:], lines[1:]) if named else (rows, lines)
    if not rows:
        raise DataError(f"{file}: one line only, and it is the header: there are no rows.")
    return Table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)), str(file), lines, named)


def _long(
    table: Table, options: DataConfig, known: SeriesColumns, want_label: bool, name: str
) -> tuple[SeriesColumns, list[str], Found]:
    """Rows with the same id are one series, in the order of their stamps."""
    stamp = _first_named(table, options.series.stamp, STAMP_NAMES, "stamp")
    taken = [name, *([] if stamp is None else [stamp])]
    labels = _label_columns(table, options, known, want_label, taken)
    if known.channels:
        channels = [table.find(channel, "targets") for channel in known.channels]
    else:
        free = [column for column in table.columns if column not in {*taken, *labels}]
        channels = _value_columns(table, options, free)
    ids = table.texts(name)
    empty = next((row for row, text in enumerate(ids) if not text), None)
    if empty is not None:
        raise DataError(f"{table.where(empty)}: column {name!r} is empty: each row must name its series. {MEND}")
    order, groups = _grouped(ids)
    if stamp is not None:
        _require_sorted(table, stamp, options, order)
    matrix = np.stack([table.numbers(column) for column in channels], axis=1)
    what = f"series from column {name!r}, values from {', '.join(channels)}"
    notes = [*table.notes, _sentence(table, labels, what if stamp is None else f"{what}, stamps from {stamp!r}")]
    for label in labels if want_label else ():
        _require_one_label(table, label, groups)
    firsts = [int(rows[0]) for rows in groups]
    own = [ids[row] for row in firsts]
    found = _series(table, lambda number: matrix[groups[number]], labels, own, firsts, want_label=want_label)
    return SeriesColumns(_joined(labels), tuple(channels)), notes, found


def _series(
    table: Table,
    values: Callable[[int], np.ndarray],
    labels: Sequence[str],
    ids: Sequence[str] | None,
    firsts: Sequence[int] | None = None,
    *,
    want_label: bool,
) -> Found:
    """The series whose values (T, C) are `values(0)`, `values(1)`, ...

    `firsts` are the rows of the table at which they start, where a series has several.
    """
    cells = [table.texts(label) for label in labels]
    starts = range(table.num_rows) if firsts is None else firsts
    for number, row in enumerate(starts):
        where = table.where(row)
        given = [column[row] for column in cells]
        try:
            found = usable(values(number), where)
            if want_label and not all(given):
                name = labels[given.index("")]
                raise RowFaultError(f"{where}: label column {name!r} is empty. {MEND}")
        except RowFaultError as fault:
            yield fault
            continue
        line = str(row) if table.lines is None else str(table.lines[row])
        yield LabelledSeries(found, ",".join(given), line if ids is None else ids[number], where)


def _grouped(ids: Sequence[str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Each row's series number, and the rows of each series, both by first appearance."""
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(text, len(numbers)) for text in ids), np.int64, len(ids))
    order = np.argsort(codes, kind="stable")
    return codes, np.split(order, np.cumsum(np.bincount(codes))[:-1])


def _require_sorted(table: Table, stamp: str, options: DataConfig, codes: np.ndarray) -> None:
    """Check that the stamps of each series go up."""
    if table.is_numeric(stamp):
        stamps = table.numbers(stamp)
    else:
        try:
            stamps = parse_stamps(table.texts(stamp), options.series.stamp_format)[0]
        except StampFault as fault:
            raise DataError(f"{table.where(fault.row)}: column {stamp!r}: {fault}") from fault
    order = np.argsort(codes, kind="stable")
    same = codes[order[1:]] == codes[order[:-1]]
    wrong = np.flatnonzero(same & ~(stamps[order[1:]] > stamps[order[:-1]]))
    if not len(wrong):
        return
    row = int(order[wrong[0] + 1])
    before = int(order[wrong[0]])
    texts = table.texts(stamp)
    what = "stands twice within its series" if stamps[row] == stamps[before] else "is not above the one before it"
    raise DataError(
        f"{table.where(row)}: stamp {texts[row]!r} {what} ({texts[before]!r}, {table.where(before)}). Sort the rows of "
        "each series by their stamps, each once, or name another column with --data.series.stamp."
    )


def _require_one_label(table: Table, label: str, groups: Sequence[np.ndarray]) -> None:
    texts = table.texts(label)
    for rows in groups:
        first = texts[rows[0]]
        other = next((row for row in rows if texts[row] != first), None)
        if other is not None:
            raise DataError(
                f"{table.where(int(other))}: label {texts[other]!r}, and the series starts with {first!r} "
                f"({table.where(int(rows[0]))}): one label a series is wanted. Mend the rows, or name another column "
                "with --data.label_column."
            )


def _label_columns(
    table: Table, options: DataConfig, known: SeriesColumns, want_label: bool, taken: Sequence[str]
) -> list[str]:
    """The columns of the label; none where there is none and none is needed."""
    asked = options.label_column if options.label_column is not None else known.label
    if asked is not None:
        if not want_label and options.label_column is None and str(asked) not in table.columns:
            return _usual_label(table, known, taken, _SURELY_LABELS)
        parts = [str(asked)] if str(asked) in table.columns else str(asked).split("+")
        return [table.find(part.strip(), "label_column") for part in parts]
    if not want_label:
        return _usual_label(table, known, taken, _SURELY_LABELS)
    free = [column for column in table.columns if column not in taken]
    if not table.named:
        return free[:1]
    usual = _usual_label(table, known, taken, LABEL_NAMES)
    if usual:
        return usual
    texts = [column for column in free if not table.is_numeric(column)]
    if len(texts) == 1:
        return texts
    raise DataError(
        f"{table.source}: no column looks like a label (columns: {', '.join(list(table.columns)[:12])}, ...). Pass "
        "--data.label_column=NAME or a number from 0."
    )


def _usual_label(table: Table, known: SeriesColumns, taken: Sequence[str], names: Sequence[str]) -> list[str]:
    """The column that has a usual name of labels, if there is one."""
    if not table.named:
        return []
    taken = [*taken, *known.channels]
    folded = {column.strip().lower(): column for column in reversed(list(table.columns)) if column not in taken}
    return [folded[name] for name in names if name in folded][:1]


def _value_columns(table: Table, options: DataConfig, free: Sequence[str]) -> list[str]:
    asked = options.series.targets
    columns = list(free) if asked is None else [table.find(name, "targets") for name in asked]
    if not columns:
        raise DataError(f"{table.source}: no column is left for the values (columns: {', '.join(table.columns)}).")
    return columns


def _first_named(table: Table, asked: str | int | None, usual: Sequence[str], option: str) -> str | None:
    if asked is not None:
        return table.find(asked, option)
    if not table.named:
        return None
    folded = {column.strip().lower(): column for column in reversed(list(table.columns))}
    return next((folded[name] for name in usual if name in folded), None)


def _joined(labels: Sequence[str]) -> str | None:
    return "+".join(labels) or None


def _sentence(table: Table, labels: Sequence[str], what: str) -> str:
    chosen = f", labels from column {' + '.join(map(repr, labels))}" if labels else ""
    return f"{table.source}: {what}{chosen}."
