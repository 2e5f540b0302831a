"""JSON lines and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, Records, read_records


def read(folder: Path, content: str, name: str = "data.jsonl", **options: object) -> Records:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return read_records(path, ReadOptions(**options))  # type: ignore[arg-type]


def test_values_become_text(tmp_path: Path) -> None:
    records = read(
        tmp_path,
        '{"text": "a", "n": 1, "x": 1.50, "ok": true, "none": null, "tags": ["p", "q"], "deep": {"k": ["好"]}}\n',
    )
    assert dict(records.rows[0].fields) == {
        "text": "a", "n": "1", "x": "1.5", "ok": "true", "none": "", "tags": "p\nq", "deep": '{"k": ["好"]}'
    }  # fmt: skip


def test_columns_are_all_keys(tmp_path: Path) -> None:
    records = read(tmp_path, '{"a": 1}\n\n{"b": 2, "a": 3}\n')
    assert records.columns == ("a", "b")
    assert records.rows[1].where.endswith(":3")


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_a_list_of_objects(tmp_path: Path, name: str) -> None:
    records = read(tmp_path, '\n[\n {"text": "a"},\n {"text": "b"}\n]\n', name)
    assert [record.fields["text"] for record in records] == ["a", "b"]
    assert records.rows[1].where.endswith(f"{name}: item 1")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "a list where an object is wanted"),
        ('"text"', "a string where an object is wanted"),
        ("3", "a single value where an object is wanted"),
        ("null", "null where an object is wanted"),
        ('{"text": "a', "not JSON: Unterminated string.* at column 10"),
        ("{'text': 1}", "not JSON: Expecting property name"),
        ("[" * 100_000, "JSON nested too deep"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    content = f'{{"text": "a"}}\n{line}\n{{"text": "b"}}\n'
    with pytest.raises(DataError, match=rf"data.jsonl:2: {message}"):
        read(tmp_path, content)
    records = read(tmp_path, content, skip_bad_rows=True)
    assert len(records) == 2 and records.skipped == 1


def test_a_broken_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.json:3: not JSON"):
        read(tmp_path, '[\n{"text": "a"}\n{"text": "b"}]', "data.json")


def test_over_long_field(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:1: text: longer than 1,000,000 characters: is a quote left open"):
        read(tmp_path, f'{{"text": "{"a" * 10_000_000}"}}\n')


def test_duplicate_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:2: id '7' stands at .*data.jsonl:1 already"):
        read(tmp_path, '{"id": 7, "text": "a"}\n{"id": 7, "text": "b"}\n')
