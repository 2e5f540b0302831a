"""From a reader's probabilities to answers as a person reads them, and what can't be answered as it was marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.data.reading import ReadingExample
from recurra.data.spans import words_within
from recurra.decoding.spans import ScoredSpan, best_spans, most_overlapping

_CANDIDATES = 200
_ALTERNATIVES = 3


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another answer, which shares no word with a better one."""

    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction; `passage[start:end] == text`.

    Attributes:
        text: "" where there is no answer, as are start and end 0.
        start, end: characters of the passage.
        probability: of start and end together; where there is no answer, of that.
        alternatives: other answers, the likeliest first.
        no_answer_score: nats by which "no answer" is likelier than `best`; None for a model that always answers.
        best: the best answer even where there is none.
        question: as asked, for tables.
    """

    text: str
    start: int
    end: int
    probability: float
    alternatives: tuple[Alternative, ...]
    no_answer_score: float | None
    best: str
    question: str


@dataclass(frozen=True, slots=True)
class AnswerChooser:
    """How answers are chosen; see the task's options.

    Attributes:
        max_length: of an answer, in words.
        by_overlap: take the answer of highest expected F1, not the likeliest.
        with_none: whether a passage may hold no answer.
        threshold: nats by which that must be likelier than the best answer.
    """

    max_length: int
    by_overlap: bool
    with_none: bool
    threshold: float

    def choose(self, example: ReadingExample, log_probs: np.ndarray) -> Answer:
        """The answer of log-probabilities (W, 2, 1 + T) of the windows."""
        spans = self._spans(example, log_probs)
        none = float(np.logaddexp.reduce(log_probs[:, :, 0], axis=0).sum()) if self.with_none else -np.inf
        asked = example.source.question
        if not spans:
            return Answer("", 0, 0, float(np.exp(none)), (), 0.0 if self.with_none else None, "", asked)
        best = most_overlapping(spans[:_CANDIDATES]) if self.by_overlap else spans[0]
        score = float(np.clip(none - spans[0].log_prob, -1e6, 1e6)) if self.with_none else None
        answered = score is None or score <= self.threshold
        start, end = _ends(example, best) if answered else (0, 0)
        return Answer(
            text=example.source.passage[start:end],
            start=start,
            end=end,
            probability=float(np.exp(best.log_prob if answered else none)),
            alternatives=_apart(example, spans, best if answered else None),
            no_answer_score=score,
            best=text_of(example, best.first, best.last),
            question=asked,
        )

    def _spans(self, example: ReadingExample, log_probs: np.ndarray) -> list[ScoredSpan]:
        """The likeliest spans of the passage over all windows, the likeliest first."""
        found: dict[tuple[int, int], ScoredSpan] = {}
        for window, (start, end) in zip(example.windows, log_probs, strict=True):
            stop = 1 + len(window.words.indices)
            for span in best_spans(start[1:stop], end[1:stop], self.max_length, _CANDIDATES):
                key = (window.first + span.first, window.first + span.last)
                if key not in found or found[key].log_prob < span.log_prob:
                    found[key] = ScoredSpan(*key, span.log_prob)
        return sorted(found.values(), key=lambda span: -span.log_prob)


def text_of(example: ReadingExample, first: int, last: int) -> str:
    """The piece of the passage from one word to another."""
    return example.source.passage[example.places[first][0] : example.places[last][1]]


def answer_notes(name: str, split: Sequence[ReadingExample], max_length: int) -> list[str]:
    """Sentences on the answers of a split that can't be given as they are marked.

    Args:
        name: of the split.
        split: its questions.
        max_length: of an answer, in words.
    """
    marked = [
        (example, answer, words_within(example.places, answer.start, answer.start + len(answer.text)))
        for example in split
        for answer in example.source.answers or ()
    ]
    notes = []
    cut = [(example, answer) for example, answer, span in marked if span is None or span.cuts]
    if cut:
        example, answer = cut[0]
        notes.append(
            f"{name}: {len(cut):,} of {len(marked):,} answers begin or end within a word and are taken for whole words "
            f"(first: {answer.text[-40:]!r}, {example.source.where})"
        )
    long = sum(span is not None and span.last - span.first >= max_length for *_, span in marked)
    if long:
        notes.append(
            f"{name}: {long:,} of {len(marked):,} answers have more than {max_length} words (task.max_answer_length) "
            "and can't be given whole"
        )
    return notes


def _ends(example: ReadingExample, span: ScoredSpan) -> tuple[int, int]:
    return example.places[span.first][0], example.places[span.last][1]


def _apart(example: ReadingExample, spans: Sequence[ScoredSpan], chosen: ScoredSpan | None) -> tuple[Alternative, ...]:
    """The likeliest answers that share no word with a better one."""
    kept = [] if chosen is None else [chosen]
    others: list[Alternative] = []
    for span in spans:
        if all(span.last < other.first or other.last < span.first for other in kept):
            kept.append(span)
            text = text_of(example, span.first, span.last)
            others.append(Alternative(text, *_ends(example, span), float(np.exp(span.log_prob))))
            if len(others) == _ALTERNATIVES:
                break
    return tuple(others)
