"""What every vocabulary offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import Field

from recurra.core.config import Config

UNK_INDEX = 0
EOS_INDEX = 1
UNK, EOS = "<unk>", "<eos>"

Texts: TypeAlias = "Iterable[str] | Callable[[], Iterable[str]]"
"""Training texts; a function that gives them anew each time lets a corpus larger than memory be read twice."""


class VocabularyConfig(Config):
    """What the tokens are, and how many."""

    kind: Literal["char", "byte", "word", "bpe", "unigram"] = Field("word", description="what a token is")
    min_frequency: int = Field(1, ge=1, description="rarer characters or words become the unknown token")
    max_size: int = Field(30_000, ge=3, description="largest number of entries, the special ones included")
    lowercase: bool = Field(False, description="whether texts are put in lower case first")
    pattern: Literal["words", "whitespace", "zero-digits"] = Field(
        "words",
        description="for kind word: words, numbers, single marks; the same with digits read as 0; what blanks part",
    )


class Vocabulary(Protocol):
    """Text <-> vocabulary indices.

    Attributes:
        kind: its name in VOCABULARIES.
        unk_index: index of the unknown token, or None where nothing is unknown.
        eos_index: index of the token that ends a document.
        counts: (size,) int64, how often each entry occurred in the training texts; for eos, how many texts there were.
    """

    kind: str
    unk_index: int | None
    eos_index: int
    counts: np.ndarray

    @property
    def size(self) -> int:
        """Number of entries, the special ones included."""

    def encode(self, text: str) -> list[int]:
        """The indices of `text`; no eos is added."""

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as (T,) int32, without the detour over a list."""

    def decode(self, indices: Sequence[int]) -> str:
        """The text; eos is left out."""

    def token(self, index: int) -> str:
        """One entry as a person reads it, for tables and plots."""

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `vocabulary_from_json` builds the same vocabulary."""


def rank_by_frequency(found: Mapping[str, int], config: VocabularyConfig) -> tuple[list[str], list[int], int]:
    """The entries to keep, the more frequent ones first, equally frequent ones in the order of their characters.

    Returns:
        Entries; their counts; how often anything else occurred.
    """
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    kept = [(entry, count) for entry, count in ranked if count >= config.min_frequency][: config.max_size - 2]
    unknown = sum(found.values()) - sum(count for _, count in kept)
    return [entry for entry, _ in kept], [count for _, count in kept], unknown
