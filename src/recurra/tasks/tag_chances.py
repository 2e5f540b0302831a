"""How sure a tagger is of a sentence: of its words' tags, and of the spans that they write."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recurra.data.vocabularies.words import join_words
from recurra.metrics import Span, Tagged, TaggedSpan


class Chances(NamedTuple):
    """Probabilities of a batch's or a sentence's tags: of each one (T, K), of the best one given the best one before
    (T,), and where a tag can't tell that a span ends, of the span going on here (T,)."""

    marginals: np.ndarray
    links: np.ndarray
    goes_on: np.ndarray | None = None

    def row(self, row: int) -> Chances:
        """Those of one sentence."""
        going_on = None if self.goes_on is None else self.goes_on[row]
        return Chances(self.marginals[row], self.links[row], going_on)

    def of_span(self, span: Span, indices: np.ndarray) -> float:
        """That the span stands here, and neither more nor less of it."""
        chance = self.marginals[span.start, indices[span.start]] * self.links[span.start + 1 : span.end].prod()
        if self.goes_on is not None and span.end < len(indices):
            chance *= 1 - self.goes_on[span.end]
        return float(chance)


def readable_span(span: TaggedSpan, prediction: Tagged) -> dict[str, Any]:
    """A span as JSON values, with its text: that of the raw line, or its words put together."""
    row: dict[str, Any] = {"type": span.type, "start": span.start, "end": span.end, "probability": span.probability}
    if prediction.text is None:
        return {"text": join_words(prediction.words[span.start : span.end]).strip(), **row}
    first, last = prediction.offsets[span.start][0], prediction.offsets[span.end - 1][1]
    return {"text": prediction.text[first:last], **row, "first": first, "last": last}
