"""Decoding: what no reader's contract covers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data.readers.decoding import CHUNK_BYTES, read_chunks, read_lines


def test_utf_16_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("text\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a.txt:1: not UTF-16.*--data.encoding=utf-16-le"):
        list(read_chunks(path, "utf-16"))
    assert list(read_lines(path, "utf-16-le")) == ["text"]


def test_another_encoding_than_utf_8_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("naïve\n".encode())
    with pytest.raises(DataError, match=r"a.txt:1: byte 0xc3 at column 3 is not ASCII; pass .*latin-1 \(or utf-8\)"):
        list(read_chunks(path, "ascii"))


def test_a_line_over_many_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(("x" * (3 * CHUNK_BYTES) + "\r\n\r\nlast").encode(), compresslevel=1))
    assert [len(line) for line in read_lines(path)] == [3 * CHUNK_BYTES, 0, 4]


@pytest.mark.parametrize("place", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_line_end_at_a_chunk_border(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * place + b"\r\n" + b"b\rc\n")
    assert list(read_lines(path)) == ["a" * place, "b", "c"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        list(read_chunks(tmp_path))
