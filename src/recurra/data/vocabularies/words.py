"""Vocabulary whose tokens are words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.data.vocabularies.base import EOS, EOS_INDEX, UNK, UNK_INDEX, VocabularyConfig, rank_by_frequency

# Scripts written without blanks: Han, Hiragana, Katakana; each character is a word of its own.
NO_BLANKS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = rf"[^\W{NO_BLANKS}]"
_PATTERNS = {
    "whitespace": re.compile(r"\n|\S+"),
    "words": re.compile(rf"\n|<unk>|\d+(?:[.,]\d+)*(?![^\W\d{NO_BLANKS}])|{_WORD}+(?:['\u2019]{_WORD}+)*|\S"),
}
_DIGIT = re.compile(r"\d")
_FINDERS: dict[str, Callable[[str], list[str]]] = {
    "whitespace": _PATTERNS["whitespace"].findall,
    "words": _PATTERNS["words"].findall,
    # Lample et al. (2016), section 4.3: the shape of a number counts, not its value.
    "zero-digits": lambda text: _PATTERNS["words"].findall(_DIGIT.sub("0", text)),
}
_CLOSING = set(",.;:!?%)]}\u2019\u201d\u2026\u3002\uff0c\uff01\uff1f\uff1b\uff1a\u3001\uff09\u300b\u300d")
_OPENING = set("([{$#@\u2018\u201c\uff08\u300a\u300c\u00a1\u00bf")
_JOINING = set("-/_=*+<>|\\^~&`'")
_WIDE_MARKS = "\u3001-\u303f\uff01-\uff65"
_IS_WIDE_MARK = re.compile(f"[{_WIDE_MARKS}]")
_IS_NO_BLANKS = re.compile(f"[{NO_BLANKS}{_WIDE_MARKS}]")


class WordVocabulary:
    """Words; 0 is the unknown one, 1 the end of a document. A line end is a token of its own.

    Args:
        words: distinct, the entries from 2 on.
        counts: (2 + number of words,) occurrences in the training texts.
        pattern: "whitespace": whatever stands between blanks; "words": words, numbers, single other characters;
            "zero-digits": the same with every digit read as 0.
        lowercase: whether texts are put in lower case first.
    """

    kind = "word"
    unk_index: int | None = UNK_INDEX
    eos_index = EOS_INDEX

    def __init__(
        self, words: Sequence[str], counts: Sequence[int] | np.ndarray, pattern: str = "words", lowercase: bool = False
    ) -> None:
        self._words = [UNK, EOS, *words]
        self.counts = np.asarray(counts, dtype=np.int64)
        self._indices = {word: index for index, word in enumerate(self._words) if index != EOS_INDEX}
        self._pattern = pattern
        self._lowercase = lowercase
        self._find = _FINDERS[pattern]

    @classmethod
    def fit(cls, config: VocabularyConfig, texts: Iterable[str]) -> WordVocabulary:
        """The words of the texts, the more frequent ones first."""
        find = _FINDERS[config.pattern]
        found: Counter[str] = Counter()
        num_texts = 0
        for text in texts:
            num_texts += 1
            found.update(find(text.lower() if config.lowercase else text))
        already_unknown = found.pop(UNK, 0)
        words, counts, unknown = rank_by_frequency(found, config)
        return cls(words, [unknown + already_unknown, num_texts, *counts], config.pattern, config.lowercase)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WordVocabulary:
        """What `to_json` gave."""
        return cls(values["words"], values["counts"], values["pattern"], values["lowercase"])

    def extended(self, texts: Iterable[str], most: int, min_frequency: int = 2) -> WordVocabulary:
        """The same entries, and after them the most frequent words of new texts that are unknown here.

        Args:
            texts: the new ones.
            most: how many words at most.
            min_frequency: rarer words stay unknown.
        """
        found = Counter(word for text in texts for word in self.split(text) if word not in self._indices)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        taken = [(word, count) for word, count in ranked if count >= min_frequency][:most]
        words = [*self._words[2:], *(word for word, _ in taken)]
        counts = [*self.counts.tolist(), *(count for _, count in taken)]
        return WordVocabulary(words, counts, self._pattern, self._lowercase)

    @property
    def size(self) -> int:
        """Number of entries, the special ones included."""
        return len(self._words)

    def index_of(self, word: str) -> int:
        """The index of a word that is one already, blanks and marks within it included."""
        return self._indices.get(_normal(word, self._lowercase, self._pattern), UNK_INDEX)

    def encode(self, text: str) -> list[int]:
        """The indices of `text`; no eos is added. The word `<unk>` is the unknown one."""
        lookup = self._indices.get
        return [lookup(word, UNK_INDEX) for word in self.split(text)]

    def split(self, text: str) -> list[str]:
        """The words of `text`, those unknown included, in the form in which they are looked up."""
        return self._find(text.lower() if self._lowercase else text)

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as (T,) int32."""
        return np.array(self.encode(text), dtype=np.int32)

    def decode(self, indices: Sequence[int]) -> str:
        """The text, with blanks where they are usual; eos is left out."""
        words = [self._words[index] for index in indices if index != EOS_INDEX]
        return (
            " ".join(words).replace(" \n", "\n").replace("\n ", "\n")
            if self._pattern == "whitespace"
            else join_words(words)
        )

    def token(self, index: int) -> str:
        """One entry as a person reads it."""
        return self._words[index]

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same vocabulary."""
        return {
            "kind": self.kind,
            "pattern": self._pattern,
            "lowercase": self._lowercase,
            "words": self._words[2:],
            "counts": self.counts.tolist(),
        }


def fit_words(config: VocabularyConfig, sentences: Iterable[Sequence[str]]) -> WordVocabulary:
    """The vocabulary of sentences that are cut into words already; `index_of` looks such words up.

    Args:
        config: of kind "word"; of the patterns only "zero-digits" matters, which reads every digit as 0.
        sentences: lists of words.
    """
    found: Counter[str] = Counter()
    num_sentences = 0
    for words in sentences:
        num_sentences += 1
        found.update(words)
    normal: Counter[str] = Counter()
    for word, count in found.items():
        normal[_normal(word, config.lowercase, config.pattern)] += count
    already_unknown = normal.pop(UNK, 0)
    words, counts, unknown = rank_by_frequency(normal, config)
    return WordVocabulary(words, [unknown + already_unknown, num_sentences, *counts], config.pattern, config.lowercase)


def parted_by_blank(word: str, following: str) -> bool:
    """Whether running text has a blank between two words: not between characters of scripts without blanks."""
    return not (_IS_NO_BLANKS.match(word[-1:]) and _IS_NO_BLANKS.match(following[:1]))


def _normal(word: str, lowercase: bool, pattern: str) -> str:
    word = word.lower() if lowercase else word
    return _DIGIT.sub("0", word) if pattern == "zero-digits" else word


def join_words(words: Sequence[str]) -> str:
    """Join words and punctuation marks with blanks where a writer would put them."""
    parts: list[str] = []
    previous = "\n"
    quote_is_open = False
    for word in words:
        tight = word == "\n" or word in _CLOSING or previous == "\n" or previous in _OPENING
        tight = tight or word in _JOINING or previous in _JOINING
        tight = tight or bool(_IS_WIDE_MARK.match(previous[-1:]))
        tight = tight or bool(_IS_NO_BLANKS.match(word[:1]) and _IS_NO_BLANKS.match(previous[-1:]))
        if word == '"':
            tight = tight or quote_is_open
            quote_is_open = not quote_is_open
        elif previous == '"':
            tight = tight or quote_is_open
        elif word == "\n":
            quote_is_open = False
        parts.append(word if tight else f" {word}")
        previous = word
    return "".join(parts)
