"""Choosing the reader of a file, and collecting what it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from recurra.core.errors import DataError
from recurra.data.columns import choose_columns
from recurra.data.readers.babi import read_babi
from recurra.data.readers.conll import read_conll, read_conllu
from recurra.data.readers.decoding import require_file
from recurra.data.readers.delimited import read_csv, read_tsv
from recurra.data.readers.jsonl import read_jsonl
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row, RowReader
from recurra.data.readers.squad import looks_like_squad, read_squad
from recurra.data.readers.text import cut_document, list_text_files, read_text_pieces, read_text_rows
from recurra.data.readers.ts import read_ts
from recurra.data.readers.ucr import read_ucr
from recurra.data.records import Record, Records, TextPiece

_SAMPLE_ROWS = 2000
_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."

Paths: TypeAlias = "str | Path | Sequence[str | Path]"

READERS: dict[str, Callable[[Path, ReadOptions], RowReader]] = {
    "text": read_text_rows,
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "babi": read_babi,
    "conll": read_conll,
    "conllu": read_conllu,
    "squad": read_squad,
    "ts": read_ts,
    "ucr": read_ucr,
}
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".babi": "babi",
    ".ts": "ts",
    ".ucr": "ucr",
}
_FORMATS |= dict.fromkeys((".conll", ".bio", ".bioes", ".iob", ".iob2"), "conll") | {".conllu": "conllu"}


def format_of(path: Path, options: ReadOptions) -> str:
    """The reader's name: as asked, else by the file's ending, else text; .json is SQuAD's where it begins so."""
    if options.format != "auto":
        return options.format
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix == ".json" and path.is_file() and looks_like_squad(path, options.encoding):
        return "squad"
    return _FORMATS.get(suffix, "text")


def read_records(paths: Paths, options: ReadOptions, plain: str = "text") -> Records:
    """Read the rows of one or several files.

    CSV, TSV and JSONL give a record a row, SQuAD JSON a record a question. A text file gives a record a line, with the
    column `text`; a folder of text files gives a record a file, with `text` and, where the files stand in subfolders,
    the subfolder as `label`.

    Args:
        paths: files, or folders of text files.
        options: how to read them.
        plain: the reader of files that would be read as text.
    Raises:
        DataError: a file is missing, empty, binary, wrongly encoded or malformed; names file, line, field and mend.
    """
    files = _as_list(paths)
    rows: list[Record] = []
    columns: dict[str, None] = {}
    notes: list[str] = []
    skipped = 0
    named = True
    for file in files:
        kind = format_of(file, options)
        reader = READERS[plain if kind == "text" and options.format == "auto" else kind](file, options)
        prefix = f"{file.name}:" if len(files) > 1 else ""
        before = len(rows)
        first_fault = ""
        for row in _check_ids(reader):
            if isinstance(row, Row):
                rows.append(Record(f"{prefix}{row.number}", row.fields, row.where))
                continue
            if not options.skip_bad_rows:
                raise DataError(row.message)
            first_fault = first_fault or row.message
            skipped += 1
        if len(rows) == before:
            raise DataError(f"{file}: no usable rows. {first_fault}".rstrip())
        if before and tuple(reader.columns) != tuple(columns) and not (named and reader.named):
            raise DataError(
                f"{file}: has the columns {', '.join(reader.columns)}, and {files[0]} has {', '.join(columns)}. "
                "Files without a header must have the same columns. Read them one by one, or pass --data.header=yes."
            )
        columns |= dict.fromkeys(reader.columns)
        named = named and reader.named
        notes += reader.notes
    if skipped:
        notes.append(f"{', '.join(map(str, files))}: {skipped} bad rows were skipped.")
    return Records(rows, tuple(columns), ", ".join(map(str, files)), tuple(notes), skipped, named=named)


def read_pieces(paths: Paths, options: ReadOptions, text_column: str | int | None = None) -> Iterator[TextPiece]:
    """Read running text in pieces of about a million characters; memory stays flat.

    Args:
        paths: files, or folders of text files (sorted, recursive).
        options: `documents` says where documents start and end; rows of CSV, TSV and JSONL are documents of their own,
            which `whole` joins by line ends.
        text_column: for CSV, TSV and JSONL; None: guessed.
    Raises:
        DataError: as `read_records`.
    """
    files = _as_list(paths)
    formats = {format_of(file, options) for file in files}
    if formats == {"text"}:
        yield from read_text_pieces((text for file in files for text in list_text_files(file)), options)
        return
    if "text" in formats:
        raise DataError(
            f"{', '.join(map(str, files))}: text and tables can't be read together. Pass --data.format=text."
        )
    starts = True
    for file in files:
        for text, where in _row_texts(file, options, text_column):
            if options.documents == "whole":
                yield TextPiece(text + "\n", starts, False, where)
                starts = False
            else:
                yield from cut_document(text, where)


def _row_texts(file: Path, options: ReadOptions, text_column: str | int | None) -> Iterator[tuple[str, str]]:
    """The texts of a table, row by row; the column is chosen by the first rows."""
    reader = READERS[format_of(file, options)](file, options)
    records = _records(reader.rows, options.skip_bad_rows)
    head = list(itertools.islice(records, _SAMPLE_ROWS))
    if not head:
        raise DataError(f"{file}: no usable rows.")
    sample = Records(head, tuple(reader.columns), str(file), named=reader.named)
    choice = choose_columns(sample, text_column, want_label=False)
    for record in itertools.chain(head, records):
        missing = next((name for name in choice.text if name not in record.fields), None)
        if missing is not None and not options.skip_bad_rows:
            raise DataError(f"{record.where}: has no field {missing!r}. {_MEND}")
        if text := choice.text_of(record):
            yield text, record.where


def _records(rows: Iterator[Row | BadRow], skip_bad_rows: bool) -> Iterator[Record]:
    for row in rows:
        if isinstance(row, Row):
            yield Record(row.number, row.fields, row.where)
        elif not skip_bad_rows:
            raise DataError(row.message)


def _as_list(paths: Paths) -> list[Path]:
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not all(str(path).strip() for path in given):
        raise DataError("a file name is empty. Pass --data.train=FILE.")
    files = [Path(path).expanduser() for path in given]
    if not files:
        raise DataError("no data files are given. Pass --data.train=FILE.")
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise DataError(f"{twice}: the file is given twice. Name it once.")
    for file in files:
        require_file(file)
    return files


def _check_ids(reader: RowReader) -> Iterator[Row | BadRow]:
    """Give rows the id that their `id` column holds; an empty or repeated one makes a bad row."""
    seen: dict[str, str] = {}
    for row in reader.rows:
        column = next((name for name in reader.columns if name.strip().lower() == "id"), None) if reader.named else None
        if column is None or isinstance(row, BadRow):
            yield row
            continue
        given = row.fields.get(column, "").strip()
        if not given:
            yield BadRow(f"{row.where}: column {column!r} is empty: each row needs an id of its own. {_MEND}")
        elif given in seen:
            yield BadRow(f"{row.where}: id {given!r} stands at {seen[given]} already: ids must differ. {_MEND}")
        else:
            seen[given] = row.where
            yield row._replace(number=given)
