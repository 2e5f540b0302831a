"""Spans by enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.decoding.spans import ScoredSpan, best_spans, most_overlapping


@pytest.mark.parametrize(("size", "max_length", "count"), [(6, 3, 4), (6, 99, 1), (1, 1, 5), (5, 2, 99)])
def test_best_spans_are_those_of_all(size: int, max_length: int, count: int) -> None:
    rng = np.random.default_rng(size)
    start, end = np.log(rng.random(size)), np.log(rng.random(size))
    every = [
        ScoredSpan(first, last, start[first] + end[last])
        for first in range(size)
        for last in range(first, min(size, first + max_length))
    ]
    every.sort(key=lambda span: -span.log_prob)
    found = best_spans(start, end, max_length, count)
    assert [span[:2] for span in found] == [span[:2] for span in every[:count]]
    np.testing.assert_allclose([s.log_prob for s in found], [s.log_prob for s in every[:count]])


def test_impossible_spans_are_left_out() -> None:
    start, end = np.array([-np.inf, 0.0, -np.inf]), np.array([0.0, -np.inf, -1.0])
    assert best_spans(start, end, 3, 9) == [ScoredSpan(1, 2, -1.0)]
    assert best_spans(np.full(3, -np.inf), end, 3, 9) == []
    assert best_spans(np.zeros(0), np.zeros(0), 3, 9) == []


def test_of_equal_spans_the_shorter_and_earlier_is_first() -> None:
    assert best_spans(np.zeros(3), np.zeros(3), 3, 1) == [ScoredSpan(0, 0, 0.0)]


def f1(one: ScoredSpan, other: ScoredSpan) -> float:
    words = [set(range(span.first, span.last + 1)) for span in (one, other)]
    return 2 * len(words[0] & words[1]) / (len(words[0]) + len(words[1]))


def test_most_overlapping_is_of_the_highest_expected_f1() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        firsts = rng.integers(0, 8, 6)
        spans = [ScoredSpan(int(a), int(a + rng.integers(0, 5)), float(np.log(rng.random()))) for a in firsts]
        expected = [sum(np.exp(truth.log_prob) * f1(span, truth) for truth in spans) for span in spans]
        assert most_overlapping(spans) == spans[int(np.argmax(expected))]


def test_a_span_between_two_likely_ones_overlaps_most() -> None:
    inner, outer, far = ScoredSpan(4, 5, -1.0), ScoredSpan(2, 7, -1.1), ScoredSpan(20, 20, -0.9)
    assert most_overlapping([far, inner, outer]) in (inner, outer)
