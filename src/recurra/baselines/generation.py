"""Cheap competitors of models that write text: copy, look up the most similar, take words of the source."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

# Words; of scripts written without blanks (Han, Hiragana, Katakana) single characters.
_NO_BLANKS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\W_{_NO_BLANKS}]+(?:['\u2019-][^\W_{_NO_BLANKS}]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_TUNED_ON = 500

Scorer = Callable[[str, str], float]
"""(prediction, reference) -> how good it is, more is better."""


class TfIdf:
    """Weights of words by how few of the training texts hold them.

    Args:
        texts: training texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.rows = [Counter(words_of(text)) for text in texts]
        frequencies = Counter(word for row in self.rows for word in row)
        self._idf = {word: math.log((1 + len(texts)) / count) for word, count in frequencies.items()}
        self._unseen = math.log(1 + len(texts))

    def weigh(self, words: Counter[str]) -> dict[str, float]:
        """tf times idf of each word of one text; unseen words weigh as much as words of one text."""
        return {word: count * self._idf.get(word, self._unseen) for word, count in words.items()}


class Retrieval:
    """Gives the target of the training source that is most similar by the cosine of tf-idf vectors.

    Args:
        sources: of the training split.
        targets: one each.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self._tfidf, self._targets = TfIdf(sources), list(targets)
        postings: dict[str, tuple[list[int], list[float]]] = {}
        for number, row in enumerate(self._tfidf.rows):
            weights = self._tfidf.weigh(row)
            norm = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            for word, weight in weights.items():
                rows, values = postings.setdefault(word, ([], []))
                rows.append(number)
                values.append(weight / norm)
        self._postings = {word: (np.array(rows), np.array(values)) for word, (rows, values) in postings.items()}

    def predict(self, sources: Sequence[str]) -> list[str]:
        """A target for each source; of equally similar ones the first."""
        found = []
        for source in sources:
            similarity = np.zeros(len(self._targets))
            for word, weight in self._tfidf.weigh(Counter(words_of(source))).items():
                if word in self._postings:
                    rows, values = self._postings[word]
                    similarity[rows] += weight * values
            found.append(self._targets[int(similarity.argmax())])
        return found


class Extraction:
    """Takes words of the source: its first ones, or the weightiest ones; how many is tuned on the training split.

    Args:
        sources: of the training split, in random order.
        targets: one each.
        score: what the number of words is tuned by.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str], score: Scorer) -> None:
        self._tfidf = TfIdf(sources)
        sources, targets = sources[:_TUNED_ON], targets[:_TUNED_ON]
        mean = sum(len(words_of(target)) for target in targets) / max(1, len(targets))
        counts = sorted({max(1, round(mean * share)) for share in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)})
        self.num_first = _best(counts, lambda n: _mean(score, [first_words(s, n) for s in sources], targets))
        self.num_weighty = _best(counts, lambda n: _mean(score, [self.weighty_words(s, n) for s in sources], targets))

    def weighty_words(self, source: str, count: int) -> str:
        """The `count` words of highest tf-idf, in the order in which they first come."""
        words = words_of(source)
        weights = self._tfidf.weigh(Counter(words))
        kept = set(sorted(weights, key=lambda word: -weights[word])[:count])
        return " ".join(word for word in dict.fromkeys(words) if word in kept)

    def predict(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """By name: first words, tf-idf words, and the first sentence."""
        return {
            "first-words": [first_words(source, self.num_first) for source in sources],
            "lead-sentence": [lead_sentence(source) for source in sources],
            "tfidf-words": [self.weighty_words(source, self.num_weighty) for source in sources],
        }


def words_of(text: str) -> list[str]:
    """Lower-cased words; Chinese and Japanese by characters."""
    return _WORD.findall(text.lower())


def first_words(text: str, count: int) -> str:
    """The first words of a text."""
    return " ".join(words_of(text)[:count])


def lead_sentence(text: str) -> str:
    """The first sentence of a text."""
    return next((part.strip() for part in _SENTENCE_END.split(text) if part.strip()), "")


def _mean(score: Scorer, predictions: Sequence[str], references: Sequence[str]) -> float:
    return sum(map(score, predictions, references)) / max(1, len(references))


def _best(counts: Sequence[int], value: Callable[[int], float]) -> int:
    return max(counts, key=value)
