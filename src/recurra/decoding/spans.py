"""From the probabilities of where a span starts and ends to spans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ScoredSpan(NamedTuple):
    """Words of a passage.

    Attributes:
        first, last: indices of its words, both included.
        log_prob: of its start and of its end together, in nats.
    """

    first: int
    last: int
    log_prob: float


def best_spans(start: np.ndarray, end: np.ndarray, max_length: int, count: int) -> list[ScoredSpan]:
    """The likeliest spans, the likeliest first; of equally likely ones the shorter, then the earlier.

    Args:
        start: (T,) log-probabilities of the first word; -inf where none can start.
        end: (T,) of the last word.
        max_length: of a span, in words.
        count: how many at most.
    """
    size = len(start)
    depth = min(max_length, size)
    if not depth:
        return []
    scores = np.full((depth, size), -np.inf)
    for more in range(depth):
        scores[more, : size - more] = start[: size - more] + end[more:]
    flat = scores.ravel()
    if len(flat) > count:
        smallest = np.partition(flat, len(flat) - count)[len(flat) - count]
        chosen = np.flatnonzero(flat >= smallest)
    else:
        chosen = np.arange(len(flat))
    chosen = chosen[np.isfinite(flat[chosen])]
    ranked = chosen[np.argsort(-flat[chosen], kind="stable")][:count]
    mores, firsts = np.divmod(ranked, size)
    return [
        ScoredSpan(int(first), int(first + more), float(flat[place]))
        for first, more, place in zip(firsts, mores, ranked, strict=True)
    ]


def most_overlapping(spans: list[ScoredSpan]) -> ScoredSpan:
    """The span whose expected F1 (of places) against the truth is highest, were the truth one of `spans`.

    The decision of least expected loss (Kumar and Byrne, 2004, https://aclanthology.org/N04-1022, section 2), for
    answers whose borders people draw differently.

    Args:
        spans: at least one.
    """
    firsts = np.array([span.first for span in spans])
    lasts = np.array([span.last for span in spans])
    log_probs = np.array([span.log_prob for span in spans])
    probs = np.exp(log_probs - log_probs.max())
    lengths = lasts - firsts + 1
    shared = np.minimum(lasts[:, None], lasts) - np.maximum(firsts[:, None], firsts) + 1
    f1 = 2 * np.maximum(shared, 0) / (lengths[:, None] + lengths)
    return spans[int(np.argmax(f1 @ probs))]
