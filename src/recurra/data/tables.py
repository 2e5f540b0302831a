"""Files of numbers, by columns: CSV, TSV and JSONL, gzip or not; a million rows in a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recurra.core.errors import DataError
from recurra.data.frames import Column, Table, and_more, listed, read_parquet
from recurra.data.readers.decoding import read_chunks, require_file
from recurra.data.readers.delimited import cut_rows, guess_delimiter
from recurra.data.readers.header import guess_header, is_number
from recurra.data.readers.jsonl import read_jsonl
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row

_SAMPLE = 200


def read_table(path: Path, options: ReadOptions) -> Table:
    """Read a file by columns; .txt is read as CSV, its separator guessed.

    Raises:
        DataError: missing, empty, binary, wrongly encoded, or rows of different length.
        MissingExtraError: Parquet without the `data` extra.
    """
    kind = kind_of(path, options)
    if kind == "parquet":
        return read_parquet(path)
    if kind == "jsonl":
        return _read_json(path, options)
    text, delimiter = _read_text(path, options)
    table = None if delimiter == " " or '"' in text else _even_table(path, text, delimiter, options)
    if table is None:
        rows, lines = _cut(path, text, delimiter)
        named, columns = header_of(path, rows, lines, options)
        rows, lines = (rows[1:], lines[1:]) if named else (rows, lines)
        if not rows:
            raise DataError(f"{path}: one line only, and it is the header ({listed(columns)}): there are no rows.")
        notes: list[str] = []
        rows, lines = _of_width(path, rows, lines, columns, options, notes)
        table = Table(dict(zip(columns, zip(*rows, strict=True), strict=True)), str(path), lines, named, notes)
    if delimiter not in ",\t":
        table.notes.append(f"{path}: columns are separated by {delimiter!r}.")
    table.commas = delimiter == ";"
    return table


def read_cells(path: Path, options: ReadOptions) -> tuple[list[list[str]], np.ndarray, str]:
    """All rows of a CSV or TSV file as cells, header included, with the line of each and the separator.

    Raises:
        DataError: as `read_table`.
    """
    text, delimiter = _read_text(path, options)
    return *_cut(path, text, delimiter), delimiter


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
    names = [" ".join(name.split()) or str(number) for number, name in enumerate(rows[0])]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}:{lines[0]}: two columns are named {twice!r}. Rename one of them.")
    return True, names


def _read_text(path: Path, options: ReadOptions) -> tuple[str, str]:
    """The file's text, without quotes that mean nothing, and its separator."""
    text = "".join(read_chunks(path, options.encoding))
    sample = [line for line in text[: 1 << 20].split("\n")[:_SAMPLE] if line.strip()]
    if not sample and not text.strip():
        raise DataError(f"{path}: the file holds blank lines only. Give a file with rows of numbers.")
    delimiter = _delimiter(path, options, sample)
    return (_unquoted(text, delimiter) if '"' in text else text), delimiter


def _unquoted(text: str, delimiter: str) -> str:
    """The text without its quotes, where they stand around whole cells that hold no separator; else as it is."""
    parts = text.split('"')
    borders = delimiter + "\n"
    outside = parts[2:-1:2]
    if (
        len(parts) % 2 == 0
        or not all(part and part[0] in borders and part[-1] in borders for part in outside)
        or (parts[0] and parts[0][-1] not in borders)
        or (parts[-1] and parts[-1][0] not in borders)
    ):
        return text
    inside = "".join(parts[1::2])
    return text if delimiter in inside or "\n" in inside else "".join(parts)


def _even_table(path: Path, text: str, delimiter: str, options: ReadOptions) -> Table | None:
    """The table of a text whose lines all have the same number of cells, or None.

    The text is cut at once: a list a line would cost four times as much.
    """
    text = text.rstrip("\n")
    coded = np.frombuffer(text.encode(), np.uint8)
    ends = np.append(np.flatnonzero(coded == 10), len(coded))
    marks = np.searchsorted(np.flatnonzero(coded == ord(delimiter)), ends)
    width = int(marks[0]) + 1
    if (np.diff(marks, prepend=0) != width - 1).any() or (width == 1 and "\n\n" in text):
        return None
    head = [line.split(delimiter) for line in text[: 1 << 20].split("\n")[:_SAMPLE]]
    lines = np.arange(1, len(ends) + 1)
    named, columns = header_of(path, head, lines, options)
    cells = text.replace("\n", delimiter).split(delimiter)
    if named:
        cells, lines = cells[width:], lines[1:]
    if not cells:
        raise DataError(f"{path}: one line only, and it is the header ({listed(columns)}): there are no rows.")
    return Table({name: cells[place::width] for place, name in enumerate(columns)}, str(path), lines, named)


def _cut(path: Path, text: str, delimiter: str) -> tuple[list[list[str]], np.ndarray]:
    """The text as rows of cells, blank lines left out, and the line of each row."""
    if '"' in text:
        found = list(cut_rows(path, iter(text.split("\n")), delimiter, quoted=True))
        bad = next((row for row in found if isinstance(row, BadRow)), None)
        if bad is not None:
            raise DataError(bad.message)
        good = [row for row in found if not isinstance(row, BadRow)]
        return [row.cells for row in good], np.array([row.line for row in good])
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line and not line.isspace()]
    mark = None if delimiter == " " else delimiter
    return [line.split(mark) for _, line in numbered], np.array([number for number, _ in numbered])


def kind_of(path: Path, options: ReadOptions) -> str:
    """csv, tsv, jsonl or parquet: as asked, else by the file's ending."""
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
    if kind_of(path, options) == "tsv":
        return "\t"
    if not any(mark in line for line in sample for mark in ",;\t") and all(
        len(line.split()) == len(sample[0].split()) > 1 and is_number(line.split()[-1]) for line in sample[1:]
    ):
        # a stamp alone, "2016-07-01 00:00", has a blank as well, but ends in no number
        return " "
    return guess_delimiter(sample[:10])


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
        f"{path}:{lines[bad[0]]}: {len(rows[bad[0]])} fields where {len(columns)} are wanted "
        f"({listed(columns)}){and_more(len(bad))}. Mend the row, or pass --data.skip_bad_rows=true to skip and count "
        "such rows; a file with a series in each row is read with --data.series.layout=rows."
    )


def _read_json(path: Path, options: ReadOptions) -> Table:
    reader = read_jsonl(path, options)
    rows: list[Row] = []
    skipped = 0
    for row in reader.rows:
        if isinstance(row, BadRow):
            if not options.skip_bad_rows:
                raise DataError(row.message)
            skipped += 1
            continue
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: no usable rows.")
    columns: dict[str, Column] = {name: [row.fields.get(name, "") for row in rows] for name in reader.columns}
    notes = [f"{path}: {skipped} bad rows were skipped."] if skipped else []
    return Table(columns, str(path), np.array([int(row.number) for row in rows]), notes=notes)
