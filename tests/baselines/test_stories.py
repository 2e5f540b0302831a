"""Cheap answers to questions on stories, on stories whose answers are plain to see."""

from __future__ import annotations

import random

from recurra.baselines.stories import Asked, story_baselines

WENT, MARY, JOHN, WHERE, HOME, PARK, SEA = range(2, 9)
PLACES = [HOME, PARK, SEA]


def told(*moves: tuple[int, int], asked: int, target: int = 0) -> Asked:
    return Asked(tuple((who, WENT, place) for who, place in moves), (WHERE, asked), target)


def rows(count: int) -> list[Asked]:
    """The person asked about is somewhere in the story; John is always at sea."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        moves = [(MARY, draw.choice(PLACES)), (JOHN, SEA)]
        draw.shuffle(moves)
        asked = JOHN if number % 3 == 0 else MARY
        place = dict(moves)[asked]
        found.append(told(*moves, asked=asked, target=PLACES.index(place)))
    return found


def test_each_baseline_answers_in_its_own_way() -> None:
    train = rows(90)
    evaluated = [
        told((MARY, PARK), (JOHN, HOME), asked=MARY),
        told((MARY, PARK), (JOHN, HOME), asked=JOHN),
        Asked((), (WHERE, WENT), 0),
    ]
    found = story_baselines(train, evaluated, [HOME, PARK, SEA], 9)
    assert found["majority"] == [2, 2, 2]
    assert found["majority-of-question"][1:] == [2, 2], "John was always at sea; the third question is new"
    assert found["last-answer-word"] == [0, 0, 2]
    assert found["nearest-sentence"] == [1, 0, 2]
    assert {"naive-bayes-bigrams", "logistic-regression", "logistic-regression-by-place"} <= set(found)
    assert all(len(answers) == 3 for answers in found.values())


def test_answers_of_several_words_are_never_the_word_of_a_sentence() -> None:
    evaluated = [told((MARY, PARK), (JOHN, HOME), asked=MARY)]
    found = story_baselines(rows(30), evaluated, [None, None, SEA], 9)
    assert found["last-answer-word"] == found["nearest-sentence"] == found["majority"]
