"""Figures of tagged sentences: accuracy of the tags, and F1 of the spans that they write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.metrics.classification import scores_from_counts
from recurra.metrics.schemes import Span, spans_of


class TaggedSpan(NamedTuple):
    """A span with the probability that exactly these words are one of its type.

    Attributes:
        type: what it is, "PER".
        start: its first word.
        end: the word after its last one.
        probability: 0..1.
    """

    type: str
    start: int
    end: int
    probability: float


class Tagged(NamedTuple):
    """A tagged sentence.

    Attributes:
        words: of the sentence.
        tags: one a word.
        probabilities: of each word's tag, 0..1.
        spans: that the tags write, with their probabilities; empty where tags are not of spans.
        text: the raw line that the words were cut from, or None.
        offsets: where each word stands in it.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...] = ()
    spans: tuple[TaggedSpan, ...] = ()
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] = ()


class TagMetrics:
    """Collects tagged sentences.

    Args:
        spans: whether the tags write spans, whose strict figures are wanted: a span is right where type, first and
            last word are, as conlleval and seqeval (in its default mode) have it.
    """

    def __init__(self, spans: bool = True) -> None:
        self._spans = spans
        self._right = 0
        self._words = 0
        self._whole = 0
        self._sentences = 0
        self._hits: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `Tagged`, or a list of tags alone.
            references: lists of tags.
        """
        for prediction, wanted in zip(predictions, references, strict=True):
            given = prediction.tags if isinstance(prediction, Tagged) else prediction
            right = sum(one == other for one, other in zip(given, wanted, strict=True))
            self._right += right
            self._words += len(wanted)
            self._whole += right == len(wanted)
            self._sentences += 1
            units = spans_of if self._spans else _each_word
            found, true = units(given), units(wanted)
            self._given.update(unit.type for unit in found)
            self._wanted.update(unit.type for unit in true)
            self._hits.update(unit.type for unit in set(found) & set(true))

    def compute(self) -> dict[str, float]:
        """`accuracy` of words and `sentence_accuracy`; with spans micro `precision`, `recall`, `f1`; else `macro_f1`
        over tags; and precision, recall and F1 of each type or tag ("f1/PER"). NaN where nothing was added."""
        figures = {
            "accuracy": self._right / self._words if self._words else float("nan"),
            "sentence_accuracy": self._whole / self._sentences if self._sentences else float("nan"),
        }
        types, table = self._table()
        if self._spans:
            counts = (np.array([sum(part.values())]) for part in (self._hits, self._given, self._wanted))
            micro = scores_from_counts(*counts)
            figures |= {tag: float(getattr(micro, tag)[0]) for tag in ("precision", "recall", "f1")}
        else:
            figures["macro_f1"] = float(np.mean(table.f1)) if types else float("nan")
        for index, name in enumerate(types):
            figures |= {f"{tag}/{name}": float(getattr(table, tag)[index]) for tag in ("precision", "recall", "f1")}
        return figures

    def by_type(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support (how many there are in truth) of each type or tag."""
        types, table = self._table()
        return {
            name: {tag: float(getattr(table, tag)[index]) for tag in table._fields} for index, name in enumerate(types)
        }

    def _table(self) -> tuple[list[str], Any]:
        types = sorted(self._given.keys() | self._wanted.keys())
        parts = (self._hits, self._given, self._wanted)
        return types, scores_from_counts(*(np.array([part[name] for name in types], dtype=np.int64) for part in parts))


def _each_word(tags: Sequence[str]) -> list[Span]:
    """Each word as a span of its own whose type is its tag."""
    return [Span(tag, index, index + 1) for index, tag in enumerate(tags)]
