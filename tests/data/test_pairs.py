"""Pairs of texts: parallel files of any line end and packing, and the columns of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import DataConfig
from recurra.data.pairs import PairNames, read_pairs

NAMES = PairNames(("source", "src"), ("target", "tgt"), longer=False)


def test_line_numbers_are_ids_and_blanks_at_the_ends_go(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b" one \r\ntwo\r\nthree")
    (tmp_path / "b.txt").write_bytes(b"eins\nzwei\n drei \n")
    read = read_pairs([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], DataConfig(), NAMES, {})
    assert [(row.source, row.target, row.id) for row in read.rows] == [
        ("one", "eins", "1"),
        ("two", "zwei", "2"),
        ("three", "drei", "3"),
    ]
    assert read.rows[2].where == f"{tmp_path / 'a.txt'}:3 / {tmp_path / 'b.txt'}:3"
    assert read.columns == {}


@pytest.mark.parametrize(("left", "right"), [(5, 4), (1, 3)])
def test_both_counts_are_told(tmp_path: Path, left: int, right: int) -> None:
    (tmp_path / "a.txt").write_text("x\n" * left)
    (tmp_path / "b.txt").write_text("y\n" * right)
    with pytest.raises(DataError, match=f"a.txt has {left} lines and .*b.txt has {right}: line n of the one"):
        read_pairs([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], DataConfig(), NAMES, {})


@pytest.mark.parametrize(
    ("header", "asked", "expected"),
    [
        ("tgt,src,n", {}, ("b", "a")),
        ("de,en", {}, ("a", "b")),
        ("id,de,en", {}, ("b", "c")),
        ("x,src,y", {"label_column": "x"}, ("b", "a")),
        ("x,y,z", {"text_column": "z", "label_column": 0}, ("c", "a")),
        ("x,y", {"text_column": 0}, ("a", "b")),
        ("x,y", {"text_column": 1}, ("b", "a")),
        ("x,y", {"text_column": "y"}, ("b", "a")),
    ],
)
def test_columns(tmp_path: Path, header: str, asked: dict[str, str | int], expected: tuple[str, str]) -> None:
    cells = dict(zip(header.split(","), "abc", strict=False))
    values = {"a": "first text", "b": "second one", "c": "third"}
    rows = [",".join(values[cells[name]] + str(number) for name in header.split(",")) for number in range(3)]
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    if header.startswith("tgt"):
        expected = ("second one0", "first text0")
    else:
        expected = (values[expected[0]] + "0", values[expected[1]] + "0")
    read = read_pairs(str(tmp_path / "t.csv"), DataConfig(header="yes", **asked), NAMES, {})  # type: ignore[arg-type]
    assert (read.rows[0].source, read.rows[0].target) == expected


def test_the_columns_of_the_training_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"zh": "好", "en": "good", "note": "x"}\n')
    known = {"text": "zh", "label": "en"}
    read = read_pairs(str(tmp_path / "t.jsonl"), DataConfig(), NAMES, known)
    assert (read.rows[0].source, read.rows[0].target) == ("好", "good")
    with pytest.raises(DataError, match="no column 'de'"):
        read_pairs(str(tmp_path / "t.jsonl"), DataConfig(text_column="de", label_column="en"), NAMES, known)
    with pytest.raises(DataError, match="text and the label at once"):
        read_pairs(str(tmp_path / "t.jsonl"), DataConfig(text_column="en"), NAMES, known)
