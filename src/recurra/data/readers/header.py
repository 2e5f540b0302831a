"""Guessing, from its first rows, whether a table names its columns."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.data.column_names import KNOWN_NAMES

_LONGEST_NAME = 40


def guess_header(rows: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns, and why it seems so, as the end of a sentence.

    Args:
        rows: the first rows of the table, at least one.
    """
    first, later = rows[0], rows[1:]
    names = [name.strip().lower() for name in first]
    if not all(names[1:]) or not any(names) or len(set(names)) < len(names):
        return False, "the first row's cells are no distinct names"
    if any(is_number(name) for name in names):
        return False, "the first row holds a number"
    if any(len(name) > _LONGEST_NAME for name in names):
        return False, "the first row has a cell too long for a name"
    for column, name in enumerate(names):
        if any(row[column].strip().lower() == name for row in later if column < len(row)):
            return False, f"{first[column]!r} is a value in later rows as well"
    known = [name for name in names if name in KNOWN_NAMES]
    if known:
        return True, f"{known[0]!r} is a usual column name"
    for column, name in enumerate(names):
        values = [row[column].strip() for row in later if column < len(row)]
        if name and len(values) > 1 and all(is_number(value) for value in values):
            return True, f"column {column} holds numbers below it"
        if len(values) >= 20 and len(set(values)) * 5 <= len(values):
            return True, f"column {column} holds {len(set(values))} values over and over, and {first[column]!r} never"
    return False, "nothing sets the first row apart"


def is_number(text: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
