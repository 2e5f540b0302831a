"""Files -> whole series with labels: .ts, UCR text, and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recurra.core.errors import DataError
from recurra.data.config import DataConfig
from recurra.data.labelled_series import LabelledSeries, RowFaultError, SeriesColumns, parse_values, usable
from recurra.data.labelled_tables import read_series_table
from recurra.data.readers.reading import format_of, read_records
from recurra.data.records import Record


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """The series of one or several files.

    Attributes:
        rows: in file order.
        columns: of the first file that is a table.
        source: the files, for messages.
        notes: sentences on what was guessed or skipped.
    """

    rows: list[LabelledSeries]
    columns: SeriesColumns
    source: str
    notes: tuple[str, ...] = field(default=())


def read_labelled_series(
    paths: str | Path | Sequence[str | Path],
    options: DataConfig,
    columns: SeriesColumns | None = None,
    *,
    want_label: bool = True,
) -> SeriesRows:
    """Read whole series.

    Args:
        paths: a file or several, of any of the formats; text files are read as UCR's.
        options: how to read them; of `series`, the layout (`rows` or `long`), `id`, `stamp`, `targets` (the columns of
            the values) count.
        columns: of the training file, for files of the same kind; None: as `options` say, else guessed.
        want_label: whether each series needs a label.
    Raises:
        DataError: a file is missing or malformed, a value is no number, a label is missing, the series have different
            numbers of dimensions, or none is left; names file, line and field.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise DataError("no data files are given. Pass --data.train=FILE.")
    rows: list[LabelledSeries] = []
    notes: list[str] = []
    chosen = columns or SeriesColumns()
    first_fault, skipped = "", 0
    for file in map(Path, files):
        if format_of(file, options) in ("csv", "tsv", "jsonl") or file.suffix.lower() in (".parquet", ".pq"):
            chosen, said, found = read_series_table(file, options, chosen, want_label)
        else:
            said, found = _packed(file, options, want_label)
        notes += said
        prefix = f"{file.name}:" if len(files) > 1 else ""
        for row in found:
            if isinstance(row, LabelledSeries):
                rows.append(LabelledSeries(row.values, row.label, prefix + row.id, row.where) if prefix else row)
            elif not options.skip_bad_rows:
                raise DataError(str(row))
            else:
                first_fault, skipped = first_fault or str(row), skipped + 1
    source = ", ".join(map(str, files))
    if not rows:
        raise DataError(f"{source}: no usable rows. {first_fault}".rstrip())
    if skipped:
        notes.append(f"{source}: {skipped} bad rows were skipped.")
    _require_same_dimensions(rows)
    return SeriesRows(rows, chosen, source, tuple(notes))


def _packed(
    file: Path, options: DataConfig, want_label: bool
) -> tuple[list[str], Iterator[LabelledSeries | RowFaultError]]:
    """Sentences, and the series, of a format that holds each as one text."""
    records = read_records(file, options, "ucr")
    if want_label and "label" not in records.columns:
        raise DataError(
            f"{file}: its header says that there are no labels (@classLabel true and a label at each line's end are "
            "wanted, or @targetLabel true and a number)."
        )
    return list(records.notes), map(_series_of, records)


def _series_of(record: Record) -> LabelledSeries | RowFaultError:
    try:
        values = usable(parse_values(record.fields["values"], record.where), record.where)
    except RowFaultError as fault:
        return fault
    return LabelledSeries(values, record.fields.get("label", ""), record.id, record.where)


def _require_same_dimensions(rows: Sequence[LabelledSeries]) -> None:
    for row in rows:
        if row.values.shape[1] != rows[0].values.shape[1]:
            raise DataError(
                f"{row.where}: {row.values.shape[1]} dimensions, and {rows[0].where} has {rows[0].values.shape[1]}: "
                "all series need the same. Mend the row, or leave it out."
            )
