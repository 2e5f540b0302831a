"""SQuAD JSON, versions 1.1 and 2.0, gzip or not: articles of paragraphs of questions, a row a question.

    {"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "answers": [{"text": ..., "answer_start": ...}], "is_impossible": ...}]}]}]}

Rows have the columns id, title, question, context and, where the file has answers, `answers`: the list as JSON text, []
for a question that the paragraph does not answer. Offsets count characters and are checked where questions are made.

Format: Rajpurkar et al. (2018), https://arxiv.org/abs/1806.03822, as its files have it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.core.errors import DataError, did_you_mean
from recurra.data.readers.decoding import read_chunks
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import MAX_FIELD_CHARACTERS, BadRow, Row, RowReader

_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_BEGINNING = re.compile(r"\s*\{(?:[^\[\]{}]*,)?\s*\"data\"\s*:\s*\[\s*(?:\]|\{)")
_KINDS = {list: "a list", dict: "an object", str: "a string", bool: "true or false", type(None): "null"}


def read_squad(path: Path, options: ReadOptions) -> RowReader:
    """Rows of a SQuAD file; what is malformed is told by the path of its keys, such as data[3].paragraphs[0].qas[2].

    Raises:
        DataError: not JSON (with line and column), or not an object with a list `data`.
    """
    text = "".join(read_chunks(path, options.encoding))
    if not text.strip():
        raise DataError(f"{path}: the file holds blank lines only. Give SQuAD JSON.")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}. Mend the file; one object a line "
            "is read with --data.format=jsonl."
        ) from error
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deep.") from error
    if not isinstance(value, dict):
        raise DataError(
            f"{path}: {_kind(value)} where SQuAD JSON has an object with the key 'data'. A list of objects is read "
            "with --data.format=jsonl."
        )
    if "data" not in value:
        near = did_you_mean("data", value)
        raise DataError(f"{path}: no key 'data': SQuAD JSON holds its articles there.{near}")
    columns = ["id", "title", "question", "context"]
    return RowReader(columns, _rows(path, value, columns))


def looks_like_squad(path: Path, encoding: str) -> bool:
    """Whether a JSON file begins as SQuAD's do: an object whose first list is `data`, with `paragraphs` in it."""
    try:
        head = next(itertools.chain(read_chunks(path, encoding), [""]))
    except DataError:
        return False  # its reader will say what is wrong
    found = _BEGINNING.match(head)
    return found is not None and (found[0].endswith("]") or '"paragraphs"' in head)


class _FaultError(Exception):
    """Something malformed; the message goes on after "file: "."""


def _rows(path: Path, value: Any, columns: list[str]) -> Iterator[Row | BadRow]:
    seen = 0
    for place, article in _entries(path, value, "", "data"):
        if isinstance(article, BadRow):
            yield article
            continue
        title = article.get("title", "") if isinstance(article, Mapping) else ""
        for inner, paragraph in _entries(path, article, place, "paragraphs"):
            if isinstance(paragraph, BadRow):
                yield paragraph
                continue
            for where, question in _entries(path, paragraph, inner, "qas"):
                seen += 1
                if isinstance(question, BadRow):
                    yield question
                    continue
                yield _row(path, where, str(title), paragraph, question, columns)
    if not seen:
        raise DataError(f"{path}: no questions in it (data[].paragraphs[].qas[] are empty).")


def _entries(path: Path, holder: Any, place: str, key: str) -> Iterator[tuple[str, Any]]:
    """The members of a list, each with the path of its keys; in the place of a missing list one bad row."""
    try:
        members = _get(holder, place, key, list)
    except _FaultError as error:
        yield place, BadRow(f"{path}: {error} {_MEND}")
        return
    prefix = f"{place}.{key}" if place else key
    yield from ((f"{prefix}[{number}]", member) for number, member in enumerate(members))


def _row(path: Path, where: str, title: str, paragraph: Any, question: Any, columns: list[str]) -> Row | BadRow:
    try:
        passage = _get(paragraph, where.rpartition(".")[0], "context", str)
        text = _get(question, where, "question", str)
        fields = {"id": _id(question, where), "title": title, "question": text, "context": passage}
        answers = _answers(question, where)
        long = next((name for name, entry in fields.items() if len(entry) > MAX_FIELD_CHARACTERS), None)
        if long is not None:
            raise _FaultError(f"{where}: {long}: longer than {MAX_FIELD_CHARACTERS:,} characters.")
    except _FaultError as error:
        return BadRow(f"{path}: {error} {_MEND}")
    if answers is not None:
        fields["answers"] = json.dumps(answers, ensure_ascii=False)
        if "answers" not in columns:
            columns.append("answers")
    return Row(fields, fields["id"], f"{path}: {where}")


def _answers(question: Mapping[str, Any], where: str) -> list[dict[str, Any]] | None:
    """The answers that are checked for form; None where the file does not say."""
    impossible = question.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise _FaultError(f"{where}.is_impossible: {_kind(impossible)} where true or false is wanted.")
    if impossible:
        return []
    if "answers" not in question:
        return None
    answers = _get(question, where, "answers", list)
    if not answers and "is_impossible" in question:
        return None  # said to be answerable, and no answer given: a file to predict for
    found = []
    for number, answer in enumerate(answers):
        place = f"{where}.answers[{number}]"
        start = answer.get("answer_start") if isinstance(answer, Mapping) else None
        if start is not None and (isinstance(start, bool) or not isinstance(start, int)):
            raise _FaultError(f"{place}.answer_start: {_kind(start)} where a whole number is wanted.")
        found.append({"text": _get(answer, place, "text", str), "answer_start": start})
    return found


def _id(question: Mapping[str, Any], where: str) -> str:
    """The question's own id, else its place: numbers of article, paragraph and question."""
    given = question.get("id")
    return ".".join(re.findall(r"\d+", where)) if given is None or given == "" else str(given)


def _get(holder: Any, place: str, key: str, kind: type) -> Any:
    if not isinstance(holder, Mapping):
        raise _FaultError(f"{place}: {_kind(holder)} where an object with the key {key!r} is wanted.")
    if key not in holder:
        raise _FaultError(f"{place}: no key {key!r}.{did_you_mean(key, list(holder))}")
    value = holder[key]
    if not isinstance(value, kind):
        raise _FaultError(f"{place + '.' if place else ''}{key}: {_kind(value)} where {_KINDS[kind]} is wanted.")
    return value


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
