"""Which column is the text and which the label: as asked, else a guess that can be printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recurra.core.errors import DataError, did_you_mean
from recurra.data.column_names import LABEL_NAMES, TEXT_NAMES
from recurra.data.records import Record, Records

_SAMPLE = 2000
_MEND = "Drop the row, or pass --data.skip_bad_rows=true to skip and count such rows."


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns to use.

    Attributes:
        text: names of the columns whose texts are joined by a blank; usually one.
        label: name of the label column, or None.
        sentence: what was chosen and why, for the program to print.
    """

    text: tuple[str, ...]
    label: str | None
    sentence: str

    @property
    def text_column(self) -> str:
        """The text columns as an option is written: "text", or "title+body"."""
        return "+".join(self.text)

    def text_of(self, record: Record) -> str:
        """The record's text."""
        return " ".join(record.fields.get(name, "") for name in self.text)

    def label_of(self, record: Record) -> str:
        """The record's label as it stands in the file, blanks around it aside; "" where there is no label column."""
        return "" if self.label is None else record.fields.get(self.label, "").strip()


def choose_columns(
    records: Records,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    *,
    want_label: bool = True,
) -> ColumnChoice:
    """Choose the text and the label column.

    What is not asked for is guessed: by usual names first; else the label is the column of fewest distinct values
    (none longer than 50 characters), and the text the one of longest mean length among the others.

    Args:
        records: what was read.
        text_column: name or number from 0, several joined by "+"; None: guessed.
        label_column: name or number from 0; None: guessed, where `want_label`.
        want_label: whether a label column is needed.
    Raises:
        DataError: no such column (names the nearest), or nothing to guess from.
    """
    text = None if text_column is None else _find_several(records, str(text_column), "text_column")
    label = None if label_column is None else _find(records, str(label_column), "label_column")
    free = [name for name in records.columns if name not in (text or ()) and name != label]
    guessed = []
    if text is None and label is None and want_label:
        text = _usual(free, TEXT_NAMES)
        free = [name for name in free if name not in (text or ())]
    if label is None and want_label:
        label = _guess_label(records, free)
        guessed.append("label")
        free = [name for name in free if name != label]
    if text is None or text_column is None:
        text = text or _guess_text(records, free)
        guessed.append("text")
    if label in text:
        raise DataError(f"{records.source}: the column {label!r} can't be the text and the label at once.")
    return ColumnChoice(text, label, _sentence(records, text, label, guessed))


def usable_rows(records: Records, choice: ColumnChoice, skip_bad_rows: bool = False) -> Records:
    """The rows that have the chosen columns, with a label that is not empty where there is a label column.

    Raises:
        DataError: a label is empty or a field missing, and bad rows are not to be skipped; or no row is left.
    """
    records = _require_fields(records, choice, skip_bad_rows)
    if choice.label is None:
        return records
    return _without(
        records,
        [not choice.label_of(record) for record in records],
        f"label column {choice.label!r} is empty. {_MEND}",
        skip_bad_rows,
    )


def _require_fields(records: Records, choice: ColumnChoice, skip_bad_rows: bool) -> Records:
    """The rows that have the chosen columns: a row of JSON may lack some.

    Raises:
        DataError: a field is missing and bad rows are not to be skipped, or no row is left.
    """
    for name in (*choice.text, *([choice.label] if choice.label is not None else [])):
        missing = [name not in record.fields for record in records]
        records = _without(records, missing, f"has no field {name!r}. {_MEND}", skip_bad_rows)
    return records


def _without(records: Records, bad: Sequence[bool], fault: str, skip_bad_rows: bool) -> Records:
    if not any(bad):
        return records
    message = f"{records.rows[bad.index(True)].where}: {fault}"
    if not skip_bad_rows:
        raise DataError(message)
    if all(bad):
        raise DataError(f"{records.source}: no usable rows. {message}")
    note = f"{records.source}: {sum(bad)} rows were skipped: {fault.split('. ')[0]}."
    kept = [record for record, is_bad in zip(records.rows, bad, strict=True) if not is_bad]
    return replace(records, rows=kept, skipped=records.skipped + sum(bad), notes=(*records.notes, note))


def _find_several(records: Records, asked: str, option: str) -> tuple[str, ...]:
    if asked in records.columns or "+" not in asked:
        return (_find(records, asked, option),)
    return tuple(_find(records, part.strip(), option) for part in asked.split("+"))


def _find(records: Records, asked: str, option: str) -> str:
    columns = records.columns
    if asked in columns:
        return asked
    folded = [name for name in columns if name.lower() == asked.lower()]
    if len(folded) == 1:
        return folded[0]
    if asked.isdecimal() and int(asked) < len(columns):
        return columns[int(asked)]
    if records.named:
        near = did_you_mean(asked, columns)
        raise DataError(f"{records.source}: no column {asked!r} (data.{option}).{near} Columns: {', '.join(columns)}.")
    raise DataError(
        f"{records.source}: no column {asked!r} (data.{option}): the file is read without a header, and its columns "
        f"are numbered 0 to {len(columns) - 1}. Give a number, or pass --data.header=yes if the first row names them."
    )


def _usual(columns: Sequence[str], usual: Sequence[str]) -> tuple[str, ...] | None:
    by_name = {name.strip().lower(): name for name in reversed(columns)}
    return next(((by_name[name],) for name in usual if name in by_name), None)


def _guess_label(records: Records, columns: Sequence[str]) -> str:
    usual = _usual(columns, LABEL_NAMES) if records.named else None
    if usual:
        return usual[0]
    sample = records.rows[:: max(1, len(records) // _SAMPLE)]
    distinct = {}
    for name in columns:
        values = [record.fields.get(name, "") for record in sample]
        if max(map(len, values)) <= 50 and (len(set(values)) <= max(2, len(values) // 2) or len(values) < 10):
            distinct[name] = len(set(values))
    if not distinct or len(records.columns) < 2:
        raise DataError(
            f"{records.source}: no column looks like a label (columns: {', '.join(records.columns)}). "
            "Pass --data.label_column=NAME or a number from 0."
        )
    return min(distinct, key=lambda name: distinct[name])


def _guess_text(records: Records, columns: Sequence[str]) -> tuple[str, ...]:
    usual = _usual(columns, TEXT_NAMES) if records.named else None
    if usual:
        return usual
    if not columns:
        raise DataError(
            f"{records.source}: no column is left for the text (columns: {', '.join(records.columns)}). If the fields "
            "are not separated as they should be, pass --data.format=csv or tsv."
        )
    sample = records.rows[:: max(1, len(records) // _SAMPLE)]
    return (max(columns, key=lambda name: sum(len(record.fields.get(name, "")) for record in sample)),)


def _sentence(records: Records, text: tuple[str, ...], label: str | None, guessed: Sequence[str]) -> str:
    chosen = f"text from column {' + '.join(map(repr, text))}"
    chosen += f", labels from column {label!r}" if label is not None else ""
    mend = " or ".join(f"--data.{name}_column" for name in sorted(guessed, reverse=True))
    return f"{records.source}: {chosen}" + (f" (guessed; else pass {mend})." if guessed else ".")
