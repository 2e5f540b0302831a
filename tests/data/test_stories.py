"""Questions on stories: rows, splits by story, batches that hold each sentence once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from recurra.core.errors import DataError
from recurra.data import DataConfig, ReadOptions
from recurra.data.stories import (
    StoryExample,
    StoryQuestion,
    collate_stories,
    cut_sentences,
    hold_out_stories,
    read_stories,
    read_story_splits,
)


def write(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Mary left. John sat!  Who sat?", ("Mary left.", "John sat!", "Who sat?")),
        ("玛丽回家了。约翰在哪里？他坐着", ("玛丽回家了。", "约翰在哪里？", "他坐着")),
        ("1.5 km\nno mark", ("1.5 km", "no mark")),
        (" ", ()),
    ],
)
def test_sentences(text: str, sentences: tuple[str, ...]) -> None:
    assert cut_sentences(text) == sentences


def test_numbered_lines_and_json_are_the_same_rows(tmp_path: Path) -> None:
    numbered = tmp_path / "a.txt"
    numbered.write_text("1 Mr. X left.\n2 Who left?\tX\t1\n3 Jo sat.\n4 Who sat? \tJo, Al\t3\n")
    listed = write(
        tmp_path,
        [
            {"story": ["Mr. X left.", ""], "question": "Who left?", "answer": "X", "supporting": [1]},
            {"story": ["Mr. X left.", "Jo sat."], "question": "Who sat?", "answer": ["Jo", "Al"], "supporting": 2},
        ],
    )
    rows, notes = read_stories(numbered, ReadOptions())
    same, _ = read_stories(listed, ReadOptions())
    assert [row[:4] for row in rows] == [row[:4] for row in same]
    assert rows[1][:4] == (("Mr. X left.", "Jo sat."), "Who sat?", "Jo,Al", (2,))
    assert (rows[1].id, rows[1].where, notes) == ("4", f"{numbered}:4", [])


def test_a_story_in_one_string_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path, [{"story": "Mary left. Jo sat.", "question": "Who sat?", "answer": "Jo", "supporting": 2}])
    assert read_stories(path, ReadOptions())[0][0].story == ("Mary left.", "Jo sat.")


GOOD = {"story": ["Jo sat.", "Al ate."], "question": "Who sat?", "answer": "Jo"}


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"story": []}, "the story is empty"),
        ({"question": " "}, "the question is empty"),
        ({"answer": ""}, "the question has no answer"),
        ({"supporting": [3]}, "supporting sentence '3': a number from 1 to 2"),
        ({"supporting": "x"}, "supporting sentence 'x'"),
    ],
)
def test_bad_rows_are_named_or_counted(tmp_path: Path, bad: dict[str, Any], fault: str) -> None:
    path = write(tmp_path, [GOOD, GOOD | bad])
    with pytest.raises(DataError) as caught:
        read_stories(path, ReadOptions())
    assert str(caught.value).startswith(f"{path}:2: {fault}")
    rows, notes = read_stories(path, ReadOptions(skip_bad_rows=True))
    assert len(rows) == 1
    assert "1 rows were skipped" in notes[0] and fault in notes[0]
    with pytest.raises(DataError, match="no usable rows"):
        read_stories(write(tmp_path, [GOOD | bad], "only.jsonl"), ReadOptions(skip_bad_rows=True))


def test_answers_are_wanted_only_where_they_teach(tmp_path: Path) -> None:
    path = write(tmp_path, [{"story": "Jo sat.", "question": "Who sat?"}])
    assert read_stories(path, ReadOptions(), want_answers=False)[0][0].answer == ""
    with pytest.raises(DataError, match="no column 'answer': story, question"):
        read_stories(path, ReadOptions())


def rows_of(sizes: list[int]) -> list[StoryQuestion]:
    return [
        StoryQuestion(
            tuple(f"{story}.{place}" for place in range(number + 1)), "?", "a", id=f"{story}-{number}", where="f"
        )
        for story, size in enumerate(sizes)
        for number in range(size)
    ]


def test_whole_stories_are_held_out() -> None:
    rows = rows_of([3, 5, 1, 4, 2, 5])
    parts = hold_out_stories(rows, 0.3, 0.2, seed=3)
    assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in rows)
    stories = [{row.story[0] for row in part} for part in parts]
    assert not (stories[0] & stories[1] or stories[0] & stories[2] or stories[1] & stories[2])
    assert len(parts.valid) >= 6 and len(parts.test) >= 4
    assert parts == hold_out_stories(rows, 0.3, 0.2, seed=3)
    assert hold_out_stories(rows, 0.0)[0] == rows


def test_too_few_stories_to_hold_some_out() -> None:
    with pytest.raises(DataError, match="1 stories are too few"):
        hold_out_stories(rows_of([5]), 0.1)
    with pytest.raises(DataError, match="too few"):
        hold_out_stories(rows_of([5, 5]), 0.1, 0.1)


def test_files_of_their_own_are_taken_whole(tmp_path: Path) -> None:
    path, other = write(tmp_path, [GOOD] * 3), write(tmp_path, [GOOD | {"answer": "Al"}], "valid.jsonl")
    parts, notes = read_story_splits(DataConfig(train=str(path), valid=str(other)), 0)
    assert [len(part) for part in parts] == [3, 1, 0]
    assert notes == []


def test_a_batch_holds_each_sentence_once() -> None:
    a, b, c = (2, 3), (4,), (5, 6, 7)
    batch = collate_stories(
        [
            StoryExample((a, b, a), (8,), 1, (0, 2), "x"),
            StoryExample((), (), 0, (), "y"),
            StoryExample((c, a), (9, 8), 2, (), "z"),
        ],
        with_support=True,
    )
    inputs = batch.inputs
    sentences = [tuple(row.tolist()) for row in inputs.sentences.unpad()]
    assert sorted(sentences) == sorted([a, b, c])
    told = [[sentences[place] for place in row] for row in inputs.story.unpad()]
    assert told == [[a, b, a], [], [c, a]]
    assert [row.tolist() for row in inputs.question.unpad()] == [[8], [], [9, 8]]
    assert batch.targets.tolist() == [[1, 1, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]]
    assert batch.ids == ("x", "y", "z")
    plain = collate_stories([StoryExample((), (), 3, (), "y")])
    assert torch.equal(plain.targets, torch.tensor([3]))
    assert plain.inputs.batch_size == 1
