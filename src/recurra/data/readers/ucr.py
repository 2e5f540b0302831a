"""Whole series as the UCR archive writes them: a series a line, its label first.

    1  0.25  0.31  0.42
    2  1.20  1.10

Blanks, TABs, commas or semicolons stand between the numbers; NaN, and nothing between two commas, is a missing value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recurra.data.readers.decoding import read_lines
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row, RowReader

_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."


def read_ucr(path: Path, options: ReadOptions) -> RowReader:
    """A row a series: `values`, with commas between, and `label`."""
    return RowReader(["values", "label"], _rows(path, read_lines(path, options.encoding)))


def _rows(path: Path, lines: Iterator[str]) -> Iterator[Row | BadRow]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        separator = next((mark for mark in ",;\t" if mark in line), None)
        label, *values = (cell.strip() for cell in line.split(separator))
        where = f"{path}:{number}"
        if not label or not values:
            yield BadRow(f"{where}: a label and the values of a series are wanted, such as '1 0.25 0.31'. {_MEND}")
            continue
        yield Row({"values": ",".join(values), "label": label}, str(number), where)
