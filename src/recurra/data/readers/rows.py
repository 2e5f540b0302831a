"""What the reader of one format gives: rows as they come, bad ones included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FIELD_CHARACTERS = 1_000_000


class Row(NamedTuple):
    """A good row.

    Attributes:
        fields: column name -> text.
        number: its line, or its name in a folder: the row's id where no column gives one.
        where: file and line, for messages.
    """

    fields: Mapping[str, str]
    number: str
    where: str


class BadRow(NamedTuple):
    """A row that can't be used, and why; the message is a whole one, ready to be raised."""

    message: str


@dataclass(slots=True)
class RowReader:
    """An opened file of rows.

    Attributes:
        columns: their names; a format without a fixed set adds to them while rows are read.
        rows: all rows, once.
        notes: sentences on what was guessed.
        named: whether the columns have names of their own.
    """

    columns: list[str]
    rows: Iterator[Row | BadRow]
    notes: list[str] = field(default_factory=list)
    named: bool = True
