"""Pairs of texts, a source and its target: two parallel line files, or two columns of a table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from recurra.core.errors import DataError
from recurra.data.columns import ColumnChoice, choose_columns
from recurra.data.config import DataConfig
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.reading import format_of, read_records
from recurra.data.records import Record, Records

_MEND = "Mend or drop the row, or pass --data.skip_bad_rows=true to skip and count such rows."
_SOURCE, _TARGET = "source", "target"


class TextPair(NamedTuple):
    """One row: `where` is its file and line, for messages."""

    source: str
    target: str
    id: str
    where: str


@dataclass(frozen=True, slots=True)
class TextPairs:
    """All rows of one or several files.

    Attributes:
        rows: in file order; no text is empty.
        columns: what the source and the target column are called: {"text": ..., "label": ...}; empty for line files.
        notes: sentences on what was guessed or skipped.
    """

    rows: list[TextPair]
    columns: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairNames:
    """How a task's columns are usually called.

    Attributes:
        sources: names of the source column, the likelier ones first.
        targets: names of the target column.
        longer: whether, of two columns with other names, the longer texts are the source; else the first column is.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    longer: bool


def read_pairs(paths: str | list[str], data: DataConfig, names: PairNames, known: dict[str, str]) -> TextPairs:
    """Read pairs.

    Args:
        paths: two text files, the source and the target, line by line; or tables (CSV, TSV, JSONL) with two columns.
        data: how to read; `text_column` is the source and `label_column` the target.
        names: how the columns are usually called.
        known: columns that the training file had, or {}.
    Raises:
        DataError: text files that are not two, or differ in their number of lines; a text that is empty, unless bad
            rows are to be skipped; columns that can't be told.
    """
    files = [paths] if isinstance(paths, str) else list(paths)
    if all(format_of(Path(file), data) == "text" for file in files):
        records, columns = _read_parallel(files, data), {}
        choice = ColumnChoice((_SOURCE,), _TARGET, "")
    else:
        records = read_records(files, data)
        choice = choose_pair_columns(records, data, names, known)
        columns = {"text": choice.text_column, "label": choice.label or ""}
    kept, notes = _without_empty(records, choice, data.skip_bad_rows)
    rows = [TextPair(choice.text_of(row).strip(), choice.label_of(row), row.id, row.where) for row in kept]
    return TextPairs(rows, columns, (*records.notes, *notes, *([choice.sentence] if choice.sentence else [])))


def _read_parallel(files: Sequence[str], data: DataConfig) -> Records:
    """Line n of the first file with line n of the second."""
    if len(files) != 2:
        given = files[0] if len(files) == 1 else f"{len(files)} text files"
        raise DataError(
            f"{given}: pairs are read from two text files, the source and the target, line by line: "
            "--data.train=[train.de,train.en]; or from one table with two columns (--data.format=tsv, csv or jsonl)."
        )
    source, target = map(Path, files)
    if source.resolve() == target.resolve():
        raise DataError(f"{source}: the source and the target are the same file.")
    rows: list[Record] = []
    left = right = 0
    lines = (read_lines(path, data.encoding) for path in (source, target))
    for number, (given, wanted) in enumerate(itertools.zip_longest(*lines), start=1):
        left, right = left + (given is not None), right + (wanted is not None)
        if given is not None and wanted is not None:
            rows.append(
                Record(str(number), {_SOURCE: given, _TARGET: wanted}, f"{source}:{number} / {target}:{number}")
            )
    if left != right:
        raise DataError(
            f"{source} has {left:,} lines and {target} has {right:,}: line n of the one must belong to line n of the "
            "other. Is a line missing or broken in two, or is one of them another file?"
        )
    return Records(rows, (_SOURCE, _TARGET), f"{source}, {target}")


def choose_pair_columns(records: Records, data: DataConfig, names: PairNames, known: dict[str, str]) -> ColumnChoice:
    """The source and the target column: as asked, as in training, by usual names, or the only two that there are.

    Raises:
        DataError: no such column, or nothing to tell them by.
    """
    asked: list[str | int | None] = [data.text_column, data.label_column]
    for place, column in enumerate(known.get(what) for what in ("text", "label")):
        if asked[place] is None and column is not None and set(column.split("+")) <= set(records.columns):
            asked[place] = column
    if None not in asked:
        return _named(records, choose_columns(records, *asked), "")
    free = [name for name in records.columns if name.strip().lower() != "id"]
    found = [
        _usual(free, names.sources, asked[1]) if asked[0] is None else asked[0],
        _usual(free, names.targets, asked[0]) if asked[1] is None else asked[1],
    ]
    left = [name for name in free if name not in found and str(records.columns.index(name)) not in map(str, found)]
    if None in found and len(left) == found.count(None):
        if len(left) == 2 and names.longer and _mean_length(records, left[0]) < _mean_length(records, left[1]):
            left.reverse()
        found = [name if name is not None else left.pop(0) for name in found]
    if None in found and not records.named and found == [None, None]:
        found = list(free[:2])
    if None in found:
        raise DataError(
            f"{records.source}: which columns are the source and the target? (columns: {', '.join(records.columns)}). "
            "Pass --data.text_column=NAME for the source and --data.label_column=NAME for the target, or numbers."
        )
    guessed = " (guessed; else pass --data.text_column and --data.label_column)"
    return _named(records, choose_columns(records, *found), guessed)


def _named(records: Records, choice: ColumnChoice, guessed: str) -> ColumnChoice:
    chosen = f"source from column {choice.text_column!r}, target from column {choice.label!r}"
    return ColumnChoice(choice.text, choice.label, f"{records.source}: {chosen}{guessed}.")


def _usual(columns: Sequence[str], usual: Sequence[str], taken: str | int | None) -> str | None:
    by_name = {name.strip().lower(): name for name in reversed(columns) if name != taken}
    return next((by_name[name] for name in usual if name in by_name), None)


def _mean_length(records: Records, column: str) -> float:
    rows = records.rows[:2000]
    return sum(len(row.fields.get(column, "")) for row in rows) / max(1, len(rows))


def _without_empty(records: Records, choice: ColumnChoice, skip: bool) -> tuple[list[Record], list[str]]:
    """The rows whose two texts are not empty, and a sentence on the others."""
    tests: list[tuple[str, Callable[[Record], str]]] = [("source", choice.text_of), ("target", choice.label_of)]
    bad: dict[int, str] = {}
    for what, text_of in tests:
        for index, record in enumerate(records.rows):
            if index not in bad and not text_of(record).strip():
                bad[index] = what
    if not bad:
        return records.rows, []
    first = min(bad)
    message = f"{records.rows[first].where}: the {bad[first]} is empty. {_MEND}"
    if not skip or len(bad) == len(records.rows):
        more = "" if len(bad) == 1 else f" ({len(bad):,} rows in all have an empty source or target.)"
        raise DataError(message + more)
    kinds = [list(bad.values()).count(what) for what in ("source", "target")]
    note = (
        f"{records.source}: {len(bad):,} rows were skipped: {kinds[0]:,} with an empty source, {kinds[1]:,} with an "
        f"empty target; the first at {records.rows[first].where}."
    )
    return [record for index, record in enumerate(records.rows) if index not in bad], [note]
