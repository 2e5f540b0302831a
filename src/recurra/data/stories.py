"""Questions on stories: from rows to examples, and from examples to batches that hold each sentence once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError
from recurra.core.inputs import Story
from recurra.data.collate import pad_tokens
from recurra.data.config import DataConfig
from recurra.data.readers import ReadOptions, read_records
from recurra.data.readers.reading import Paths
from recurra.data.records import Record, Records
from recurra.data.splits import Splits

_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")


class StoryQuestion(NamedTuple):
    """A question on a story.

    Attributes:
        story: sentences in order of telling.
        question: one sentence.
        answer: "" where it is not known.
        supporting: numbers of the sentences that it takes to answer, from 1; empty where they are not known.
        id: of the row.
        where: file and line for messages.
    """

    story: tuple[str, ...]
    question: str
    answer: str = ""
    supporting: tuple[int, ...] = ()
    id: str = ""
    where: str = ""


class StoryExample(NamedTuple):
    """An encoded question on a story.

    Attributes:
        tokens: (M,) sentences, each a tuple of vocabulary indices; their number decides which batch it comes into.
        question: (Q,) vocabulary indices.
        target: index of the answer; one above all where it was not seen in training.
        supporting: places in `tokens`, from 0.
        id: the row's.
    """

    tokens: tuple[tuple[int, ...], ...]
    question: tuple[int, ...]
    target: int
    supporting: tuple[int, ...]
    id: str


def cut_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text: it is cut after . ! ? where a blank follows, after 。！？ and at line ends."""
    return tuple(part.strip() for part in _SENTENCE_END.split(text) if part.strip())


def read_stories(
    paths: Paths, options: ReadOptions, *, want_answers: bool = True
) -> tuple[list[StoryQuestion], list[str]]:
    """Read bAbI files, or tables and JSONL with `story`, `question` and `answer` (and `supporting`, from 1).

    A story is a JSON list of sentences, or a text that is cut into sentences.

    Returns:
        The questions, and sentences on what was skipped.
    Raises:
        DataError: as `read_records`; a column is missing, a story, question or answer empty, or a supporting sentence
            not one of the story, and bad rows are not to be skipped.
    """
    records = read_records(paths, options, plain="babi")
    _require_columns(records, want_answers)
    rows: list[StoryQuestion] = []
    first_fault, num_bad = "", 0
    for record in records:
        try:
            rows.append(_question_of(record, want_answers))
        except _BadRow as error:
            message = f"{record.where}: {error} {_MEND}"
            if not options.skip_bad_rows:
                raise DataError(message) from None
            first_fault, num_bad = first_fault or message, num_bad + 1
    if not rows:
        raise DataError(f"{records.source}: no usable rows. {first_fault}")
    notes = list(records.notes)
    if num_bad:
        notes.append(f"{records.source}: {num_bad} rows were skipped; the first: {first_fault.removesuffix(_MEND)}")
    return rows, notes


def hold_out_stories(
    rows: Sequence[StoryQuestion], valid_fraction: float, test_fraction: float = 0.0, *, seed: int = 0
) -> Splits[list[StoryQuestion]]:
    """Split at random, all questions of a story into the same part; the order of the file is kept.

    Rows are of one story where the sentences of the one before begin those of the next.

    Raises:
        DataError: too few stories.
    """
    story_of = np.zeros(len(rows), np.int64)
    for number in range(1, len(rows)):
        before = rows[number - 1].story
        story_of[number] = story_of[number - 1] + (rows[number].story[: len(before)] != before)
    sizes = np.bincount(story_of)
    order = np.random.default_rng(seed).permutation(len(sizes))
    part_of, place = np.zeros(len(sizes), np.int64), 0
    for part, fraction in ((1, valid_fraction), (2, test_fraction)):
        held = 0
        while fraction and place < len(order) and held < max(1.0, fraction * len(rows)):
            part_of[order[place]] = part
            held += int(sizes[order[place]])
            place += 1
    if place >= len(order) or (test_fraction and 2 not in part_of):
        raise DataError(
            f"{rows[0].where}: {len(sizes)} stories are too few to hold some out: the questions of a story stay "
            "together. Give more, or files of their own with --data.valid (and --data.test), or hold nothing out with "
            "--data.valid_fraction=0."
        )
    parts = part_of[story_of]
    return Splits(*([row for row, own in zip(rows, parts, strict=True) if own == part] for part in range(3)))


def read_story_splits(data: DataConfig, seed: int) -> tuple[Splits[list[StoryQuestion]], list[str]]:
    """The questions of each split, from files of its own or held out of the training files, and notes on them."""
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (bAbI, or JSONL with story, question and answer).")
    rows, notes = read_stories(data.train, data)
    held = hold_out_stories(
        rows,
        0.0 if data.valid is not None else data.valid_fraction,
        0.0 if data.test is not None else data.test_fraction,
        seed=seed,
    )
    parts = {"train": held.train, "valid": held.valid, "test": held.test}
    for name, paths in (("valid", data.valid), ("test", data.test)):
        if paths is not None:
            parts[name], more = read_stories(paths, data)
            notes += [note for note in more if note not in notes]
    if data.valid is None and data.valid_fraction > 0:
        notes.append(f"{len(held.valid):,} of the training questions, in whole stories, are held out for validation")
    return Splits(**parts), notes


def collate_stories(examples: Sequence[StoryExample], with_support: bool = False) -> Batch:
    """Pad questions and stories; each distinct sentence of the batch stands once.

    Args:
        examples: at least one; stories, sentences and questions may be empty.
        with_support: put the supporting sentences beside the answers.
    Returns:
        inputs: `Story`; targets (B,) int64, or (B, 1 + M): the answer, then 1 for each supporting sentence, else 0.
    """
    rows: dict[tuple[int, ...], int] = {}
    story = pad_tokens([[rows.setdefault(sentence, len(rows)) for sentence in e.tokens] for e in examples])
    inputs = Story(pad_tokens([e.question for e in examples]), story, pad_tokens(list(rows)))
    targets = torch.tensor([e.target for e in examples], dtype=torch.int64)
    if with_support:
        marks = torch.zeros(len(examples), story.num_steps, dtype=torch.int64)
        for mark, example in zip(marks, examples, strict=True):
            mark[list(example.supporting)] = 1
        targets = torch.cat([targets[:, None], marks], 1)
    return Batch(inputs, targets, tuple(e.id for e in examples))


class _BadRow(Exception):
    """A row that can't be used; the message goes on after "file:line: "."""


def _require_columns(records: Records, want_answers: bool) -> None:
    for name in ("story", "question", *(("answer",) if want_answers else ())):
        if name not in records.columns:
            raise DataError(
                f"{records.source}: no column {name!r}: {', '.join(records.columns)}. Rows need story, question and "
                "answer; files of numbered lines are read with --data.format=babi."
            )


def _question_of(record: Record, want_answers: bool) -> StoryQuestion:
    fields: Mapping[str, str] = record.fields
    told, question = fields.get("story", ""), " ".join(fields.get("question", "").split())
    lines = tuple(line.strip() for line in told.split("\n") if line.strip())
    story = lines if "\n" in told else cut_sentences(told)
    answer = ",".join(part.strip() for part in re.split(r"[,\n]", fields.get("answer", "")) if part.strip())
    if not story:
        raise _BadRow("the story is empty.")
    if not question:
        raise _BadRow("the question is empty.")
    if want_answers and not answer:
        raise _BadRow("the question has no answer (in bAbI's format: a TAB and the answer after the question).")
    places = fields.get("supporting", "").split()
    wrong = next((p for p in places if not p.isdecimal() or not 1 <= int(p) <= len(story)), None)
    if wrong is not None:
        raise _BadRow(f"supporting sentence {wrong!r}: a number from 1 to {len(story)}, as the story has, is wanted.")
    return StoryQuestion(story, question, answer, tuple(map(int, places)), record.id, record.where)
