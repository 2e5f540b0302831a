"""Tables by columns: CSV, TSV and JSONL files of numbers, Parquet, pandas and polars frames, dicts of arrays."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from recurra.core.errors import DataError, MissingExtraError, did_you_mean

Column: TypeAlias = "Sequence[str] | np.ndarray"
_NO_VALUE = {"", "na", "n/a", "nan", "nat", "null", "none", "-", "--", "?", "."}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_SAMPLE = 200


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
        raise DataError(
            f"{self.source}: no column {name!r} (data.series.{option}).{hint} Columns: {listed(self.columns)}."
        )

    def texts(self, name: str) -> Sequence[str]:
        """A column as texts without blanks around."""
        column = self.columns[name]
        if isinstance(column, np.ndarray):
            if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.round(column)).all():
                column = column.astype(np.int64)
            return ["" if value is None else str(value).strip() for value in column.tolist()]
        return [text.strip() for text in column]

    def is_numeric(self, name: str) -> bool:
        """Whether most of the column's cells are numbers, and some are."""
        column = self.columns[name]
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            return True
        if isinstance(column, np.ndarray) and column.dtype.kind != "O":
            return False
        sample = column[:: max(1, len(column) // _SAMPLE)]
        filled = [
            text for value in sample if (text := "" if value is None else str(value).strip()).lower() not in _NO_VALUE
        ]
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
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise DataError(
                f"{self.where(infinite[0])}: column {name!r} is infinite"
                f"{and_more(len(infinite))}. Give a number, or leave the cell empty where the value is not known."
            )
        return values

    def _numbers_one_by_one(self, name: str, column: Column) -> np.ndarray:
        values = np.empty(len(column))
        for row, cell in enumerate(column):
            text = "" if cell is None else str(cell).strip()
            number = self._number(text)
            if number is None and text.lower() in _NO_VALUE | {"<na>"}:
                number = np.nan
            if number is None:
                raise DataError(
                    f"{self.where(row)}: column {name!r}: {text[:40]!r} is no number. Mend it, leave the cell "
                    "empty where "
                    "the value is not known, or name the columns to model with --data.series.targets."
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


def table_of(frame: Any, source: str = "the table") -> Table:
    """A table of a pandas or polars frame or series, a dict of columns, or an array (T,) or (T, C).

    Raises:
        DataError: none of these, or columns of unequal length.
    """
    if isinstance(frame, Table):
        return frame
    if isinstance(frame, Mapping):
        columns: dict[str, Column] = {str(name): _array(values) for name, values in frame.items()}
    elif isinstance(frame, (np.ndarray, list, tuple)):
        values = np.asarray(frame)
        if values.ndim not in (1, 2):
            raise DataError(f"{source}: an array of shape {values.shape}: (T,) or (T, C) is wanted.")
        return Table(
            {str(c): column for c, column in enumerate(values.reshape(len(values), -1).T)}, source, named=False
        )
    else:
        if not hasattr(frame, "columns") and hasattr(frame, "to_frame"):
            frame = frame.to_frame()
        if not hasattr(frame, "columns"):
            raise DataError(
                f"{source}: a {type(frame).__name__}: a pandas or polars frame, a dict or an array is wanted."
            )
        index = getattr(frame, "index", None)
        if (
            index is not None
            and type(index).__name__ != "RangeIndex"
            and str(index.dtype).startswith(("datetime", "object", "period"))
        ):
            frame = frame.reset_index()
        columns = {str(name): _array(frame[name]) for name in frame.columns}
    if len({len(values) for values in columns.values()}) > 1:
        raise DataError(f"{source}: the columns have different lengths.")
    return Table(columns, source)


def _array(values: Any) -> np.ndarray:
    """A column of a frame as an array: numbers, datetime64 or objects."""
    if hasattr(values, "dt") and str(getattr(values, "dtype", "")).startswith("period"):
        values = values.dt.to_timestamp()
    zone = getattr(getattr(values, "dtype", None), "tz", None)
    if zone is not None:
        values = values.dt.tz_localize(None)
    dtype = str(getattr(values, "dtype", ""))
    if hasattr(values, "to_numpy") and dtype[:1] in "IUF" and dtype[:1].isupper() and hasattr(values, "index"):
        # pandas' own integers and floats, with missing ones
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    return array if array.dtype.kind in "fiubMO" else array.astype(object)


def read_parquet(path: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data", f"{path}: reading Parquet") from error
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: no Parquet table that can be read ({str(error).splitlines()[0]}).") from error
    columns: dict[str, Column] = {}
    for name in table.column_names:
        column = table.column(name)
        if pyarrow.types.is_timestamp(column.type) and column.type.tz is not None:
            column = column.cast(pyarrow.timestamp(column.type.unit))
        array = column.to_numpy()
        columns[str(name)] = array if array.dtype.kind in "fiubMO" else array.astype(object)
    return Table(columns, str(path))


def and_more(count: int) -> str:
    return f" (and {count - 1} more such rows)" if count > 1 else ""


def listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    shown = list(itertools.islice(names, 20))
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
