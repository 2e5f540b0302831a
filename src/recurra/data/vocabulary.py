"""Vocabularies: choose, fit, store and load. They are fitted on the training split and travel with the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recurra.core.errors import DataError, ModelFileError, did_you_mean
from recurra.data.vocabularies.base import Texts, Vocabulary, VocabularyConfig
from recurra.data.vocabularies.characters import ByteVocabulary, CharVocabulary
from recurra.data.vocabularies.subwords import SubwordVocabulary
from recurra.data.vocabularies.words import WordVocabulary

VOCABULARIES: dict[str, Any] = {
    "char": CharVocabulary,
    "byte": ByteVocabulary,
    "word": WordVocabulary,
    "bpe": SubwordVocabulary,
    "unigram": SubwordVocabulary,
}


def fit_vocabulary(config: VocabularyConfig, texts: Texts) -> Vocabulary:
    """Build the vocabulary of the training texts.

    Args:
        config: its kind and size.
        texts: an iterable, or a function that gives one anew at each call. An iterator that can be gone through once
            only is held in memory for bpe and unigram, which need two rounds.
    Raises:
        DataError: the texts hold no token.
        MissingExtraError: bpe or unigram without the package `tokenizers`.
    """
    repeatable: Iterable[str] = _Repeatable(texts) if callable(texts) else texts
    if config.kind in ("bpe", "unigram") and iter(repeatable) is repeatable:
        repeatable = list(repeatable)
    vocabulary: Vocabulary = VOCABULARIES[config.kind].fit(config, repeatable)
    if vocabulary.counts.sum() == vocabulary.counts[vocabulary.eos_index]:
        raise DataError(
            "the training texts hold no token to build a vocabulary from: is the file, or its text column, empty?"
        )
    return vocabulary


def vocabulary_from_json(values: Mapping[str, Any]) -> Vocabulary:
    """Build the vocabulary that `to_json` described.

    Raises:
        ModelFileError: the values describe no vocabulary.
    """
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if kind not in VOCABULARIES:
        raise ModelFileError(f"the vocabulary is of no known kind: {kind!r}.{did_you_mean(str(kind), VOCABULARIES)}")
    try:
        vocabulary: Vocabulary = VOCABULARIES[kind].from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the vocabulary is damaged ({type(error).__name__}: {error}).") from error
    if len(vocabulary.counts) != vocabulary.size:
        raise ModelFileError(
            f"the vocabulary is damaged: {len(vocabulary.counts)} counts for {vocabulary.size} entries."
        )
    return vocabulary


class _Repeatable:
    """A function that gives an iterator, as an iterable."""

    def __init__(self, texts: Any) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts())
