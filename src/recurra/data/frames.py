"""Tables by columns, from Parquet, pandas and polars frames, dicts and arrays; numbers are checked here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from recurra.core.errors import DataError, MissingExtraError, did_you_mean
from recurra.data.stamp_texts import on_one_clock

Column: TypeAlias = "Sequence[str] | np.ndarray"
_NO_VALUE = {"", "na", "n/a", "nan", "nat", "null", "none", "-", "--", "?", "."}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_SAMPLE = 200
LARGEST = 1e100
"""Larger numbers are a slip, and their squares could not be summed."""


@dataclass(slots=True)
class Table:
    """Columns of equal length.

    Attributes:
        columns: name -> texts as they stand in the file, or an array; "0", "1", ... where there are no names.
        source: the file, for messages.
        lines: (R,) line of each row; None for what is no text file.
        named: whether the columns have names of their own.
        notes: sentences on what was guessed.
        commas: whether 1,5 means 1.5.
    """

    columns: dict[str, Column]
    source: str
    lines: np.ndarray | None = None
    named: bool = True
    notes: list[str] = field(default_factory=list)
    commas: bool = False

    @property
    def num_rows(self) -> int:
        """R."""
        return len(next(iter(self.columns.values()), ()))

    def where(self, row: int) -> str:
        """File and line of a row, or its number in a frame."""
        return f"{self.source}:{self.lines[row]}" if self.lines is not None else f"{self.source}: row {row}"

    def find(self, asked: str | int, option: str) -> str:
        """The column of this name or number.

        Raises:
            DataError: there is none.
        """
        name = str(asked)
        if name in self.columns:
            return name
        folded = [known for known in self.columns if known.lower() == name.lower()]
        if len(folded) == 1:
            return folded[0]
        if name.isdecimal() and int(name) < len(self.columns):
            return list(self.columns)[int(name)]
        hint = did_you_mean(name, self.columns) if self.named else " The columns are numbered from 0."
        where = "data" if option == "label_column" else "data.series"
        raise DataError(f"{self.source}: no column {name!r} ({where}.{option}).{hint} Columns: {listed(self.columns)}.")

    def texts(self, name: str) -> Sequence[str]:
        """A column as texts without blanks around."""
        column = self.columns[name]
        if isinstance(column, np.ndarray):
            if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.round(column)).all():
                column = column.astype(np.int64)
            return [_text(value) for value in column.tolist()]
        return [text.strip() for text in column]

    def is_numeric(self, name: str) -> bool:
        """Whether most of the column's cells are numbers, and some are."""
        column = self.columns[name]
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            return True
        if isinstance(column, np.ndarray) and column.dtype.kind != "O":
            return False
        sample = column[:: max(1, len(column) // _SAMPLE)]
        filled = [text for value in sample if (text := _text(value)).lower() not in _NO_VALUE]
        return sum(self._number(text) is not None for text in filled) * 2 > len(filled)

    def numbers(self, name: str) -> np.ndarray:
        """A column as (R,) float64, NaN where a cell is empty.

        Raises:
            DataError: a cell is text, or infinite; names the row.
        """
        column = self.columns[name]
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            values = column.astype(np.float64)
        else:
            try:
                values = np.array(list(map(float, column)))
            except (ValueError, TypeError):
                values = self._numbers_one_by_one(name, column)
        infinite = np.flatnonzero(np.abs(values) > LARGEST)
        if len(infinite):
            found = values[infinite[0]]
            what = "infinite" if np.isinf(found) else f"{found:g}, beyond {LARGEST:g}"
            raise DataError(
                f"{self.where(infinite[0])}: column {name!r} is {what}{and_more(len(infinite))}. Give a number, or "
                "leave the cell empty where the value is not known."
            )
        return values

    def _numbers_one_by_one(self, name: str, column: Column) -> np.ndarray:
        values = np.empty(len(column))
        for row, cell in enumerate(column):
            text = _text(cell)
            number = self._number(text)
            if number is None and text.lower() in _NO_VALUE | {"<na>"}:
                number = np.nan
            if number is None:
                raise DataError(
                    f"{self.where(row)}: column {name!r}: {text[:40]!r} is no number. Mend it, leave the cell empty "
                    "where the value is not known, or name the columns to model with --data.series.targets."
                )
            values[row] = number
        return values

    def _number(self, text: str) -> float | None:
        if self.commas and _DECIMAL_COMMA.fullmatch(text):
            text = text.replace(",", ".")
        try:
            return float(text)
        except ValueError:
            return None


def _text(value: Any) -> str:
    """A cell of a frame as text; None and NaN are empty."""
    return "" if value is None or value != value else str(value).strip()


def table_of(frame: Any, source: str = "the table") -> Table:
    """A table of a pandas or polars frame or series, an Arrow table, a dict of columns, or an array (T,) or (T, C).

    Raises:
        DataError: none of these, or columns of unequal length.
    """
    if hasattr(frame, "collect_schema") and hasattr(frame, "collect"):
        # a lazy frame of polars
        frame = frame.collect()
    if hasattr(frame, "column_names"):
        return _arrow_table(frame, source)
    if isinstance(frame, (np.ndarray, list, tuple)):
        values = np.asarray(frame)
        if values.ndim not in (1, 2):
            raise DataError(f"{source}: an array of shape {values.shape}: (T,) or (T, C) is wanted.")
        flat = values.reshape(len(values), -1).T
        return Table({str(number): column for number, column in enumerate(flat)}, source, named=False)
    if not hasattr(frame, "columns") and hasattr(frame, "to_frame"):
        frame = frame.to_frame()
    if not isinstance(frame, Mapping) and not hasattr(frame, "columns"):
        kind = type(frame).__name__
        raise DataError(f"{source}: a {kind}: a pandas or polars frame, a dict of columns or an array is wanted.")
    if _index_says_something(getattr(frame, "index", None)):
        frame = frame.reset_index()
    table = Table({}, source)
    for name in frame if isinstance(frame, Mapping) else frame.columns:
        column, note = _column(frame[name])
        table.columns[str(name)] = column
        if note:
            table.notes.append(f"{source}: column {str(name)!r}: {note}.")
    if len({len(values) for values in table.columns.values()}) > 1:
        raise DataError(f"{source}: the columns have different lengths.")
    return table


def read_parquet(path: Path) -> Table:
    """Read a Parquet file.

    Raises:
        DataError: it is none.
        MissingExtraError: without the `data` extra.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data", f"{path}: reading Parquet") from error
    try:
        found = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: no Parquet table that can be read ({str(error).splitlines()[0]}).") from error
    return _arrow_table(found, str(path))


def _arrow_table(found: Any, source: str) -> Table:
    """A table of an Arrow table."""
    import pyarrow
    import pyarrow.compute as compute

    table = Table({}, source)
    for name in found.column_names:
        column = found.column(name)
        if pyarrow.types.is_timestamp(column.type) and column.type.tz is not None:
            universal = column.cast(pyarrow.timestamp(column.type.unit)).to_numpy()
            array, note = on_one_clock(compute.local_timestamp(column).to_numpy(), universal)
            if note:
                table.notes.append(f"{source}: column {name!r}: {note}.")
        else:
            array = _plain(column.to_numpy())
        table.columns[str(name)] = array
    return table


def _index_says_something(index: Any) -> bool:
    """Whether a pandas index holds stamps or ids, and not only numbers of rows."""
    if index is None or not hasattr(index, "nlevels") or type(index).__name__ == "RangeIndex":
        return False
    kind = str(index.dtype)
    return index.nlevels > 1 or index.name is not None or kind.startswith(("datetime", "period", "object", "str"))


def _column(values: Any) -> tuple[np.ndarray, str]:
    """A column of a frame as an array of numbers, datetime64 or objects, and how its time zone was treated."""
    dtype = getattr(values, "dtype", None)
    if str(dtype).startswith("period"):
        values = values.dt.to_timestamp()
    if getattr(dtype, "tz", None) is not None:
        universal = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return on_one_clock(values.dt.tz_localize(None).to_numpy(), universal)
    if getattr(dtype, "time_zone", None) is not None:
        local = values.dt.replace_time_zone(None).to_numpy()
        return on_one_clock(local, values.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy())
    if hasattr(values, "array") and hasattr(dtype, "na_value") and getattr(dtype, "kind", "O") in "iuf":
        # pandas' own integers and floats, with missing ones
        return values.to_numpy(dtype=np.float64, na_value=np.nan), ""
    return _plain(values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)), ""


def _plain(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind in "fiubMO" else array.astype(object)


def and_more(count: int) -> str:
    return f" (and {count - 1} more such rows)" if count > 1 else ""


def listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    shown = list(itertools.islice(names, 20))
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
