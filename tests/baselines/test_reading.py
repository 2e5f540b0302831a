"""Cheap readers: the sliding window by enumeration, the linear model on what it can learn."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest

from recurra.baselines.reading import LinearReader, ReadingRow, reading_baselines, sliding_window, span_f1
from recurra.core.errors import DataError

NAMES = ["ann", "bob", "cid", "dan", "eve"]
THINGS = ["ball", "key", "cup", "pen", "hat"]


def rows(number: int, seed: int = 0, none: bool = False) -> list[ReadingRow]:
    """Who has the ...? in three sentences; the linear model can see only where names stand."""
    rng = random.Random(seed)
    found = []
    for _ in range(number):
        names, things = rng.sample(NAMES, 3), rng.sample(THINGS, 3)
        passage = [w for n, t in zip(names, things, strict=True) for w in (n, "has", "the", t, ".")]
        asked = rng.randrange(3)
        missing = none and rng.random() < 0.5
        thing = next(t for t in THINGS if t not in things) if missing else things[asked]
        answers = [] if missing else [(5 * asked, 5 * asked)]
        found.append(ReadingRow(["who", "has", "the", thing], passage, [(0, 4), (5, 9), (10, 14)], answers))
    return found


def predict(linear: LinearReader, shown: list[ReadingRow]) -> list[tuple[int, int] | None]:
    return [linear.span(row, *linear.log_probs(row)) for row in shown]


@pytest.mark.parametrize("piece", [None, 1, 3, 99])
def test_sliding_window_by_enumeration(piece: int | None) -> None:
    rng = random.Random(0)
    for _ in range(40):
        passage = rng.choices("abcdefg", k=12)
        row = ReadingRow(rng.choices("abcxyz", k=rng.randint(1, 3)), passage, [(0, 4), (5, 6), (7, 11)], [])
        counts = Counter(passage)
        length = min(piece or 0, 12)
        spans = row.sentences if piece is None else [(s, s + length - 1) for s in range(12 - length + 1)]

        def score(span: tuple[int, int], row: ReadingRow = row, counts: Counter[str] = counts) -> float:
            reach = len(row.question)
            seen = row.passage[max(0, span[0] - reach) : span[1] + 1 + reach]
            return round(sum(math.log(1 + 1 / counts[word]) for word in seen if word in row.question), 9)

        assert sliding_window(row, piece) == max(spans, key=score)


def test_span_f1() -> None:
    assert span_f1((2, 5), [(0, 1), (4, 9)]) == pytest.approx(2 * 2 / (4 + 6))


def test_linear_model_learns() -> None:
    """By the words around a place it finds the right kind of word, and by the window the right sentence."""
    linear = LinearReader(max_length=4).fit(rows(150))
    found = predict(linear, rows(50, seed=1))
    assert all(span is not None and span[0] == span[1] and span[0] % 5 == 0 for span in found)
    right = [span == row.answers[0] for span, row in zip(found, rows(50, seed=1), strict=True)]
    assert np.mean(right) > 0.6, "chance is 1/3"
    assert predict(linear, rows(50, seed=1)) == found


def test_linear_model_learns_that_there_is_no_answer() -> None:
    linear = LinearReader(max_length=4).fit(rows(200, none=True))
    shown = rows(60, seed=1, none=True)
    right = [(span is None) == (not row.answers) for span, row in zip(predict(linear, shown), shown, strict=True)]
    assert np.mean(right) > 0.8, "chance is 1/2"


def test_all_baselines() -> None:
    found = reading_baselines(rows(60), rows(5, seed=1), 5)
    assert [name.split(" (")[0] for name in found] == [
        "whole-passage",
        "first-sentence",
        "sliding-window",
        "linear",
        "linear, whole sentence",
    ]
    assert found["whole-passage"] == [(0, 14)] * 5 and found["first-sentence"] == [(0, 4)] * 5
    assert all(len(spans) == 5 for spans in found.values())
    with pytest.raises(DataError, match="no questions to learn from"):
        reading_baselines([], [], 5)


def test_rows_without_any_answer_and_words_of_any_length() -> None:
    odd = [ReadingRow([], ["x" * 5000], [(0, 0)], [])] * 3
    assert reading_baselines(odd, odd, 5)["linear"] == [None] * 3
