"""JSON: an object a line (JSONL), or one list of objects; gzip or not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.core.errors import DataError
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import MAX_FIELD_CHARACTERS, BadRow, Row, RowReader

_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."


def read_jsonl(path: Path, options: ReadOptions) -> RowReader:
    """Rows of a JSON file; the columns are the keys, in the order in which they first occur.

    Numbers and true/false become text as JSON writes them, null becomes "", a list of such is joined by line ends,
    and anything deeper stays JSON text.
    """
    lines = read_lines(path, options.encoding)
    head = list(itertools.islice((line for line in enumerate(lines, start=1) if line[1].strip()), 1))
    if not head:
        raise DataError(f"{path}: the file holds blank lines only. Give a file with an object a line.")
    numbered = itertools.chain(head, enumerate(lines, start=head[0][0] + 1))
    columns: list[str] = []
    if head[0][1].lstrip().startswith("["):
        return RowReader(columns, _list_rows(path, "\n".join(line for _, line in numbered), columns))
    return RowReader(columns, _line_rows(path, numbered, columns))


def _line_rows(path: Path, lines: Iterator[tuple[int, str]], columns: list[str]) -> Iterator[Row | BadRow]:
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield BadRow(f"{where}: not JSON: {error.msg} at column {error.colno}. {_MEND}")
            continue
        except RecursionError:
            yield BadRow(f"{where}: JSON nested too deep. {_MEND}")
            continue
        yield _row(value, where, str(number), columns)


def _list_rows(path: Path, text: str, columns: list[str]) -> Iterator[Row | BadRow]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}.") from error
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deep.") from error
    for number, value in enumerate(values):
        yield _row(value, f"{path}: item {number}", str(number), columns)


def _row(value: Any, where: str, number: str, columns: list[str]) -> Row | BadRow:
    if not isinstance(value, Mapping):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a single value")
        return BadRow(f'{where}: {kind} where an object is wanted, such as {{"text": "...", "label": "..."}}. {_MEND}')
    fields = {name: _text(entry) for name, entry in value.items()}
    for name, entry in fields.items():
        if len(entry) > MAX_FIELD_CHARACTERS:
            raise DataError(
                f"{where}: {name}: longer than {MAX_FIELD_CHARACTERS:,} characters: is a quote left open? Running text "
                "is read with --data.format=text."
            )
        if name not in columns:
            columns.append(name)
    return Row(fields, number, where)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(entry, (list, dict)) for entry in value):
        return "\n".join(_text(entry) for entry in value)
    return json.dumps(value, ensure_ascii=False)
