"""A corpus as vocabulary indices, in memory or in a file of its own that is mapped, not loaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.core.errors import DataError, ModelFileError
from recurra.core.files import explain_os_errors
from recurra.data.records import TextPiece
from recurra.data.vocabularies.base import EOS_INDEX, Vocabulary

_MAGIC = 0x314B4F5441525543
_HEADER = 8
"""int64 values before the tokens: magic, tokens, documents, eos index, characters, and three of no use yet."""


@dataclass(frozen=True, slots=True)
class TokenCorpus:
    """A corpus as vocabulary indices.

    Attributes:
        tokens: (N,) int32, an array or a memory map; a document that ends is followed by eos.
        starts: (D,) int64, ascending: where documents start.
        eos_index: the vocabulary's; stands before each document's first token as input.
        num_characters: length of the text, for bits per character; 0 where it is not known.
    """

    tokens: np.ndarray
    starts: np.ndarray
    eos_index: int = EOS_INDEX
    num_characters: int = 0


def encode_tokens(pieces: Iterable[TextPiece], vocabulary: Vocabulary) -> TokenCorpus:
    """Encode a corpus that fits into memory.

    Raises:
        DataError: the pieces hold no token.
    """
    counter = _Counter()
    parts = list(counter.encode(pieces, vocabulary))
    counter.require_tokens()
    return TokenCorpus(
        np.concatenate(parts), np.array(counter.starts, np.int64), vocabulary.eos_index, counter.num_characters
    )


def write_tokens(path: Path, pieces: Iterable[TextPiece], vocabulary: Vocabulary) -> TokenCorpus:
    """Encode a corpus piece by piece into a file, which appears at `path` when it is complete, and map it.

    Raises:
        DataError: the pieces hold no token.
        OutputError: the file can't be written.
    """
    counter = _Counter()
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            with explain_os_errors(path):
                file.write(bytes(8 * _HEADER))
            for tokens in counter.encode(pieces, vocabulary):
                with explain_os_errors(path):
                    file.write(tokens.tobytes())
            counter.require_tokens()
            header = [_MAGIC, counter.num_tokens, len(counter.starts), vocabulary.eos_index, counter.num_characters]
            with explain_os_errors(path):
                file.write(bytes(-file.tell() % 8))
                file.write(np.array(counter.starts, np.int64).tobytes())
                file.seek(0)
                file.write(np.array(header + [0] * (_HEADER - len(header)), np.int64).tobytes())
                file.flush()
                os.fsync(file.fileno())
        with explain_os_errors(path):
            os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return open_tokens(path)


def mirror_tokens(corpus: TokenCorpus) -> TokenCorpus:
    """The corpus with each document's tokens in reverse order, as one reads it who starts at the end.

    An eos stands after each document as before, also after one that had none; the whole is held in memory.
    """
    tokens = np.asarray(corpus.tokens)
    eos = np.array([corpus.eos_index], tokens.dtype)
    parts = []
    for document in np.split(tokens, corpus.starts[1:]):
        ended = len(document) and document[-1] == corpus.eos_index
        parts += [document[: len(document) - bool(ended)][::-1], eos]
    lengths = [len(text) + 1 for text in parts[::2]]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return TokenCorpus(np.concatenate(parts), starts, corpus.eos_index, corpus.num_characters)


def open_tokens(path: Path) -> TokenCorpus:
    """Map what `write_tokens` wrote.

    Raises:
        ModelFileError: missing, cut short, or of another kind.
    """
    try:
        size = path.stat().st_size
        header = np.fromfile(path, np.int64, _HEADER)
    except OSError as error:
        raise ModelFileError(f"{path}: the encoded corpus can't be read: {error.strerror or error}.") from error
    if len(header) < _HEADER or header[0] != _MAGIC:
        raise ModelFileError(f"{path}: not an encoded corpus of recurra. Delete it; it is written anew from the texts.")
    num_tokens, num_starts, eos_index, num_characters = (int(value) for value in header[1:5])
    after = 8 * _HEADER + 4 * num_tokens
    after += -after % 8
    if size != after + 8 * num_starts:
        raise ModelFileError(f"{path}: the encoded corpus is cut short. Delete it; it is written anew from the texts.")
    tokens = np.memmap(path, np.int32, "r", offset=8 * _HEADER, shape=(num_tokens,))
    starts = np.fromfile(path, np.int64, num_starts, offset=after)
    return TokenCorpus(tokens, starts, eos_index, num_characters)


class _Counter:
    """What is learnt on the way while pieces are encoded."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.num_tokens = 0
        self.num_characters = 0
        self._num_ends = 0

    def encode(self, pieces: Iterable[TextPiece], vocabulary: Vocabulary) -> Iterator[np.ndarray]:
        """The tokens of each piece, with eos where a document ends."""
        eos = np.array([vocabulary.eos_index], np.int32)
        for piece in pieces:
            tokens = vocabulary.encode_array(piece.text)
            if piece.starts or not self.num_tokens:
                self.starts.append(self.num_tokens)
            if piece.ends:
                tokens = np.concatenate([tokens, eos])
                self._num_ends += 1
            self.num_tokens += len(tokens)
            self.num_characters += len(piece.text)
            yield tokens.astype(np.int32, copy=False)

    def require_tokens(self) -> None:
        if self.num_tokens == self._num_ends:
            raise DataError("the text holds no tokens: is the file, or the part of it that is used, empty?")
