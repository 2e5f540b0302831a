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
from recurra.data.readers.decoding import read_chunks, require_file
from recurra.data.readers.delimited import cut_rows, guess_delimiter
from recurra.data.readers.header import guess_header
from recurra.data.readers.jsonl import read_jsonl
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row

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
            f"{self.source}: no column {name!r} (data.series.{option}).{hint} Columns: {_listed(self.columns)}."
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
                f"{_and_more(len(infinite))}. Give a number, or leave the cell empty where the value is not known."
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


def read_table(path: Path, options: ReadOptions) -> Table:
    """Read a file by columns; .txt is read as CSV, its separator guessed.

    Raises:
        DataError: missing, empty, binary, wrongly encoded, or rows of different length.
        MissingExtraError: Parquet without the `data` extra.
    """
    kind = _kind(path, options)
    if kind == "parquet":
        return _read_parquet(path)
    if kind == "jsonl":
        return _read_json(path, options)
    rows, lines, delimiter = read_cells(path, options)
    named, columns = header_of(path, rows, lines, options)
    notes = [f"{path}: columns are separated by {delimiter!r}."] if delimiter not in ",\t" else []
    rows, lines = (rows[1:], lines[1:]) if named else (rows, lines)
    if not rows:
        raise DataError(f"{path}: one line only, and it is the header ({_listed(columns)}): there are no rows.")
    rows, lines = _of_width(path, rows, lines, columns, options, notes)
    table = Table(dict(zip(columns, zip(*rows, strict=True), strict=True)), str(path), lines, named, notes)
    table.commas = delimiter == ";"
    return table


def read_cells(path: Path, options: ReadOptions) -> tuple[list[list[str]], np.ndarray, str]:
    """All rows of a CSV or TSV file as cells, header included, with the line of each and the separator.

    Raises:
        DataError: as `read_table`.
    """
    text = "".join(read_chunks(path, options.encoding))
    everything = text.split("\n")
    sample = [line for line in everything[:_SAMPLE] if line.strip()]
    if not sample and not text.strip():
        raise DataError(f"{path}: the file holds blank lines only. Give a file with rows of numbers.")
    delimiter = _delimiter(path, options, sample)
    if '"' in text:
        found = list(cut_rows(path, iter(everything), delimiter, quoted=True))
        bad = next((row for row in found if isinstance(row, BadRow)), None)
        if bad is not None:
            raise DataError(bad.message)
        cells = [row.cells for row in found if not isinstance(row, BadRow)]
        return cells, np.array([row.line for row in found if not isinstance(row, BadRow)]), delimiter
    if delimiter == " ":
        split = [line.split() for line in everything]
    else:
        split = [line.split(delimiter) for line in everything]
    blank = [number for number, line in enumerate(everything) if not line or line.isspace()]
    lines = np.delete(np.arange(1, len(everything) + 1), blank)
    for number in reversed(blank):
        del split[number]
    return split, lines, delimiter


def header_of(
    path: Path, rows: Sequence[Sequence[str]], lines: np.ndarray, options: ReadOptions
) -> tuple[bool, list[str]]:
    """Whether the first row names the columns, and their names.

    Raises:
        DataError: two columns of one name.
    """
    named = options.header == "yes"
    if options.header == "auto":
        named = guess_header(rows[:_SAMPLE])[0]
    if not named:
        return False, [str(number) for number in range(len(rows[0]))]
    names = [name.strip() or str(number) for number, name in enumerate(rows[0])]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}:{lines[0]}: two columns are named {twice!r}. Rename one of them.")
    return True, names


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


def _kind(path: Path, options: ReadOptions) -> str:
    require_file(path)
    name = path.name.lower().removesuffix(".gz")
    if options.format in ("csv", "tsv", "jsonl"):
        return options.format
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    return "tsv" if name.endswith((".tsv", ".tab")) else "csv"


def _delimiter(path: Path, options: ReadOptions, sample: Sequence[str]) -> str:
    if _kind(path, options) == "tsv":
        return "\t"
    if not any(mark in line for line in sample for mark in ",;\t") and all(
        len(line.split()) == len(sample[0].split()) > 1 and _is_number(line.split()[-1]) for line in sample[1:]
    ):
        # a stamp alone, "2016-07-01 00:00", has a blank as well, but ends in no number
        return " "
    return guess_delimiter(sample[:10])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _of_width(
    path: Path, rows: list[list[str]], lines: np.ndarray, columns: Sequence[str], options: ReadOptions, notes: list[str]
) -> tuple[list[list[str]], np.ndarray]:
    if set(map(len, rows)) == {len(columns)}:
        return rows, lines
    bad = [number for number, row in enumerate(rows) if len(row) != len(columns)]
    if options.skip_bad_rows and len(bad) < len(rows):
        notes.append(f"{path}: {len(bad)} bad rows were skipped.")
        return [row for row in rows if len(row) == len(columns)], np.delete(lines, bad)
    raise DataError(
        f"{path}:{lines[bad[0]]}: {len(rows[bad[0]])} fields where {len(columns)} are wanted ({_listed(columns)})"
        f"{_and_more(len(bad))}. Mend the row, or pass --data.skip_bad_rows=true to skip and count such rows; a file "
        "with a series in each row is read with --data.series.layout=rows."
    )


def _read_json(path: Path, options: ReadOptions) -> Table:
    reader = read_jsonl(path, options)
    rows: list[Row] = []
    for row in reader.rows:
        if isinstance(row, BadRow):
            if not options.skip_bad_rows:
                raise DataError(row.message)
            continue
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: no usable rows.")
    columns: dict[str, Column] = {name: [row.fields.get(name, "") for row in rows] for name in reader.columns}
    return Table(columns, str(path), np.array([int(row.number) for row in rows]))


def _read_parquet(path: Path) -> Table:
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


def _and_more(count: int) -> str:
    return f" (and {count - 1} more such rows)" if count > 1 else ""


def _listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    shown = list(itertools.islice(names, 20))
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
