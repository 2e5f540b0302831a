"""SQuAD JSON: what is special to it, and the ending .json that it shares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, read_records


def squad(*questions: Any, context: Any = "Rome is old.", **more: Any) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def write(folder: Path, value: Any, name: str = "data.json") -> str:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return str(path)


def question(**changes: Any) -> dict[str, Any]:
    return {"id": "q1", "question": "What is old?", "answers": [{"text": "Rome", "answer_start": 0}], **changes}


def test_version_1(tmp_path: Path) -> None:
    records = read_records(write(tmp_path, squad(question())), ReadOptions())
    assert records.columns == ("id", "title", "question", "context", "answers")
    (row,) = records
    assert row.id == "q1" and row.fields["title"] == "T" and row.fields["context"] == "Rome is old."
    assert json.loads(row.fields["answers"]) == [{"text": "Rome", "answer_start": 0}]


def test_version_2(tmp_path: Path) -> None:
    rows = [
        question(is_impossible=False),
        question(id="q2", answers=[], is_impossible=True, plausible_answers=[{"text": "Rome", "answer_start": 0}]),
        question(id="q3", answers=[]),
        question(id="q4", answers=[], is_impossible=False),
        {"id": "q5", "question": "Where?"},
    ]
    records = read_records(write(tmp_path, squad(*rows)), ReadOptions())
    found = [record.fields.get("answers") for record in records]
    assert found[1:3] == ["[]", "[]"], "the passage holds none"
    assert found[3:] == [None, None], "not known"


def test_without_answers_there_is_no_such_column(tmp_path: Path) -> None:
    records = read_records(write(tmp_path, squad({"question": "Where?"}, {"question": "Who?"})), ReadOptions())
    assert records.columns == ("id", "title", "question", "context")
    assert [record.id for record in records] == ["0.0.0", "0.0.1"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (squad(question(question=None)), r"data\[0\].paragraphs\[0\].qas\[0\].question: null where a string"),
        (squad({"id": "q", "qestion": "x"}), r"qas\[0\]: no key 'question'. Did you mean `qestion`"),
        (squad("x"), r"qas\[0\]: a string where an object with the key 'context|question'"),
        (squad(question(), context=7), r"paragraphs\[0\].context: a number where a string"),
        (squad(question(answers="Rome")), r"qas\[0\].answers: a string where a list"),
        (squad(question(answers=[{"answer_start": 0}])), r"answers\[0\]: no key 'text'"),
        (squad(question(answers=[{"text": "Rome", "answer_start": "0"}])), r"answers\[0\].answer_start: a string"),
        (squad(question(is_impossible="no")), r"qas\[0\].is_impossible: a string where true or false"),
        (squad(question(), question()), "id 'q1' stands at"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, r"data\[0\].paragraphs\[0\]: no key 'qas'"),
        ({"data": [{"paragraphs": {}}]}, r"data\[0\].paragraphs: an object where a list"),
        ({"data": [{"paragraphs": []}]}, "no questions in it"),
        ({"data": []}, "no questions in it"),
    ],
)
def test_malformed_files_are_told_by_the_path_of_keys(tmp_path: Path, value: Any, message: str) -> None:
    path = write(tmp_path, value)
    with pytest.raises(DataError, match=message) as caught:
        read_records(path, ReadOptions())
    assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [{"paragraphs": [\n{"context": }]}]}', r"data.json:2: not JSON: .* at column 13"),
        ('{"data": [{"paragraphs": [', r"data.json:1: not JSON"),
        ("[]", "a list where SQuAD JSON has an object"),
        ('{"dato": []}', "no key 'data'.* Did you mean `dato`"),
    ],
)
def test_other_content(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_records(write(tmp_path, text), ReadOptions(format="squad"))


def test_bad_questions_can_be_skipped(tmp_path: Path) -> None:
    value = squad(question(), question(id="q2", question=5), question(id="q3"))
    records = read_records(write(tmp_path, value), ReadOptions(skip_bad_rows=True))
    assert [record.id for record in records] == ["q1", "q3"]
    assert records.skipped == 1


def test_the_ending_json_is_told_by_its_beginning(tmp_path: Path) -> None:
    """SQuAD's outer keys, in any order; else rows of objects, as before."""
    late = {"data": squad(question())["data"], "version": "v2"}
    nested = {"version": "1", "data": [{"paragraphs": [{"qas": [question()], "context": "Rome is old."}], "title": ""}]}
    for number, value in enumerate((squad(question()), late, nested)):
        for indent in (None, 2):
            path = write(tmp_path, json.dumps(value, indent=indent), f"{number}{indent}.json")
            assert "context" in read_records(path, ReadOptions()).columns
    for number, text in enumerate(('[{"text": "a"}]', '{"text": "a"}\n{"text": "b"}', '{"data": [1, 2], "x": "y"}')):
        path = write(tmp_path, text, f"other{number}.json")
        assert "context" not in read_records(path, ReadOptions()).columns
