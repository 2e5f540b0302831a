"""Running text: pieces, documents, folders."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, TextPiece, read_pieces, read_records
from recurra.data.readers.text import PIECE_CHARACTERS


def pieces(path: Path | list[Path], **options: object) -> list[TextPiece]:
    return list(read_pieces(path, ReadOptions(**options)))  # type: ignore[arg-type]


def documents(found: list[TextPiece]) -> list[str]:
    texts: list[str] = []
    for piece in found:
        if piece.starts:
            texts.append("")
        texts[-1] += piece.text
    return texts


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_a_file_is_a_document(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\n\n two \n")
    assert pieces(path) == [TextPiece("one\n\n two \n", True, True, f"{path}:1")]


def test_lines_and_paragraphs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\none\ntwo\n \n\nthree\r\nfour")
    lines = pieces(path, documents="line")
    assert [piece.text for piece in lines] == ["one", "two", "three", "four"]
    assert all(piece.starts and piece.ends for piece in lines)
    assert [piece.where for piece in lines] == [f"{path}:{n}" for n in (2, 3, 6, 7)]
    paragraphs = pieces(path, documents="paragraph")
    assert [piece.text for piece in paragraphs] == ["one\ntwo", "three\nfour"]
    assert [piece.where for piece in paragraphs] == [f"{path}:{n}" for n in (2, 6)]


def test_whole_is_one_text_without_end(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, text) for name, text in (("a.txt", "one\n"), ("b.txt", "two\n"))]
    found = pieces(paths, documents="whole")
    assert [(piece.text, piece.starts, piece.ends) for piece in found] == [
        ("one\n", True, False),
        ("two\n", False, False),
    ]


def test_folder_is_sorted_and_recursive(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/.hidden.txt", ".git/x.txt", "picture.png", "c.txt.gz"):
        write(tmp_path / name, name)
    assert documents(pieces(tmp_path)) == ["a/z.md", "b.txt", "c.txt.gz"]


def test_folder_without_text(tmp_path: Path) -> None:
    write(tmp_path / "data.csv", "a,b")
    with pytest.raises(DataError, match=r"holds no text files.*it holds: \.csv"):
        pieces(tmp_path)
    with pytest.raises(DataError, match=r"it holds: nothing at all"):
        pieces(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty")


@pytest.mark.parametrize("unit", ["some words in a line\n", "w" * 30 + " ", "x"])
def test_large_file_in_pieces(tmp_path: Path, unit: str) -> None:
    text = unit * (5_000_000 // len(unit))
    path = write(tmp_path / "large.txt", text)
    found = pieces(path)
    assert "".join(piece.text for piece in found) == text
    assert len(found) >= 4
    assert max(len(piece.text) for piece in found) <= PIECE_CHARACTERS
    assert [piece.starts for piece in found] == [True] + [False] * (len(found) - 1)
    assert [piece.ends for piece in found] == [False] * (len(found) - 1) + [True]
    end = unit[-1]
    assert all(piece.text.endswith(end) for piece in found)
    line = int(found[-1].where.rpartition(":")[2])
    assert line == 1 + sum(piece.text.count("\n") for piece in found[:-1])


def test_ten_megabyte_line_is_fine(tmp_path: Path) -> None:
    text = "word " * 2_000_000
    path = write(tmp_path / "line.txt", text)
    assert documents(pieces(path)) == documents(pieces(path, documents="line")) == [text]


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = write(tmp_path / "large.txt", "some words in a line\n" * 1_500_000)
    tracemalloc.start()
    for _ in read_pieces(path, ReadOptions()):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000 < path.stat().st_size


def test_character_across_a_chunk_border(tmp_path: Path) -> None:
    text = "a" + "好\r\n" * 400_000
    path = write(tmp_path / "zh.txt", text)
    assert documents(pieces(path)) == [text.replace("\r\n", "\n")]


def test_wrong_byte_far_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "far.txt"
    path.write_bytes("好的\r\n".encode() * 400_000 + "好".encode() + b"ab\xe9c\n")
    with pytest.raises(DataError, match=r"far.txt:400001: byte 0xe9 at column 4 is not UTF-8"):
        pieces(path)


def test_rows_of_tables_are_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one\ntwo",1\n,0\nthree,1\n')
    assert [(p.text, p.starts, p.ends) for p in pieces(path)] == [("one\ntwo", True, True), ("three", True, True)]
    assert documents(pieces(path, documents="whole")) == ["one\ntwo\nthree\n"]
    both = [path, write(tmp_path / "b.txt", "b")]
    with pytest.raises(DataError, match=r"can't be read together"):
        pieces(both)
    assert len(documents(pieces(both, format="text"))) == 2


def test_rows_of_json_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(12_000):
            file.write(f'{{"id": {number}, "text": "{"words " * 200}"}}\n')
    tracemalloc.start()
    count = sum(1 for _ in read_pieces(path, ReadOptions()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 12_000
    assert peak < path.stat().st_size / 1.5


def test_rows_without_the_field(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"txt": "b"}\n[]\n{"text": "c"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:3: a list where"):
        pieces(path)
    write(path, path.read_text().replace("[]", ""))
    with pytest.raises(DataError, match=r"a.jsonl:2: has no field 'text'"):
        pieces(path)
    assert [piece.text for piece in pieces(path, skip_bad_rows=True)] == ["a", "c"]
    with pytest.raises(DataError, match="no usable rows"):
        pieces(write(path, "3\n{\n"), skip_bad_rows=True)


def test_classes_from_subfolders(tmp_path: Path) -> None:
    for name in ("pos/1.txt", "neg/1.txt", "neg/deep/2.txt"):
        write(tmp_path / name, f"{name}\nmore")
    records = read_records(tmp_path, ReadOptions())
    assert records.columns == ("text", "label")
    assert [(record.id, record.fields["label"]) for record in records] == [
        ("neg/1.txt", "neg"), ("neg/deep/2.txt", "neg"), ("pos/1.txt", "pos")
    ]  # fmt: skip
    assert records.rows[0].fields["text"] == "neg/1.txt\nmore"
    write(tmp_path / "readme.txt", "flat")
    assert read_records(tmp_path, ReadOptions()).columns == ("text",)
