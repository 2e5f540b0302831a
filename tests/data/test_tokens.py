"""A corpus as indices, in memory and in a file."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recurra.core.errors import DataError, ModelFileError, OutputError
from recurra.data import (
    TextPiece,
    TokenStream,
    Vocabulary,
    VocabularyConfig,
    encode_tokens,
    fit_vocabulary,
    mirror_tokens,
    open_tokens,
    write_tokens,
)

PIECES = [
    TextPiece("ab", True, False, "a:1"),
    TextPiece("c", False, True, "a:1"),
    TextPiece("", True, True, "b:1"),
    TextPiece("ca", True, False, "c:1"),
]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return fit_vocabulary(VocabularyConfig(kind="char"), ["aaabbc"])


def test_documents_end_with_eos(vocabulary: Vocabulary) -> None:
    corpus = encode_tokens(PIECES, vocabulary)
    assert corpus.tokens.tolist() == [2, 3, 4, 1, 1, 4, 2]
    assert corpus.starts.tolist() == [0, 4, 5]
    assert (corpus.eos_index, corpus.num_characters) == (1, 5)


def test_the_mirror_reverses_each_document(vocabulary: Vocabulary) -> None:
    corpus = mirror_tokens(encode_tokens(PIECES, vocabulary))
    assert corpus.tokens.tolist() == [4, 3, 2, 1, 1, 2, 4, 1]
    assert corpus.starts.tolist() == [0, 4, 5]
    assert mirror_tokens(corpus).tokens.tolist() == [2, 3, 4, 1, 1, 4, 2, 1]


def test_file_equals_memory(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "new" / "train.tokens"
    for pieces in (PIECES, PIECES[:2], [TextPiece("abc" * 9, False, False, "a:1")]):
        expected = encode_tokens(pieces, vocabulary)
        for corpus in (write_tokens(path, pieces, vocabulary), open_tokens(path)):
            np.testing.assert_array_equal(corpus.tokens, expected.tokens)
            np.testing.assert_array_equal(corpus.starts, expected.starts)
            assert corpus.tokens.dtype == np.int32
            assert (corpus.eos_index, corpus.num_characters) == (expected.eos_index, expected.num_characters)
    assert [entry.name for entry in path.parent.iterdir()] == ["train.tokens"]


def test_an_error_on_the_way_leaves_the_old_file(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "train.tokens"
    write_tokens(path, PIECES, vocabulary)
    before = path.read_bytes()

    def broken() -> Iterator[TextPiece]:
        yield PIECES[0]
        raise DataError("a.txt:7: no")

    with pytest.raises(DataError, match=r"a.txt:7"):
        write_tokens(path, broken(), vocabulary)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.tokens"]


@pytest.mark.parametrize("pieces", [[], [TextPiece("", True, True, "a:1")], [TextPiece("", True, False, "a:1")]])
def test_no_tokens(tmp_path: Path, vocabulary: Vocabulary, pieces: list[TextPiece]) -> None:
    with pytest.raises(DataError, match="holds no tokens"):
        encode_tokens(pieces, vocabulary)
    with pytest.raises(DataError, match="holds no tokens"):
        write_tokens(tmp_path / "x", pieces, vocabulary)
    assert not list(tmp_path.iterdir())


def test_unwritable_place(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write"):
        write_tokens(tmp_path / "file" / "train.tokens", PIECES, vocabulary)


def test_damaged_file(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "train.tokens"
    with pytest.raises(ModelFileError, match="can't be read"):
        open_tokens(path)
    write_tokens(path, PIECES, vocabulary)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ModelFileError, match="cut short"):
        open_tokens(path)
    path.write_bytes(b"x" + content[1:])
    with pytest.raises(ModelFileError, match="not an encoded corpus"):
        open_tokens(path)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="not an encoded corpus"):
        open_tokens(path)


def test_memory_stays_flat(tmp_path: Path, vocabulary: Vocabulary) -> None:
    def pieces() -> Iterator[TextPiece]:
        for number in range(16):
            yield TextPiece("abc" * 300_000, number == 0, number == 15, "a:1")

    path = tmp_path / "train.tokens"
    tracemalloc.start()
    corpus = write_tokens(path, pieces(), vocabulary)
    stream = TokenStream(corpus, 32, 64)
    for _ in range(20):
        stream.next_batch()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(corpus.tokens) == 16 * 900_000 + 1
    assert peak < path.stat().st_size / 2
