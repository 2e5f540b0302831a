"""Numbered stories: what a question is asked of, and what is wrong with a line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, Records, read_records
from recurra.data.readers.babi import is_numbered

STORY = """\
1 Mary went to the garden.
2 John took the ball.
3 Where is Mary? \tgarden\t1
4 Mary went home.
5 Where is Mary?\thome, garden\t4 1
1 第一句。
2 谁在家？
"""


def read(folder: Path, text: str, **options: object) -> Records:
    path = folder / "story.txt"
    path.write_text(text, encoding="utf-8")
    return read_records(path, ReadOptions(**options), plain="babi")  # type: ignore[arg-type]


def test_a_question_is_asked_of_the_sentences_before_it(tmp_path: Path) -> None:
    records = read(tmp_path, STORY)
    first, second, third = records
    assert first.fields == {
        "story": "Mary went to the garden.\nJohn took the ball.\n",
        "question": "Where is Mary?",
        "answer": "garden",
        "supporting": "1",
    }
    assert second.fields["story"].split("\n") == [
        "Mary went to the garden.",
        "John took the ball.",
        "Mary went home.",
        "",
    ]
    assert second.fields["answer"] == "home, garden"
    assert second.fields["supporting"] == "3\n1", "line 4 is the third sentence"
    assert third.fields == {"story": "第一句。\n", "question": "谁在家？", "answer": "", "supporting": ""}
    assert [record.id for record in records] == ["3", "5", "7"]
    assert second.where == f"{tmp_path / 'story.txt'}:5"
    assert records.columns == ("story", "question", "answer", "supporting")


def test_packed_and_with_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "story.txt.gz"
    path.write_bytes(gzip.compress(STORY.replace("\n1 ", "\n\n1 ").encode()))
    plain = read(tmp_path, STORY)
    packed = read_records(path, ReadOptions(format="babi"))
    assert [record.fields for record in packed] == [record.fields for record in plain]


def test_a_plain_reader_is_for_text_files_that_name_no_format(tmp_path: Path) -> None:
    assert len(read(tmp_path, STORY, format="text")) == 7
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"story": ["One.", "Two."], "question": "Who?", "answer": "x"}\n')
    (record,) = read_records(rows, ReadOptions(), plain="babi")
    assert record.fields["story"] == "One.\nTwo."


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("4 John went home.", ":3: line 4 follows line 2: 3 goes on, 1 starts a story"),
        ("John went home.", ":3: a line number and a sentence are wanted"),
        ("3", ":3: a line number and a sentence are wanted"),
        ("3 Where is Mary?\tgarden\t7", ":3: supporting line '7': the number of a sentence before"),
        ("3 Where is Mary?\tgarden\t1 x", ":3: supporting line 'x': the number"),
        ("3 Where is Mary?\tgarden\t3", ":3: supporting line '3': the number"),
        ("3 \tgarden\t1", ":3: the question is empty"),
        ("3 Where is Mary?\tgarden\t1\tsure", ":3: 4 fields between TABs"),
        ("1 Where is Mary?\tgarden", ":3: a question before any sentence of its story"),
    ],
)
def test_bad_lines_are_named_or_skipped(tmp_path: Path, line: str, fault: str) -> None:
    text = f"1 Mary went home.\n2 John sat.\n{line}\n1 Mary sat.\n2 Who sat?\tMary\t1\n"
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert fault in str(caught.value)
    assert "skip_bad_rows" in str(caught.value)
    records = read(tmp_path, text, skip_bad_rows=True)
    assert [record.fields["story"] for record in records] == ["Mary sat.\n"]
    assert records.skipped == 1


def test_questions_of_a_broken_story_are_skipped_too(tmp_path: Path) -> None:
    text = "1 Mary sat.\n3 John sat.\n4 Who sat?\tMary\n5 Who?\tJohn\n1 Jo sat.\n2 Who sat?\tJo\t1\n"
    records = read(tmp_path, text, skip_bad_rows=True)
    assert [record.fields["answer"] for record in records] == ["Jo"]
    assert records.skipped == 3


@pytest.mark.parametrize(
    ("text", "expected"), [(STORY, True), ("\n\n1 A.\n", True), ("2 A.\n", False), ("Mary.\n", False), ("1.\n", False)]
)
def test_numbered_files_are_recognised(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "some.txt"
    path.write_text(text, encoding="utf-8")
    assert is_numbered(path) is expected


@pytest.mark.skipif("RECURRA_DATA" not in os.environ, reason="RECURRA_DATA is not set")
def test_real_files_are_read_whole() -> None:
    """Every question of bAbI's files has an answer and supporting sentences."""
    folder = Path(os.environ["RECURRA_DATA"], "question_answering", "babi_en_10k")
    for path in sorted(folder.glob("qa*_test.txt.gz")):
        records = read_records(path, ReadOptions(), plain="babi")
        assert len(records) == 1000 and records.skipped == 0
        assert all(record.fields["answer"] and record.fields["supporting"] for record in records)
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        for record in records:
            number, asked = lines[int(record.id) - 1].split(" ", 1)
            question, answer, supporting = (part.strip() for part in asked.split("\t"))
            assert (question, answer) == (record.fields["question"], record.fields["answer"])
            start = int(record.id) - int(number)
            sentences = record.fields["story"].splitlines()
            shown = [sentences[int(place) - 1] for place in record.fields["supporting"].split()]
            assert shown == [lines[start + int(line) - 1].split(" ", 1)[1] for line in supporting.split()]
