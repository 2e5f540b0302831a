"""Answers: figures by hand from the definition of SQuAD's scripts, and what they leave open."""

from __future__ import annotations

import random

import pytest

from recurra.metrics import AnswerMetrics, ScoredAnswer, answer_exact_match, answer_f1, normalise_answer


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Eiffel-Tower!", "eiffeltower"),
        ("an apple, a day", "apple day"),
        ("theatre and banana", "theatre and banana"),  # articles are whole words only
        ("a", ""),
        ("“Quoted”", "“quoted”"),  # only ASCII marks go
        ("U.S.", "us"),
        ("\tTHE\nend ", "end"),
    ],
)
def test_normalisation(text: str, wanted: str) -> None:
    assert normalise_answer(text) == wanted


def test_f1_by_hand() -> None:
    # 2 of 3 given words stand in the 4 wanted ones: precision 2/3, recall 1/2, F1 4/7.
    assert answer_f1("big red dog", ["the red dog ran home"]) == pytest.approx(4 / 7)
    # A word counts as often as it stands on both sides: min(2, 1).
    assert answer_f1("red red", ["red"]) == pytest.approx(2 / 3)
    assert answer_f1("big red dog", ["cat", "a big dog", "red"]) == pytest.approx(4 / 5)
    assert answer_exact_match("The Dog.", ["cat", "dog"]) == 1.0
    assert answer_exact_match("dogs", ["dog"]) == 0.0


@pytest.mark.parametrize("level", ["words", "characters"])
def test_no_answer(level: str) -> None:
    for right in ([], [""]):
        assert answer_f1("", right, level) == answer_exact_match("", right, level) == 1.0  # type: ignore[arg-type]
        assert answer_f1("dog", right, level) == answer_exact_match("dog", right, level) == 0.0  # type: ignore[arg-type]
    assert answer_f1("", ["dog"], level) == 0.0  # type: ignore[arg-type]
    assert answer_f1("", ["dog", ""], level) == 0.0  # type: ignore[arg-type]


def test_references_that_normalise_to_nothing_do_not_count() -> None:
    assert answer_f1("dog", ["the", "dog"]) == 1.0
    assert answer_exact_match("", ["the"]) == 1.0


def test_characters() -> None:
    # The longest common run of 北京大学 and 在北京上大学 is 2 of 4 and of 6 characters: 2 * 2 / 10.
    assert answer_f1("北京大学", ["在北京上大学"], "characters") == pytest.approx(0.4)
    assert answer_exact_match("《北京》。", ["北京"], "characters") == 1.0
    # A Latin word is one unit: units 用 python 写 and 用 java 写.
    assert answer_f1("用Python写", ["用java写"], "characters") == pytest.approx(2 / 6)
    assert answer_f1("𠀀𠀁", ["𠀁"], "characters") == pytest.approx(2 / 3)


def test_order_of_words_does_not_matter_by_words_but_does_by_characters() -> None:
    assert answer_f1("dog red", ["red dog"]) == 1.0
    assert answer_f1("学大", ["大学"], "characters") == pytest.approx(0.5)


def test_collector_tells_both_kinds_of_questions_apart() -> None:
    metrics = AnswerMetrics()
    metrics.update(["red dog", ""], [["dog"], ["cat"]])
    assert metrics.compute() == pytest.approx({"exact_match": 0.0, "f1": 1 / 3})
    metrics.update(["", "cow"], [[], []])
    figures = metrics.compute()
    assert figures["f1"] == pytest.approx((2 / 3 + 1) / 4)
    assert figures["f1/answered"] == pytest.approx(1 / 3)
    assert figures["exact_match/no_answer"] == 0.5
    assert "best_f1" not in figures


def test_best_threshold_is_the_best_of_all() -> None:
    rng = random.Random(0)
    rows = [
        (ScoredAnswer("", float(rng.randint(-4, 4)), rng.choice(["dog", "red dog"])), rng.choice([["dog"], []]))
        for _ in range(40)
    ]
    metrics = AnswerMetrics()
    metrics.update([row for row, _ in rows], [wanted for _, wanted in rows])
    figures = metrics.compute()

    def f1_at(threshold: float) -> float:
        texts = ["" if (row.no_answer_score or 0) > threshold else row.best for row, _ in rows]
        return sum(answer_f1(text, wanted) for text, (_, wanted) in zip(texts, rows, strict=True)) / len(rows)

    tried = [f1_at(threshold) for threshold in (-9, *range(-4, 5))]
    assert figures["best_f1"] == pytest.approx(max(tried))
    assert f1_at(figures["best_f1_threshold"]) == pytest.approx(max(tried))
