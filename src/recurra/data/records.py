"""What readers give: records of named text fields, each with the place it came from, and pieces of running text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file.

    Attributes:
        id: the value of a column named `id`, else the line number; prefixed by the file where several were read.
        fields: column name -> text. A missing JSON value is ""; a JSON list of strings is joined by line ends.
        where: file and line for messages, "reviews.csv:1043".
    """

    id: str
    fields: Mapping[str, str]
    where: str


@dataclass(frozen=True, slots=True)
class Records:
    """All rows of one or several files.

    Attributes:
        rows: in file order.
        columns: column names in file order; "0", "1", ... where the file has no header.
        source: the file or files, for messages.
        notes: sentences on what was guessed or skipped, for the program to print.
        skipped: how many bad rows were left out.
        named: whether the columns have names of their own (a header, or JSON keys).
    """

    rows: list[Record]
    columns: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    skipped: int = 0
    named: bool = field(default=True, kw_only=True)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.rows)


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of a document's text, about a million characters at most.

    Attributes:
        text: line ends are "\\n".
        starts: whether a document starts with this piece.
        ends: whether the document ends with it.
        where: file and first line, for messages.
    """

    text: str
    starts: bool
    ends: bool
    where: str


PieceSource: TypeAlias = Callable[[], Iterator[TextPiece]]
"""Gives the pieces of a corpus from its start, each time it is called: a corpus need not fit into memory."""
