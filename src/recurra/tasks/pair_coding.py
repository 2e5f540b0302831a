"""Pairs of texts <-> indices: vocabularies of both sides, copied words, batches.

Worked example with copying: the source "call Zoltan now" and the target "Zoltan", where the vocabulary of 50 words
has no "Zoltan": the source is [31, 0, 12, 1] (0 unknown, 1 the end), its indices in the extended vocabulary are
[31, 50, 12, 1], the target is [50]; the decoder reads [1, 0] and is to say [50, 1].
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recurra.core.batch import Batch
from recurra.core.inputs import Pair
from recurra.data import Vocabulary
from recurra.data.collate import pad_tokens
from recurra.data.vocabularies.base import EOS
from recurra.data.vocabularies.words import WordVocabulary, join_words


class PairExample(NamedTuple):
    """One encoded pair.

    Attributes:
        tokens: (S,) source indices, eos at the end.
        target: (T,) indices in the extended target vocabulary, without eos.
        id: the row's.
        source: the text.
        reference: the target's text; None where there is none.
        copies: (S,) indices of the source tokens in the extended target vocabulary; None without copying.
        unknown: the source's words that the target vocabulary does not know, in the order of their indices from V on.
        cut: how many tokens of the source were left out.
        ended: whether the target ends with eos; a drawn one that was cut does not.
    """

    tokens: np.ndarray
    target: np.ndarray
    id: str
    source: str
    reference: str | None
    copies: np.ndarray | None = None
    unknown: tuple[str, ...] = ()
    cut: int = 0
    ended: bool = True


@dataclass(frozen=True, slots=True)
class PairBatch(Batch):
    """A batch that knows its rows: predictions are texts, and copied words are not in the vocabulary."""

    rows: tuple[PairExample, ...] = ()


class PairCoder:
    """Encodes, collates and decodes.

    Args:
        source: vocabulary of the sources.
        target: vocabulary of the targets; the same object where they share one.
        copying: whether unknown words of the source have indices of their own.
        pattern: of a word vocabulary of the targets: "whitespace" joins words by blanks.
        lowercase: whether the target vocabulary's texts are put in lower case first.
    """

    def __init__(
        self, source: Vocabulary, target: Vocabulary, *, copying: bool, pattern: str = "words", lowercase: bool = False
    ) -> None:
        self.source, self.target, self.copying = source, target, copying
        self._pattern, self._lowercase = pattern, lowercase

    def encode(
        self, source: str, target: str | None, id: str, max_source: int, max_target: int | None = None
    ) -> PairExample:
        """One pair; the source is cut to `max_source` tokens, the target to `max_target`."""
        tokens = self.source.encode_array(source)
        cut = max(0, len(tokens) - max_source)
        tokens = np.append(tokens[:max_source], self.source.eos_index).astype(np.int32)
        copies, unknown = self._copies(source, tokens) if self.copying else (None, ())
        wanted = self._target(target or "", unknown)
        wanted = wanted if max_target is None else wanted[:max_target]
        return PairExample(tokens, wanted, id, source, target, copies, unknown, cut)

    def _copies(self, source: str, tokens: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The source in the extended vocabulary, and the words that extend it."""
        unk = self.target.unk_index
        places = np.flatnonzero(tokens[:-1] == unk) if unk is not None else ()
        copies = tokens.copy()
        numbers: dict[str, int] = {}
        if len(places):
            words = self.surface(source)
            for place in places:
                word = sys.intern(words[place])
                copies[place] = self.target.size + numbers.setdefault(word, len(numbers))
        return copies, tuple(numbers)

    def _target(self, text: str, unknown: tuple[str, ...]) -> np.ndarray:
        tokens = self.target.encode_array(text).astype(np.int32)
        places = np.flatnonzero(tokens == self.target.unk_index) if unknown else ()
        if len(places):
            words, numbers = self.surface(text), {word: number for number, word in enumerate(unknown)}
            for place in places:
                if (number := numbers.get(words[place])) is not None:
                    tokens[place] = self.target.size + number
        return tokens

    def surface(self, text: str, vocabulary: Vocabulary | None = None) -> list[str]:
        """The tokens of a text as they are written, those unknown included; by default of the target vocabulary."""
        vocabulary = vocabulary or self.target
        if isinstance(vocabulary, WordVocabulary):
            return vocabulary.split(text)
        if vocabulary.kind == "char":
            return list(text.lower() if self._lowercase else text)
        return [vocabulary.token(index) for index in vocabulary.encode(text)]

    def source_words(self, row: PairExample) -> tuple[str, ...]:
        """What each position of the source stands for, the end included."""
        return (*self.surface(row.source, self.source)[: len(row.tokens) - 1], EOS)

    def words(self, tokens: Sequence[int], row: PairExample) -> list[str]:
        """Target tokens as they are written."""
        size = self.target.size
        return [self.target.token(t) if t < size else row.unknown[t - size] for t in tokens]

    def text(self, tokens: Sequence[int], words: Sequence[str]) -> str:
        """Target tokens as running text.

        Args:
            tokens: extended indices.
            words: of `words`, some of them perhaps replaced.
        """
        unk = self.target.unk_index
        if all(token < self.target.size and token != unk for token in tokens):
            return self.target.decode(tokens)
        if isinstance(self.target, WordVocabulary):
            return " ".join(words) if self._pattern == "whitespace" else join_words(words)
        return "".join(words)

    def collate(self, examples: Sequence[PairExample]) -> PairBatch:
        """Pad; targets shifted by one become the decoder's inputs, copied unknown words as the unknown one."""
        eos, unk, size = self.target.eos_index, self.target.unk_index, self.target.size
        wanted = [np.append(e.target, eos) if e.ended else e.target for e in examples]
        fed = [np.concatenate([[eos], np.where(row[:-1] < size, row[:-1], unk or 0)]) for row in wanted]
        targets = pad_tokens(wanted)
        pair = Pair(
            source=pad_tokens([e.tokens for e in examples]),
            target=pad_tokens(fed),
            copies=pad_tokens([_given(e.copies) for e in examples]).data if self.copying else None,
            num_copies=max((len(e.unknown) for e in examples), default=0),
        )
        return PairBatch(pair, targets.data, tuple(e.id for e in examples), rows=tuple(examples))


def _given(copies: Any) -> Any:
    assert copies is not None, "examples are encoded with copies where the coder copies"
    return copies
