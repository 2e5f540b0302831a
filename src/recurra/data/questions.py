"""Questions on passages whose answers are pieces of the passage: from rows of any format, with every offset checked.

An answer that does not stand where its offset says is moved, where that is beyond doubt: the offset counts UTF-16
units (as JavaScript does) instead of characters, or the text occurs only once in the passage, or does so once blanks
are left aside. Else the row is bad.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from recurra.core.errors import DataError, did_you_mean
from recurra.data.config import DataConfig
from recurra.data.readers import read_records
from recurra.data.records import Record, Records
from recurra.data.splits import Splits

QUESTION_NAMES = ("question", "query", "问题", "q")
PASSAGE_NAMES = ("context", "passage", "paragraph", "review", "document", "article", "text", "文章", "段落")
ANSWER_NAMES = ("answers", "answer", "answer_text", "human_ans_spans", "span", "答案")
START_NAMES = ("answer_start", "answer_starts", "start", "answer_offset", "human_ans_indices")
_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_SHOWN = 60
_FEWEST_TITLES = 10


class AnswerPlace(NamedTuple):
    """An answer as it stands in the passage: `passage[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the passage to answer it from, and the answers.

    Attributes:
        id: as in the file.
        question: its text.
        passage: its text.
        answers: right answers; empty: the passage holds none; None: not known.
        where: file and line, or path of keys, for messages.
        title: of the document that the passage is of; "" where it has none.
    """

    id: str
    question: str
    passage: str
    answers: tuple[AnswerPlace, ...] | None
    where: str
    title: str = ""


class QuestionColumns(NamedTuple):
    """Names of the columns; `answer` and `start` may be None."""

    question: str
    passage: str
    answer: str | None
    start: str | None


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of one or several files, what the columns are called, and sentences on what was found."""

    rows: list[Question]
    columns: QuestionColumns
    notes: tuple[str, ...]


def read_questions(
    paths: str | Sequence[str],
    data: DataConfig,
    *,
    no_answer: str = "",
    want_answers: bool = True,
    known: QuestionColumns | None = None,
) -> Questions:
    """Read questions from SQuAD JSON, or from tables with a column each for question, passage and answer.

    Args:
        paths: files; a line of a text file is a question, a tab and a passage.
        data: `text_column` names question and passage ("question+review"), `label_column` the answer.
        no_answer: a text that stands in the answer's column for "the passage holds none", beside "".
        want_answers: False leaves answers unread, for prediction; else a row without them is a bad one.
        known: columns of the training file, used where the files have them and `data` names no others.
    Raises:
        DataError: no such column, or a row that can't be used (unless bad rows are to be skipped).
    """
    records = read_records(paths, data)
    columns = _choose(records, data, want_answers, known)
    reader = _RowReader(columns, no_answer, want_answers)
    rows: list[Question] = []
    for record in records:
        try:
            rows.append(reader.read(_split_line(record) if columns is _LINE else record))
        except _BadQuestion as error:
            if not data.skip_bad_rows:
                raise DataError(f"{record.where}: {error} {_MEND}") from error
            reader.count_bad(f"{record.where}: {error}")
    if not rows:
        raise DataError(f"{records.source}: no usable questions. {reader.first_fault}".rstrip())
    # A column "answers" holds all answers of its question; of others a question may have several rows.
    merged = _merge(rows) if want_answers and columns.answer != "answers" else rows
    notes = [*records.notes, *reader.notes(records.source)]
    if len(merged) < len(rows):
        notes.append(
            f"{records.source}: {len(rows):,} rows are {len(merged):,} questions on passages: rows with the same "
            "question and passage are one question with several answers."
        )
    return Questions(merged, columns, tuple(notes))


def place_answers(passage: str, texts: Sequence[str], where: str) -> tuple[AnswerPlace, ...]:
    """Where answers without offsets stand in a passage: the first place of each.

    Raises:
        DataError: one does not stand in it; `where` begins the message.
    """
    found = []
    for text in texts:
        place = AnswerPlace(text, passage.find(text)) if text in passage else _moved(passage, text, None)
        if place is None:
            raise DataError(f"{where}: the answer {_short(text)!r} does not stand in the passage.")
        found.append(place)
    return tuple(dict.fromkeys(found))


def hold_out_documents(
    rows: Sequence[Question], valid_fraction: float, test_fraction: float = 0.0, *, seed: int = 0
) -> Splits[list[Question]]:
    """Split at random, all questions of a document into the same part; without titles a passage is a document.

    Each part gets documents until it has its share of the questions; the order of the file is kept. Titles are left
    aside where fewer than ten of them would make the parts.

    Raises:
        DataError: too few documents.
    """
    titled = all(row.title for row in rows) and len({row.title for row in rows}) >= _FEWEST_TITLES
    names = [row.title if titled else row.passage for row in rows]
    sizes = Counter(names)
    documents = list(sizes)
    order = np.random.default_rng(seed).permutation(len(documents))
    part_of: dict[str, int] = {}
    place = 0
    for part, fraction in ((1, valid_fraction), (2, test_fraction)):
        held = 0
        while fraction and place < len(order) and held < max(1.0, fraction * len(rows)):
            document = documents[order[place]]
            part_of[document] = part
            held += sizes[document]
            place += 1
    if place >= len(order) or (test_fraction and 2 not in part_of.values()):
        raise DataError(
            f"{rows[0].where}: {len(documents)} documents are too few to hold some out: the questions of one stay "
            "together. Give more, or files of their own with --data.valid (and --data.test), or hold nothing out with "
            "--data.valid_fraction=0."
        )
    pairs = list(zip(names, rows, strict=True))
    return Splits(*([row for name, row in pairs if part_of.get(name, 0) == part] for part in range(3)))


_LINE = QuestionColumns("question", "passage", None, None)


class _BadQuestion(Exception):
    """A row that can't be used; the message goes on after "file:line: "."""


class _RowReader:
    """Makes questions of rows, and counts what had to be mended."""

    def __init__(self, columns: QuestionColumns, no_answer: str, want_answers: bool) -> None:
        self.columns, self.no_answer, self.want_answers = columns, no_answer, want_answers
        self.first_fault = ""
        self._bad = self._dropped = self._moved = self._guessed = 0
        self._first_moved = ""

    def read(self, record: Record) -> Question:
        question, passage = (self._text(record, name) for name in self.columns[:2])
        if not question.strip():
            raise _BadQuestion(f"the question (column {self.columns.question!r}) is empty.")
        answers = self._answers(record, passage) if self.want_answers else None
        return Question(record.id, question, passage, answers, record.where, record.fields.get("title", ""))

    def count_bad(self, fault: str) -> None:
        self.first_fault = self.first_fault or fault
        self._bad += 1

    def notes(self, source: str) -> list[str]:
        found = []
        if self._moved:
            found.append(
                f"{source}: {self._moved} answers did not stand at their offset and were moved to the one place where "
                f"they do (first: {self._first_moved})."
            )
        if self._guessed:
            found.append(f"{source}: {self._guessed} answers occur more than once; the first place was taken.")
        if self._bad:
            found.append(f"{source}: {self._bad} rows were skipped (first: {self.first_fault})")
        return found

    def _answers(self, record: Record, passage: str) -> tuple[AnswerPlace, ...]:
        name = self.columns.answer
        if name is None or name not in record.fields:
            raise _BadQuestion("has no answers: a file to learn from, or to be measured on, needs them.")
        start = "" if self.columns.start is None else record.fields.get(self.columns.start, "")
        given = [entry for entry in _parse(record.fields[name], start) if entry[0].strip() not in ("", self.no_answer)]
        return tuple(dict.fromkeys(self._locate(passage, text, place, record.where) for text, place in given))

    def _locate(self, passage: str, text: str, start: int | None, where: str) -> AnswerPlace:
        if start is not None and start >= 0 and passage.startswith(text, start):
            return AnswerPlace(text, start)
        if start is None and text in passage:
            place = passage.find(text)
            self._guessed += text in passage[place + 1 :]
            return AnswerPlace(text, place)
        found = _moved(passage, text, start)
        if found is None:
            there = "" if start is None else f" there stands {_short(passage[max(start, 0) :][: len(text)])!r}, and"
            times = len(re.findall(f"(?={re.escape(text)})", passage))
            raise _BadQuestion(
                f"the answer {_short(text)!r} does not stand in the passage"
                + (f" at character {start}:{there}" if start is not None else ":")
                + f" the text occurs {times or 'no'} times."
            )
        self._moved += start is not None or found.text != text
        self._first_moved = self._first_moved or f"{_short(text)!r}, {where}"
        return found

    def _text(self, record: Record, name: str) -> str:
        if name not in record.fields:
            raise _BadQuestion(f"has no field {name!r}.")
        return record.fields[name]


def _moved(passage: str, text: str, start: int | None) -> AnswerPlace | None:
    """Where an answer must be meant to stand; None where that is open."""
    if start is not None and start >= 0:
        place = len(passage.encode("utf-16-le", "surrogatepass")[: 2 * start].decode("utf-16-le", "replace"))
        if passage.startswith(text, place):
            return AnswerPlace(text, place)
    pieces = [re.escape(character) for character in text if not character.isspace()]
    if not pieces:
        return None
    for pattern in (re.escape(text), r"\s*".join(pieces)):
        found = [match.span(1) for match in re.finditer(f"(?=({pattern}))", passage)]
        if len(found) == 1 or (found and start is not None and start in dict(found)):
            chosen = found[0] if len(found) == 1 else (start or 0, dict(found)[start or 0])
            return AnswerPlace(passage[chosen[0] : chosen[1]], chosen[0])
    return None


def _parse(answer: str, start: str) -> list[tuple[str, int | None]]:
    """Texts and offsets of one row: SQuAD's list of objects, an object of two lists, or plain columns."""
    value = _from_json(answer)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        starts = value.get("answer_start") or [None] * len(value["text"])
        return [(str(text), _offset(place)) for text, place in zip(value["text"], starts, strict=True)]
    if isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value):
        return [(str(entry.get("text", "")), _offset(entry.get("answer_start"))) for entry in value]
    texts, places = answer.split("\n"), start.split("\n")
    if start.strip() and len(texts) == len(places):
        return [(text, _offset(place)) for text, place in zip(texts, places, strict=True)]
    return [(answer, _offset(start) if start.strip() else None)]


def _from_json(text: str) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _offset(value: Any) -> int | None:
    """An offset: 17, "17", or the first number of "(17, 25)"."""
    if value is None:
        return None
    found = re.fullmatch(r"\s*[\[(]?\s*(-?\d+)(?:\s*,\s*-?\d+\s*)?[\])]?\s*", str(value))
    if found is None:
        raise _BadQuestion(f"the offset of an answer is {_short(str(value))!r}: a number is wanted.")
    return int(found[1])


def _merge(rows: Iterable[Question]) -> list[Question]:
    """One question for all rows with the same question and passage; an answer outweighs that there is none."""
    merged: dict[tuple[str, str], Question] = {}
    for row in rows:
        key = (row.question, row.passage)
        before = merged.get(key)
        if before is None:
            merged[key] = row
        else:
            merged[key] = replace(before, answers=tuple(dict.fromkeys((before.answers or ()) + (row.answers or ()))))
    return list(merged.values())


def _choose(records: Records, data: DataConfig, want_answers: bool, known: QuestionColumns | None) -> QuestionColumns:
    columns = records.columns
    if columns == ("text",) and data.text_column is None and not want_answers:
        return _LINE
    question, passage = _asked_texts(records, data)
    names = (question, passage, None if data.label_column is None else str(data.label_column), None)
    if data.label_column is not None:
        names = (*names[:2], _require(records, str(data.label_column), "label_column"), None)
    found: list[str | None] = []
    usual = (QUESTION_NAMES, PASSAGE_NAMES, ANSWER_NAMES, START_NAMES)
    for place, (asked, before, candidates) in enumerate(zip(names, known or (None,) * 4, usual, strict=True)):
        own = asked or (before if before in columns else None) or _usual(columns, candidates)
        if own is None and not records.named and place < 3 and len(columns) in (2, 3):
            own = columns[place] if place < len(columns) else None
        found.append(own)
    for place, what in enumerate(("question", "passage", "answer")[: 3 if want_answers else 2]):
        if found[place] is None:
            raise DataError(
                f"{records.source}: which column is the {what}? Its columns are {', '.join(columns)}. Pass "
                "--data.text_column=QUESTION+PASSAGE and --data.label_column=ANSWER, or give SQuAD JSON."
            )
    assert found[0] is not None and found[1] is not None
    return QuestionColumns(found[0], found[1], found[2], found[3])


def _asked_texts(records: Records, data: DataConfig) -> tuple[str | None, str | None]:
    if data.text_column is None:
        return None, None
    names = [part.strip() for part in str(data.text_column).split("+")]
    if len(names) != 2:
        raise DataError(
            f"{records.source}: data.text_column={data.text_column}: two columns are wanted, that of the question and "
            "that of the passage, such as question+context."
        )
    return _require(records, names[0], "text_column"), _require(records, names[1], "text_column")


def _require(records: Records, name: str, option: str) -> str:
    if name not in records.columns:
        near = did_you_mean(name, records.columns)
        raise DataError(
            f"{records.source}: no column {name!r} (data.{option}).{near} Columns: {', '.join(records.columns)}."
        )
    return name


def _usual(columns: Sequence[str], names: Sequence[str]) -> str | None:
    folded = {column.strip().lower(): column for column in reversed(columns)}
    return next((folded[name] for name in names if name in folded), None)


def _split_line(record: Record) -> Record:
    question, tab, passage = record.fields["text"].partition("\t")
    if not tab:
        raise _BadQuestion("a line of a text file is to be a question, a tab and a passage; there is no tab.")
    return replace(record, fields={"question": question, "passage": passage})


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
