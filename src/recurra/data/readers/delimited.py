"""CSV and TSV, gzip or not: with a header or without, quoted or not.

CSV is read as RFC 4180 has it. In TSV a quote is a character like any other (sst2 and the SMS collection have lone
ones), unless the file's first rows show that its writer quoted fields.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from recurra.core.errors import DataError
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.header import guess_header
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import MAX_FIELD_CHARACTERS, BadRow, Row, RowReader

_SAMPLE_LINES = 200


class _Cells(NamedTuple):
    cells: list[str]
    line: int


class _RowError(Exception):
    """A row that can't be cut into cells; the message goes on after "file:line: "."""


class _OpenQuoteError(Exception):
    """A quote that is not closed: nothing after it can be told apart; the message as in _RowError."""

    def __init__(self, column: int, how_far: str) -> None:
        super().__init__(
            f"field {column}: a quote is opened here and not closed {how_far}: is it left open? Close it, double it "
            "if it belongs to the text, or save the file as TSV, where quotes mean nothing."
        )


def read_csv(path: Path, options: ReadOptions) -> RowReader:
    """Rows of comma-separated values (or semicolons or tabs, where the first lines hold those and no commas)."""
    lines, sample = _with_sample(read_lines(path, options.encoding))
    delimiter = guess_delimiter(sample[:10])
    notes = [] if delimiter == "," else [f"{path}: columns are separated by {delimiter!r}, not by commas."]
    return _read_table(path, cut_rows(path, lines, delimiter, quoted=True), options, notes)


def read_tsv(path: Path, options: ReadOptions) -> RowReader:
    """Rows of tab-separated values."""
    lines, sample = _with_sample(read_lines(path, options.encoding))
    quoted = _is_quoted([line.split("\t") for line in sample])
    notes = [f'{path}: fields are quoted with ", as in CSV; the quotes are taken off.'] if quoted else []
    return _read_table(path, cut_rows(path, lines, "\t", quoted), options, notes)


def _with_sample(lines: Iterator[str]) -> tuple[Iterator[str], list[str]]:
    """All lines, and the first of them that are not blank, looked at before."""
    first = list(itertools.islice(lines, _SAMPLE_LINES))
    return itertools.chain(first, lines), [line for line in first if line.strip()]


def guess_delimiter(lines: Sequence[str]) -> str:
    """A comma, unless some lines have none and all have the same number of semicolons or tabs."""
    if not all("," in line for line in lines):
        for mark in ";\t":
            counts = {line.count(mark) for line in lines}
            if len(counts) == 1 and 0 not in counts:
                return mark
    return ","


def _is_quoted(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the writer quoted fields: no quote stands loose, and a column is all quoted or some quote is doubled."""
    doubled = False
    for cell in (cell for row in rows for cell in row if '"' in cell):
        if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"' or '"' in cell[1:-1].replace('""', ""):
            return False
        doubled = doubled or '""' in cell[1:-1]
    columns = itertools.zip_longest(*rows[1:], fillvalue="")
    return doubled or any(any(column) and all(cell[:1] == '"' for cell in column if cell) for column in columns)


def _read_table(path: Path, rows: Iterator[_Cells | BadRow], options: ReadOptions, notes: list[str]) -> RowReader:
    head = list(itertools.islice(rows, _SAMPLE_LINES))
    good = [row for row in head if isinstance(row, _Cells)]
    if not good:
        faults = [row.message for row in head if isinstance(row, BadRow)]
        raise DataError(faults[0] if faults else f"{path}: the file holds blank lines only. Give a file with rows.")
    named, columns = _columns(path, good, options, notes)
    if named:
        head.remove(good[0])
        if not head:
            raise DataError(
                f"{path}: one line only, and it is the header ({', '.join(columns)}): there are no rows. "
                "If it is data, pass --data.header=no."
            )
    return RowReader(columns, _make_rows(path, itertools.chain(head, rows), columns), notes, named)


def _columns(path: Path, rows: Sequence[_Cells], options: ReadOptions, notes: list[str]) -> tuple[bool, list[str]]:
    first = rows[0].cells
    named = options.header == "yes"
    if options.header == "auto":
        named, reason = guess_header([row.cells for row in rows])
        names = f"the header names the columns {', '.join(first)}" if named else "there is no header"
        other = "no" if named else "yes"
        notes.append(f"{path}: taking it that {names} ({reason}); else pass --data.header={other}.")
    if not named:
        usual = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
        return False, [str(number) for number in range(usual)]
    columns = [name.strip() or str(number) for number, name in enumerate(first)]
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path}:{rows[0].line}: two columns are named {repeated!r}. Rename one of them.")
    return True, columns


def _make_rows(path: Path, rows: Iterator[_Cells | BadRow], columns: list[str]) -> Iterator[Row | BadRow]:
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        elif len(row.cells) != len(columns):
            yield BadRow(
                f"{path}:{row.line}: {len(row.cells)} fields where {len(columns)} are wanted ({', '.join(columns)}): a "
                "separator or a quote is missing or too many. Mend the row, or pass --data.skip_bad_rows=true to skip "
                "and count such rows."
            )
        else:
            fields = dict(zip(columns, row.cells, strict=True))
            yield Row(fields, str(row.line), f"{path}:{row.line}")


def cut_rows(path: Path, lines: Iterator[str], delimiter: str, quoted: bool) -> Iterator[_Cells | BadRow]:
    """The rows as cells. A row that is not to be understood is bad, and the next line is another; an open quote or an
    over-long cell means that nothing more is to be understood."""
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        if not line.strip(" "):
            continue
        try:
            if quoted and '"' in line:
                cells = _cut_quoted(line, delimiter, lambda: next(numbered, (0, None))[1])
            else:
                cells = line.split(delimiter)
        except _RowError as error:
            yield BadRow(f"{path}:{number}: {error}")
            continue
        except _OpenQuoteError as error:
            raise DataError(f"{path}:{number}: {error}") from error
        long = next((column for column, cell in enumerate(cells) if len(cell) > MAX_FIELD_CHARACTERS), None)
        if long is not None:
            raise DataError(
                f"{path}:{number}: field {long}: longer than {MAX_FIELD_CHARACTERS:,} characters: is a quote left "
                "open, or is this not a table? Running text is read with --data.format=text."
            )
        yield _Cells(cells, number)


def csv_cell(text: str) -> str:
    """A cell as it is written: in quotes where it would not be read as one cell without them."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def _cut_quoted(line: str, delimiter: str, next_line: Callable[[], str | None]) -> list[str]:
    """Cut a row that holds quotes into cells; a quoted cell may go on over line ends."""
    cells: list[str] = []
    place = 0
    while True:
        if not line.startswith('"', place):
            end = line.find(delimiter, place)
            end = len(line) if end < 0 else end
            cells.append(line[place:end])
        else:
            line, close = _find_close(line, place + 1, len(cells), next_line)
            cells.append(line[place + 1 : close].replace('""', '"'))
            end = close + 1
            if end < len(line) and not line.startswith(delimiter, end):
                raise _RowError(
                    f"field {len(cells) - 1}: text goes on after the closing quote ({line[end : end + 20]!r}). Double "
                    "quotes that belong to the text, or pass --data.skip_bad_rows=true to skip and count such rows."
                )
        if end >= len(line):
            return cells
        place = end + len(delimiter)


def _find_close(line: str, start: int, column: int, next_line: Callable[[], str | None]) -> tuple[str, int]:
    """The line, gone on as far as needed, and where its quoted cell that starts at `start` is closed."""
    parts = [line]
    base, tail, place = 0, line, start
    while True:
        close = tail.find('"', place)
        if close < 0:
            more = next_line()
            base += len(tail) + 1
            if more is None:
                raise _OpenQuoteError(column, "by the end of the file")
            parts.append(more)
            tail, place = more, 0
            if base - start > MAX_FIELD_CHARACTERS:
                raise _OpenQuoteError(column, f"within {MAX_FIELD_CHARACTERS:,} characters")
        elif tail.startswith('""', close):
            place = close + 2
        else:
            return "\n".join(parts), base + close
