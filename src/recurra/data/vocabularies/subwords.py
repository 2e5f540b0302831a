"""Vocabularies of parts of words, byte-level BPE and Unigram, by the package `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.core.errors import ConfigError, MissingExtraError
from recurra.data.vocabularies.base import EOS, EOS_INDEX, UNK, UNK_INDEX, VocabularyConfig

_LONGEST = 1000
# A byte-level token never holds a blank, so that no text can give these; they are no added tokens of the tokenizer.
_SPECIAL = ["<unk> ", "<eos> "]


class SubwordVocabulary:
    """Parts of words; 0 is never given (nothing is unknown), 1 is the end of a document.

    Args:
        kind: "bpe" or "unigram".
        tokenizer: the description that the package `tokenizers` reads and writes.
        counts: (size,) occurrences in the training texts.
        lowercase: whether texts are put in lower case first.
    Reference: BPE: Sennrich et al. (2016), https://arxiv.org/abs/1508.07909; Unigram: Kudo (2018),
        https://arxiv.org/abs/1804.10959; over bytes as in GPT-2, Radford et al. (2019).
    """

    unk_index: int | None = UNK_INDEX
    eos_index = EOS_INDEX

    def __init__(
        self, kind: str, tokenizer: Mapping[str, Any], counts: Sequence[int] | np.ndarray, lowercase: bool
    ) -> None:
        self.kind = kind
        self._json = dict(tokenizer)
        self._tokenizer = _tokenizers().Tokenizer.from_str(json.dumps(self._json, ensure_ascii=False))
        self._lowercase = lowercase
        self.counts = np.asarray(counts, dtype=np.int64)

    @classmethod
    def fit(cls, config: VocabularyConfig, texts: Iterable[str]) -> SubwordVocabulary:
        """Train on the texts, which are gone through twice.

        Raises:
            ConfigError: max_size leaves no room for the 256 bytes and the special tokens.
            MissingExtraError: the package is not installed.
        """
        if config.max_size < 256 + len(_SPECIAL):
            raise ConfigError(
                f"vocabulary.max_size={config.max_size}: a {config.kind} vocabulary starts from the 256 bytes and 2 "
                "special tokens. Set 258 or more; some thousands are usual."
            )
        package = _tokenizers()
        tokenizer = package.Tokenizer(package.models.BPE() if config.kind == "bpe" else package.models.Unigram())
        tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = package.decoders.ByteLevel()
        tokenizer.train_from_iterator(_cut(texts, config.lowercase), trainer=_trainer(package, config))
        description = json.loads(tokenizer.to_str())
        description["added_tokens"] = []
        if config.kind == "unigram":
            description["model"]["vocab"] = _in_fixed_order(description["model"]["vocab"])
        vocabulary = cls(config.kind, description, np.zeros(tokenizer.get_vocab_size(), np.int64), config.lowercase)
        for text in texts:
            vocabulary.counts += np.bincount(vocabulary.encode_array(text), minlength=vocabulary.size)
            vocabulary.counts[EOS_INDEX] += 1
        return vocabulary

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SubwordVocabulary:
        """What `to_json` gave."""
        return cls(values["kind"], values["tokenizer"], values["counts"], values["lowercase"])

    @property
    def size(self) -> int:
        """Number of entries, the special ones included."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def encode(self, text: str) -> list[int]:
        """The indices of `text`; no eos is added."""
        indices: list[int] = self._tokenizer.encode(text.lower() if self._lowercase else text).ids
        return indices

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as (T,) int32."""
        return np.array(self.encode(text), dtype=np.int32)

    def decode(self, indices: Sequence[int]) -> str:
        """The text; eos is left out, and bytes that are no UTF-8 become replacement characters."""
        text: str = self._tokenizer.decode([int(index) for index in indices if index > EOS_INDEX])
        return text

    def token(self, index: int) -> str:
        """One entry as a person reads it."""
        return (UNK, EOS)[index] if index < 2 else self.decode([index])

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same vocabulary."""
        return {
            "kind": self.kind,
            "lowercase": self._lowercase,
            "counts": self.counts.tolist(),
            "tokenizer": self._json,
        }


def _trainer(package: Any, config: VocabularyConfig) -> Any:
    shared = {
        "vocab_size": config.max_size,
        "show_progress": False,
        "special_tokens": _SPECIAL,
        "initial_alphabet": sorted(package.pre_tokenizers.ByteLevel.alphabet()),
    }
    if config.kind == "bpe":
        return package.trainers.BpeTrainer(min_frequency=config.min_frequency, **shared)
    return package.trainers.UnigramTrainer(unk_token=_SPECIAL[UNK_INDEX], **shared)


def _in_fixed_order(scores: list[list[Any]]) -> list[list[Any]]:
    """Make what the trainer takes from the order of a hash table the same each time.

    That is the noise in the last digits of the scores, and which score of the row lowest, lowest + 0.0001, ... it gave
    to which of the bytes that it had to add. Without any text the scores are missing.
    """
    head = len(_SPECIAL)
    score_of = {token: round(score or 0.0, 9) for token, score in scores[head:]}
    lowest = min(score_of.values())
    steps = {token: (score - lowest) * 10_000 for token, score in score_of.items() if len(token) == 1}
    added = sorted(token for token, step in steps.items() if step < 256.5 and abs(step - round(step)) < 1e-4)
    score_of.update(zip(added, sorted(score_of[token] for token in added), strict=True))
    ranked = sorted(score_of.items(), key=lambda entry: (-entry[1], entry[0]))
    return [*scores[:head], *([token, score] for token, score in ranked)]


def _cut(texts: Iterable[str], lowercase: bool) -> Iterator[str]:
    """Short parts: the trainers' time grows with the square of the longest run without a blank."""
    for text in texts:
        for line in (text.lower() if lowercase else text).splitlines(keepends=True):
            yield from (line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST))


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "text", "A bpe or unigram vocabulary") from error
    return tokenizers
