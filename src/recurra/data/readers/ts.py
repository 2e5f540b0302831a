"""Whole series in the `.ts` format of sktime and aeon: header lines that start with @, then a series a line.

    @problemName Gestures
    @timeStamps false
    @univariate false
    @dimensions 2
    @classLabel true wave still
    @data
    0.1,0.4,?:1.5,1.2,1.1:wave
    0.2,0.2:1.0,0.9:still

Dimensions are separated by colons, the label (or with `@targetLabel true` the number to be estimated) comes last, ? is
a missing value, and lines with # are comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recurra.core.errors import DataError, did_you_mean
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row, RowReader

_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_FLAGS = ("timestamps", "univariate", "equallength", "missing")
_NUMBERS = ("dimensions", "dimension", "serieslength")
_KNOWN = ("problemname", *_FLAGS, *_NUMBERS, "classlabel", "targetlabel", "data")


def read_ts(path: Path, options: ReadOptions) -> RowReader:
    """A row a series: `values`, its dimensions with colons between as they stand in the file, and `label`."""
    lines = enumerate(read_lines(path, options.encoding), start=1)
    header, blank = _Header(path), True
    for number, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        blank = False
        if not text.startswith("@"):
            raise DataError(f"{path}:{number}: a series before the line @data: the header must end with it.")
        if header.read(text, number):
            break
    else:
        if blank:
            raise DataError(f"{path}: the file holds blank lines only. Give a file with rows.")
        raise DataError(f"{path}: there is no line @data, after which the series of a .ts file stand. Add it.")
    return RowReader(["values", "label"] if header.labelled else ["values"], header.rows(lines))


class _Header:
    """What the header says of the rows.

    Attributes:
        labelled: whether a label, or a number to be estimated, ends each row.
        labels: those that may occur; empty where the header lists none.
        dimensions: how many; 0 until known.
        num_steps: of every series; 0 where they may differ.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.labelled = False
        self.labels: tuple[str, ...] = ()
        self.dimensions = self.num_steps = 0
        self._equal = True

    def read(self, text: str, number: int) -> bool:
        """Take in one line; whether it is the last of the header."""
        name, _, value = text[1:].partition(" ")
        words, key, where = value.split(), name.lower(), f"{self.path}:{number}"
        if key not in _KNOWN:
            raise DataError(f"{where}: there is no header `@{name}`.{did_you_mean(key, _KNOWN)}")
        if key in _NUMBERS and not (words and words[0].isdecimal() and int(words[0])):
            raise DataError(f"{where}: @{name} {value.strip()!r}: a number of 1 or more is wanted.")
        if key in (*_FLAGS, "classlabel", "targetlabel") and (not words or words[0].lower() not in ("true", "false")):
            raise DataError(f"{where}: @{name} {value.strip()!r}: true or false is wanted.")
        holds = bool(words) and words[0].lower() == "true"
        if key == "timestamps" and holds:
            raise DataError(
                f"{where}: time stamps within a .ts file are not read. Write the values alone (@timeStamps false), or "
                "give a CSV file with a row a time step."
            )
        if key == "univariate" and holds:
            self.dimensions = 1
        elif key == "equallength":
            self._equal = holds
        elif key in ("dimensions", "dimension"):
            self.dimensions = int(words[0])
        elif key == "serieslength":
            self.num_steps = int(words[0])
        elif key in ("classlabel", "targetlabel") and holds:
            self.labelled, self.labels = True, tuple(words[1:])
        return key == "data"

    def rows(self, lines: Iterator[tuple[int, str]]) -> Iterator[Row | BadRow]:
        """The series after the header."""
        for number, line in lines:
            text = line.strip()
            if text and not text.startswith("#"):
                yield self._row(text, number)

    def _row(self, text: str, number: int) -> Row | BadRow:
        where = f"{self.path}:{number}"
        parts = text.split(":")
        label = parts.pop().strip() if self.labelled else ""
        self.dimensions = self.dimensions or len(parts)
        steps = parts[0].count(",") + 1 if parts else 0
        if len(parts) != self.dimensions:
            ending = " and a label" if self.labelled else ""
            fault = f"{len(parts) + self.labelled} fields between colons: {self.dimensions} dimensions{ending} wanted"
        elif self.labelled and not label:
            fault = "the label is empty"
        elif self.labels and label not in self.labels:
            fault = f"label {label!r} is not in the header ({', '.join(self.labels)})"
        elif self._equal and self.num_steps and steps != self.num_steps:
            fault = f"{steps} values, and @seriesLength says {self.num_steps}"
        else:
            fields = {"values": ":".join(parts)}
            return Row(fields | {"label": label} if self.labelled else fields, str(number), where)
        return BadRow(f"{where}: {fault}. {_MEND}")
