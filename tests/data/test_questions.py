"""Questions of every format: columns, offsets, splits by passage."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recurra.core.errors import DataError
from recurra.data import DataConfig
from recurra.data.questions import AnswerPlace, Question, QuestionColumns, hold_out_documents, read_questions

needs_data = pytest.mark.skipif("RECURRA_DATA" not in os.environ, reason="RECURRA_DATA is not set")
PASSAGE = "Rome 😀 is old. Old Rome is big."


def squad_file(folder: Path, answers: Any, passage: str = PASSAGE) -> str:
    path = folder / "data.json"
    rows = [{"id": str(n), "question": f"What {n}?", "answers": given} for n, given in enumerate(answers)]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": passage, "qas": rows}]}]}))
    return str(path)


def read(path: str, **options: Any) -> Any:
    return read_questions(path, DataConfig(**options))


def test_offsets_count_characters_beyond_the_bmp_once(tmp_path: Path) -> None:
    found = read(squad_file(tmp_path, [[{"text": "is", "answer_start": 7}, {"text": "😀", "answer_start": 5}]]))
    assert found.rows[0].answers == (AnswerPlace("is", 7), AnswerPlace("😀", 5))
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "start", "wanted"),
    [
        ("Rome", 22, AnswerPlace("Rome", 19)),  # 22 in UTF-16 units would be 21; the text occurs twice: see below
        ("old", 11, AnswerPlace("old", 10)),  # UTF-16 units
        ("big", 0, AnswerPlace("big", 27)),  # occurs once
        ("isbig.", 3, AnswerPlace("is big.", 24)),  # once, blanks aside
        ("Rome 😀  is", 0, AnswerPlace("Rome 😀 is", 0)),
    ],
)
def test_offsets_are_mended_where_that_is_beyond_doubt(
    tmp_path: Path, text: str, start: int, wanted: AnswerPlace
) -> None:
    path = squad_file(tmp_path, [[{"text": text, "answer_start": start}]])
    if text == "Rome":
        with pytest.raises(DataError, match=r"'Rome' does not stand in the passage at character 22: .* occurs 2 times"):
            read(path)
        return
    found = read(path)
    assert found.rows[0].answers == (wanted,)
    assert PASSAGE[wanted.start :].startswith(wanted.text)
    assert "1 answers did not stand at their offset and were moved" in found.notes[0]


def test_bad_offsets_are_refused_or_skipped_and_counted(tmp_path: Path) -> None:
    path = squad_file(tmp_path, [[{"text": "Paris", "answer_start": 3}], [{"text": "Rome", "answer_start": 0}]])
    with pytest.raises(
        DataError, match=r"qas\[0\]: the answer 'Paris' .* there stands 'e 😀 i', .* occurs no times.*skip"
    ):
        read(path)
    found = read(path, skip_bad_rows=True)
    assert [row.id for row in found.rows] == ["1"]
    assert "1 rows were skipped (first: " in found.notes[0] and "'Paris'" in found.notes[0]


def test_no_answer_and_no_answers(tmp_path: Path) -> None:
    path = squad_file(tmp_path, [[], [{"text": "", "answer_start": -1}], [{"text": "Rome", "answer_start": 0}]])
    assert [len(row.answers) for row in read(path).rows] == [0, 0, 1]
    bare = tmp_path / "bare.json"
    bare.write_text('{"data": [{"paragraphs": [{"context": "a b", "qas": [{"question": "c"}]}]}]}')
    with pytest.raises(DataError, match="which column is the answer"):
        read(str(bare))
    (row,) = read_questions(str(bare), DataConfig(), want_answers=False).rows
    assert row.answers is None and row.passage == "a b"


def table(folder: Path, rows: list[list[str]], name: str = "data.tsv") -> str:
    (folder / name).write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder / name)


def test_tables_by_usual_names(tmp_path: Path) -> None:
    rows = [["question", "review", "human_ans_spans", "human_ans_indices"]]
    rows += [["How old?", "very old, old", "old", "(5, 8)"], ["How old?", "very old, old", "NONE", "(0, 4)"]]
    rows += [["How big?", "very old, old", "NONE", "(0, 4)"]]
    found = read_questions(table(tmp_path, rows), DataConfig(header="yes"), no_answer="NONE")
    assert found.columns == QuestionColumns("question", "review", "human_ans_spans", "human_ans_indices")
    assert [row.answers for row in found.rows] == [(AnswerPlace("old", 5),), ()]
    assert "3 rows are 2 questions" in found.notes[-1]


def test_tables_by_named_columns_and_without_offsets(tmp_path: Path) -> None:
    path = table(tmp_path, [["ask", "story", "say"], ["Who?", "Ann and Ann", "Ann"]])
    with pytest.raises(DataError, match=r"which column is the question.*text_column=QUESTION\+PASSAGE"):
        read(path, header="yes")
    found = read(path, header="yes", text_column="ask+story", label_column="say")
    assert found.rows[0].answers == (AnswerPlace("Ann", 0),)
    assert "1 answers occur more than once; the first place was taken" in found.notes[-1]
    with pytest.raises(DataError, match=r"no column 'stori'.* Did you mean `story`"):
        read(path, header="yes", text_column="ask+stori")
    with pytest.raises(DataError, match="two columns are wanted"):
        read(path, header="yes", text_column="ask")


@pytest.mark.parametrize(
    "answers",
    ['{"text": ["b c", "c"], "answer_start": [2, 4]}', '[{"text": "b c", "answer_start": 2}, {"text": "c"}]'],
)
def test_answers_of_json_lines(tmp_path: Path, answers: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(f'{{"question": "q", "context": "a b c", "answers": {answers}}}\n')
    assert read(str(path)).rows[0].answers == (AnswerPlace("b c", 2), AnswerPlace("c", 4))


def test_plain_lists_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"question": "q", "context": "a b c b", "answer": ["b", "c"], "answer_start": [6, 4]}\n')
    assert read(str(path)).rows[0].answers == (AnswerPlace("b", 6), AnswerPlace("c", 4))
    path.write_text('{"question": "q", "context": "a b", "answer": "b", "answer_start": "far"}\n')
    with pytest.raises(DataError, match=r"data.jsonl:1: the offset of an answer is 'far': a number is wanted"):
        read(str(path))


def test_lines_of_text(tmp_path: Path) -> None:
    path = tmp_path / "asked.txt"
    path.write_text("Who?\tAnn\tor Bob\nWhere?\there\n")
    found = read_questions(str(path), DataConfig(), want_answers=False).rows
    assert [(row.question, row.passage) for row in found] == [("Who?", "Ann\tor Bob"), ("Where?", "here")]
    path.write_text("Who?\n")
    with pytest.raises(DataError, match=r"asked.txt:1: .*there is no tab"):
        read_questions(str(path), DataConfig(), want_answers=False)


def test_empty_question_is_a_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path, [["question", "context", "answer"], [" ", "x y", "x"], ["q", "x y", "x"]])
    with pytest.raises(DataError, match=r"data.tsv:2: the question \(column 'question'\) is empty"):
        read(path, header="yes")


def test_questions_of_a_passage_stay_together() -> None:
    rows = [Question(str(n), "q", f"passage {n % 30}", (), "x:1") for n in range(200)]
    parts = hold_out_documents(rows, 0.2, 0.1, seed=3)
    assert sum(map(len, parts)) == 200
    found = [{row.passage for row in part} for part in parts]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert 40 <= len(parts.valid) < 50 and 20 <= len(parts.test) < 30
    assert [int(row.id) for row in parts.train] == sorted(int(row.id) for row in parts.train)
    assert hold_out_documents(rows, 0.2, 0.1, seed=3) == parts
    assert hold_out_documents(rows, 0.0) == (rows, [], [])
    with pytest.raises(DataError, match="1 documents are too few"):
        hold_out_documents([row for row in rows if row.passage == "passage 0"], 0.1)


def test_documents_are_told_by_their_titles_where_there_are_enough() -> None:
    rows = [Question(str(n), "q", f"passage {n}", (), "x:1", title=f"document {n % 12}") for n in range(60)]
    parts = hold_out_documents(rows, 0.2, seed=3)
    assert not {row.title for row in parts.train} & {row.title for row in parts.valid}
    few = [replace(row, title=f"document {int(row.id) % 3}") for row in rows]
    parts = hold_out_documents(few, 0.2, seed=3)
    assert len(parts.valid) == 12 and {row.title for row in parts.valid} <= {row.title for row in parts.train}


@needs_data
def test_all_answers_of_xquad_point_into_the_text() -> None:
    path = Path(os.environ["RECURRA_DATA"], "question_answering", "xquad_en", "xquad.en.json")
    found = read(str(path))
    assert len(found.rows) == 1190 and found.notes == ()
    for row in found.rows:
        assert all(row.passage[a.start : a.start + len(a.text)] == a.text for a in row.answers)


@needs_data
def test_subjqa() -> None:
    path = Path(os.environ["RECURRA_DATA"], "question_answering", "subjqa_tripadvisor", "train.csv.gz")
    found = read_questions(str(path), DataConfig(skip_bad_rows=True), no_answer="ANSWERNOTFOUND")
    assert len(found.rows) == 1159
    assert all(row.passage.startswith(a.text, a.start) for row in found.rows for a in row.answers or ())
    assert any("were moved" in note for note in found.notes)
