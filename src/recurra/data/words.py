"""Sentences of words -> what a word encoder reads: word indices, spellings, and the text for a language model.

Raw text is cut into words by `cut_words`; a sentence that is cut already stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.core.inputs import Words
from recurra.data.collate import pad_tokens
from recurra.data.vocabularies.base import UNK_INDEX, Vocabulary, VocabularyConfig
from recurra.data.vocabularies.characters import CharVocabulary
from recurra.data.vocabularies.words import NO_BLANKS, WordVocabulary, fit_words, parted_by_blank

_LETTER = rf"[^\W\d{NO_BLANKS}]"
_CLITIC = r"(?i:n['\u2019]t|['\u2019](?:s|re|ve|ll|d|m))\b"
_WORDS = re.compile(
    r"(?:https?://|www\.)\S*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[@#]\w+"
    rf"|\d+(?:[.,:/-]\d+)*(?:{_LETTER}+)?"
    rf"|{_CLITIC}|(?:(?!{_CLITIC}){_LETTER})+(?:(?!{_CLITIC})['\u2019.-](?=\w)(?:(?!{_CLITIC})[^\W{NO_BLANKS}])+)*|\.{{2,}}|-{{2,}}|[!?]+|\S"
)
_CACHED_SPELLINGS = 200_000


class EncodedWords(NamedTuple):
    """One sentence.

    Attributes:
        words: as they were given.
        indices: (T,) int32, in the word vocabulary.
        text: (L,) int32, in the vocabulary of a pretrained language model, an eos on either side; or None.
        starts: (T,) int64, where in `text` each word's first token stands; or None.
        ends: (T,) int64, where its last token stands; or None.
    """

    words: tuple[str, ...]
    indices: np.ndarray
    text: np.ndarray | None = None
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None


class Lexicon:
    """The vocabularies of words, of their characters and, where there is one, of a language model's text.

    Args:
        words: word vocabulary.
        characters: of their spellings; None leaves spellings out.
        text: of pretrained language models; None leaves the text out.
        max_spelling: longer words are spelt by so many characters, half from each end.
    """

    def __init__(
        self,
        words: WordVocabulary,
        characters: CharVocabulary | None,
        text: Vocabulary | None = None,
        max_spelling: int = 30,
    ) -> None:
        self.words, self.characters, self.text, self.max_spelling = words, characters, text, max_spelling
        self._spelt: dict[str, np.ndarray] = {}

    @classmethod
    def fit(
        cls,
        sentences: Iterable[Sequence[str]],
        words: VocabularyConfig,
        characters: VocabularyConfig | None,
        text: Vocabulary | None = None,
        max_spelling: int = 30,
    ) -> Lexicon:
        """The vocabularies of the training sentences.

        Args:
            sentences: lists of words.
            words: config of the word vocabulary, see `fit_words`.
            characters: config of kind "char", or None.
            text: fitted vocabulary of pretrained language models, or None.
            max_spelling: see the class.
        """
        sentences = list(sentences)
        spelt = (word for sentence in sentences for word in sentence)
        letters = None if characters is None else CharVocabulary.fit(characters, spelt)
        return cls(fit_words(words, sentences), letters, text, max_spelling)

    def encode(self, words: Sequence[str]) -> EncodedWords:
        """One sentence; any number of words."""
        indices = np.fromiter(map(self.words.index_of, words), np.int32, len(words))
        parts = (None, None, None) if self.text is None else self._encode_text(self.text, words)
        return EncodedWords(tuple(words), indices, *parts)

    def pad(self, rows: Sequence[EncodedWords]) -> Words:
        """Sentences -> one batch; each distinct word of it is spelt once."""
        words = pad_tokens([row.indices for row in rows])
        spellings = places = text = starts = ends = None
        if self.characters is not None:
            number: dict[str, int] = {}
            placed = [[number.setdefault(word, len(number)) for word in row.words] for row in rows]
            spellings = pad_tokens([self._spell(word) for word in number] or [np.zeros(0, np.int32)])
            places = pad_tokens(placed).data
        if self.text is not None:
            text = pad_tokens([_known(row.text) for row in rows])
            starts, ends = (pad_tokens([_known(part) for part in parts]).data for parts in _columns(rows))
        return Words(words, spellings, places, text, starts, ends)

    def forget_rare(self, row: EncodedWords, chance: np.ndarray, rng: np.random.Generator) -> EncodedWords:
        """The sentence with some words read as the unknown one, so that training meets it too; spellings stay.

        Args:
            row: the sentence.
            chance: (V,) for each word of the vocabulary, 0..1.
            rng: draws one number a word.
        """
        dropped = rng.random(len(row.indices)) < chance[row.indices]
        return row._replace(indices=np.where(dropped, np.int32(UNK_INDEX), row.indices)) if dropped.any() else row

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same; the language model's vocabulary aside."""
        characters = None if self.characters is None else self.characters.to_json()
        return {"words": self.words.to_json(), "characters": characters, "max_spelling": self.max_spelling}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], text: Vocabulary | None = None) -> Lexicon:
        """What `to_json` gave, and the language model's vocabulary."""
        characters = None if values["characters"] is None else CharVocabulary.from_json(values["characters"])
        return cls(WordVocabulary.from_json(values["words"]), characters, text, int(values["max_spelling"]))

    def _spell(self, word: str) -> np.ndarray:
        found = self._spelt.get(word)
        if found is None:
            assert self.characters is not None
            found = self.characters.encode_array(word)
            if len(found) > self.max_spelling:
                tail = self.max_spelling // 2
                found = np.concatenate([found[: self.max_spelling - tail], found[len(found) - tail :]])
            if len(self._spelt) >= _CACHED_SPELLINGS:
                self._spelt.clear()
            self._spelt[word] = found
        return found

    def _encode_text(self, text: Vocabulary, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The words, with blanks where a writer puts them, as a language model's tokens; where each word stands."""
        eos = np.array([text.eos_index], np.int32)
        blank = text.encode_array(" ")
        parts, starts, ends = [eos], [], []
        length = 1
        for index, word in enumerate(words):
            if index and parted_by_blank(words[index - 1], word):
                parts.append(blank)
                length += len(blank)
            tokens = text.encode_array(word)
            starts.append(length if len(tokens) else length - 1)
            length += len(tokens)
            ends.append(length - 1)
            parts.append(tokens)
        return np.concatenate([*parts, eos]), np.array(starts, np.int64), np.array(ends, np.int64)


def cut_words(text: str, characters: bool = False) -> list[tuple[int, int]]:
    """Where the words of raw text start and end.

    Words, numbers, web and mail addresses, @names and #tags stay whole; English 's, n't and the like are words of their
    own; so is each mark (... and !? together), and each Han or kana character.

    Args:
        text: any text.
        characters: each character that is no blank is a word.
    """
    pattern = re.compile(r"\S") if characters else _WORDS
    return [match.span() for match in pattern.finditer(text)]


def _columns(rows: Sequence[EncodedWords]) -> tuple[list[Any], list[Any]]:
    return [row.starts for row in rows], [row.ends for row in rows]


def _known(part: np.ndarray | None) -> np.ndarray:
    assert part is not None, "encoded with the language model's vocabulary"
    return part
