"""Vocabularies whose tokens are characters or bytes: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.data.vocabularies.base import EOS, EOS_INDEX, UNK, UNK_INDEX, VocabularyConfig, rank_by_frequency

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class CharVocabulary:
    """Characters; 0 is the unknown one, 1 the end of a document.

    Args:
        characters: distinct, the entries from 2 on.
        counts: (2 + number of characters,) occurrences in the training texts.
        lowercase: whether texts are put in lower case first.
    """

    kind = "char"
    unk_index: int | None = UNK_INDEX
    eos_index = EOS_INDEX

    def __init__(self, characters: Sequence[str], counts: Sequence[int] | np.ndarray, lowercase: bool = False) -> None:
        self._characters = [_REPLACEMENT, "", *characters]
        self.counts = np.asarray(counts, dtype=np.int64)
        self._lowercase = lowercase
        codes = np.fromiter(map(ord, characters), dtype=np.int64, count=len(characters))
        self._indices = np.full(int(codes.max(initial=0)) + 2, UNK_INDEX, dtype=np.int32)
        self._indices[codes] = np.arange(2, len(characters) + 2, dtype=np.int32)

    @classmethod
    def fit(cls, config: VocabularyConfig, texts: Iterable[str]) -> CharVocabulary:
        """The characters of the texts, the more frequent ones first."""
        totals = np.zeros(0x110000, dtype=np.int64)
        num_texts = 0
        for text in texts:
            num_texts += 1
            codes, counts = np.unique(_code_points(text.lower() if config.lowercase else text), return_counts=True)
            totals[codes] += counts
        found = {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}
        characters, counts_kept, unknown = rank_by_frequency(found, config)
        return cls(characters, [unknown, num_texts, *counts_kept], config.lowercase)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CharVocabulary:
        """What `to_json` gave."""
        return cls(values["characters"], values["counts"], values["lowercase"])

    @property
    def size(self) -> int:
        """Number of entries, the special ones included."""
        return len(self._characters)

    def encode(self, text: str) -> list[int]:
        """The indices of `text`; no eos is added."""
        indices: list[int] = self.encode_array(text).tolist()
        return indices

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as (T,) int32."""
        codes = _code_points(text.lower() if self._lowercase else text)
        indices: np.ndarray = self._indices[np.minimum(codes, len(self._indices) - 1)]
        return indices

    def decode(self, indices: Sequence[int]) -> str:
        """The text; eos is left out."""
        characters = self._characters
        return "".join([characters[index] for index in indices])

    def token(self, index: int) -> str:
        """One entry as a person reads it."""
        return (UNK, EOS)[index] if index < 2 else self._characters[index]

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same vocabulary."""
        return {
            "kind": self.kind,
            "lowercase": self._lowercase,
            "characters": self._characters[2:],
            "counts": self.counts.tolist(),
        }


class ByteVocabulary:
    """The 256 bytes of UTF-8; 256 is the end of a document. Nothing is unknown.

    Args:
        counts: (257,) occurrences in the training texts.
        lowercase: whether texts are put in lower case first.
    """

    kind = "byte"
    unk_index: int | None = None
    eos_index = 256
    size = 257

    def __init__(self, counts: Sequence[int] | np.ndarray, lowercase: bool = False) -> None:
        self.counts = np.asarray(counts, dtype=np.int64)
        self._lowercase = lowercase

    @classmethod
    def fit(cls, config: VocabularyConfig, texts: Iterable[str]) -> ByteVocabulary:
        """Count the bytes of the texts."""
        vocabulary = cls(np.zeros(cls.size, dtype=np.int64), config.lowercase)
        for text in texts:
            vocabulary.counts += np.bincount(vocabulary.encode_array(text), minlength=cls.size)
            vocabulary.counts[cls.eos_index] += 1
        return vocabulary

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ByteVocabulary:
        """What `to_json` gave."""
        return cls(values["counts"], values["lowercase"])

    def encode(self, text: str) -> list[int]:
        """The indices of `text`; no eos is added."""
        indices: list[int] = self.encode_array(text).tolist()
        return indices

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as (T,) int32."""
        data = (text.lower() if self._lowercase else text).encode("utf-8", errors="replace")
        return np.frombuffer(data, dtype=np.uint8).astype(np.int32)

    def decode(self, indices: Sequence[int]) -> str:
        """The text; eos is left out, and bytes that are no UTF-8 become replacement characters."""
        return bytes(int(index) for index in indices if index < 256).decode("utf-8", errors="replace")

    def token(self, index: int) -> str:
        """One entry as a person reads it."""
        if index == self.eos_index:
            return EOS
        return chr(index) if 32 <= index < 127 or index == 10 else f"0x{index:02x}"

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same vocabulary."""
        return {"kind": self.kind, "lowercase": self._lowercase, "counts": self.counts.tolist()}


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
