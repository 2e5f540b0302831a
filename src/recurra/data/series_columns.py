"""Which column is the stamp, which names the series, and which are modelled: as asked, else a guess that is stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recurra.core.errors import DataError
from recurra.data.frames import Table
from recurra.data.series_options import SeriesConfig
from recurra.data.stamp_texts import StampFault, looks_like_stamps, parse_stamps

_STAMP_NAMES = (
    "ds", "date", "datetime", "timestamp", "time", "stamp", "date_time", "day", "month", "year", "week", "hour",
    "period", "日期", "时间",
)  # fmt: skip
ID_NAMES = (
    "unique_id", "series_id", "item_id", "ts_id", "series", "id", "name", "ticker", "symbol", "store", "sensor",
    "station", "product", "item", "sku", "编号", "名称",
)  # fmt: skip
_PARTS_OF_DATES = {"day", "month", "week", "hour", "period"}
_COUNTER_NAMES = {"", "index", "id", "no", "row", "unnamed: 0", "0"}


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """The columns that are used.

    Attributes:
        layout: what a row is.
        stamp: column of the stamps, or None.
        id: column that names the series, or None.
        targets: columns to model.
        past: past covariates.
        known: covariates known ahead.
        static: features of a series as a whole.
        stamps: (R,) what the stamp column holds; None without one.
        notes: sentences on what was guessed.
        stamp_format: as in `SeriesConfig`.
    """

    layout: Literal["wide", "long", "rows"]
    stamp: str | None
    id: str | None
    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    stamps: np.ndarray | None
    notes: tuple[str, ...] = ()
    stamp_format: str | None = field(default=None, kw_only=True)

    def of(self, table: Table) -> SeriesColumns:
        """The same columns of another file.

        Raises:
            DataError: it lacks one.
        """
        for name in (self.stamp, self.id, *self.targets, *self.past, *self.known, *self.static):
            if name is not None and name not in table.columns:
                raise DataError(
                    f"{table.source}: has no column {name!r}, and the files before it have one. Files that are read "
                    "together must have the same columns."
                )
        stamps = None if self.stamp is None else read_stamps(table, self.stamp, self.stamp_format)[0]
        return replace(self, stamps=stamps, notes=())


def choose_series_columns(table: Table, config: SeriesConfig) -> SeriesColumns:
    """Choose the columns of a table.

    Raises:
        DataError: a column that is asked for is not there, nothing can be modelled, or stamps can't be read.
    """
    notes: list[str] = []
    named = {
        option: tuple(table.find(name, option) for name in getattr(config, option))
        for option in ("past", "known", "static")
    }
    targets = tuple(table.find(name, "targets") for name in config.targets or ())
    taken = {*targets, *(name for names in named.values() for name in names)}
    own_id = None if config.id is None else table.find(config.id, "id")
    stamp = _find_stamp(table, config, {*taken, own_id}, notes)
    stamps = None
    if stamp is not None:
        stamps, how = read_stamps(table, stamp, config.stamp_format)
        if how:
            notes.append(f"{table.source}: stamps: {how} (else pass --data.series.stamp_format).")
    if own_id is None and config.layout != "wide":
        own_id = _find_id(table, config, stamps, {*taken, stamp}, notes)
    if config.layout == "auto" and own_id is None and stamps is None and _is_a_series_a_row(table):
        return SeriesColumns("rows", None, "0", ("value",), (), (), (), None)
    if not targets:
        targets = _numeric(table, {*taken, stamp, own_id}, notes)
    _refuse_twice(table, [stamp, own_id, *targets, *(name for names in named.values() for name in names)])
    layout: Literal["wide", "long"] = "wide" if own_id is None else "long"
    if not config.targets and len(targets) > 1:
        notes.append(f"{table.source}: columns to model: {', '.join(targets[:20])} (else pass --data.series.targets).")
    chosen = (named["past"], named["known"], named["static"])
    return SeriesColumns(
        layout, stamp, own_id, targets, *chosen, stamps, tuple(notes), stamp_format=config.stamp_format
    )


def read_stamps(table: Table, name: str, stamp_format: str | None) -> tuple[np.ndarray, str]:
    """The stamps of a column, and how they were read.

    Raises:
        DataError: a stamp is empty or can't be read; names the row.
    """
    column = table.columns[name]
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        empty = np.flatnonzero(np.isnat(column))
        if len(empty):
            raise DataError(
                f"{table.where(empty[0])}: column {name!r}: the stamp is empty. Drop the row, or fill it in."
            )
        seconds = column.astype("datetime64[s]")
        return (seconds if (seconds == column).all() else column.astype("datetime64[ms]")), ""
    try:
        return parse_stamps(table.texts(name), stamp_format)
    except StampFault as fault:
        unread = not table.named and fault.row == 0
        hint = " If the first line names the columns, pass --data.header=yes." if unread else ""
        raise DataError(f"{table.where(fault.row)}: column {name!r}: {fault}{hint}") from None


def _find_stamp(table: Table, config: SeriesConfig, taken: set[str | None], notes: list[str]) -> str | None:
    if config.stamp is not None:
        return table.find(config.stamp, "stamp")
    free = [name for name in table.columns if name not in taken]
    by_name = {name.strip().lower(): name for name in reversed(free)}
    usual = [by_name[name] for name in _STAMP_NAMES if name in by_name]
    found = next((name for name in usual if _holds_stamps(table, name)), None)
    found = found or next((name for name in free if _holds_stamps(table, name)), None)
    found = found or next((name for name in usual if _holds_numbers_of_steps(table, name)), None)
    if found is not None:
        notes.append(f"{table.source}: stamps from column {found!r} (guessed; else pass --data.series.stamp).")
    return found


def _holds_stamps(table: Table, name: str) -> bool:
    column = table.columns[name]
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column.dtype.kind == "M"
    return looks_like_stamps(["" if text is None else str(text) for text in column[:200]])


def _holds_numbers_of_steps(table: Table, name: str) -> bool:
    texts = table.texts(name)[:200] if table.named else [""]
    if not all(text.isdecimal() for text in texts) or len(set(texts)) < 2:
        return False
    # a month of 1 to 12 beside a year is a part of a date
    return name.strip().lower() not in _PARTS_OF_DATES or bool((np.diff([int(text) for text in texts]) > 0).all())


def _find_id(
    table: Table, config: SeriesConfig, stamps: np.ndarray | None, taken: set[str | None], notes: list[str]
) -> str | None:
    rising = stamps is None or bool((stamps[1:] > stamps[:-1]).all())
    repeated = not rising and stamps is not None and len(np.unique(stamps)) < len(stamps)
    free = [name for name in table.columns if name not in taken]
    by_name = {name.strip().lower(): name for name in reversed(free)}
    usual = [by_name[name] for name in ID_NAMES if name in by_name]
    texts = [name for name in free if not table.is_numeric(name)]
    found = None
    if config.layout == "long" or repeated:
        found = next((name for name in (*usual, *texts) if stamps is None or _tells_apart(table, name, stamps)), None)
        found = found or (next(iter(usual), None) if config.layout == "long" else None)
    elif stamps is None and "unique_id" in by_name:
        found = by_name["unique_id"]
    elif stamps is not None:
        found = next((name for name in usual if name.lower() == "unique_id"), None)
    if found is None and config.layout == "long":
        raise DataError(
            f"{table.source}: no column names the series of the long layout. Pass --data.series.id=COLUMN. Columns: "
            f"{', '.join(list(table.columns)[:20])}."
        )
    if found is not None:
        notes.append(
            f"{table.source}: series are told apart by column {found!r} (guessed; else pass --data.series.id)."
        )
    return found


def _tells_apart(table: Table, name: str, stamps: np.ndarray) -> bool:
    """Whether no series has a stamp twice."""
    codes: dict[str, int] = {}
    texts = table.texts(name)
    of_row = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, len(texts))
    order = np.lexsort((stamps, of_row))
    same = (np.diff(of_row[order]) == 0) & (stamps[order][1:] == stamps[order][:-1])
    return not same.any()


def _is_a_series_a_row(table: Table) -> bool:
    names = list(table.columns)
    if len(names) < 4 or isinstance(table.columns[names[0]], np.ndarray) or table.is_numeric(names[0]):
        return False
    ids = table.texts(names[0])
    sample = names[1 : 1 + 20]
    return len(set(ids)) == len(ids) and "" not in ids and all(map(table.is_numeric, sample))


def _numeric(table: Table, taken: set[str | None], notes: list[str]) -> tuple[str, ...]:
    free = [name for name in table.columns if name not in taken]
    numeric = [name for name in free if table.is_numeric(name)]
    left_out = [name for name in free if name not in numeric]
    if len(numeric) > 1 and table.named:
        counter = next((name for name in numeric if name.lower() in _COUNTER_NAMES and _counts_up(table, name)), None)
        if counter is not None:
            numeric.remove(counter)
            left_out.append(counter)
    empty = next((name for name in free if not any(table.texts(name))), None) if not numeric else None
    if empty is not None:
        raise DataError(f"{table.source}: column {empty!r} has no value at all: there is nothing to model.")
    if not numeric:
        raise DataError(
            f"{table.source}: no column of numbers to model. Columns: {', '.join(list(table.columns)[:20])}. If the "
            "fields are not separated as they should be, pass --data.format=csv or tsv."
        )
    if left_out:
        notes.append(f"{table.source}: left out, not numbers that were measured: {', '.join(left_out[:20])}.")
    return tuple(numeric)


def _counts_up(table: Table, name: str) -> bool:
    values = table.numbers(name)
    return bool((np.diff(values) == 1).all())


def _refuse_twice(table: Table, names: Sequence[str | None]) -> None:
    given = [name for name in names if name is not None]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"{table.source}: column {twice!r} is given two parts (stamp, id, targets, past, known, static). Name it "
            "once."
        )
