"""Cheap ways to answer questions on stories: none of them can follow who carried what where."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.baselines.classification import classification_baselines

Tokens = tuple[int, ...]
NUM_PLACES = 8
"""How many sentences from the story's end have features of their own."""


class Asked(NamedTuple):
    """A question on a story, in vocabulary indices.

    Attributes:
        story: its sentences.
        question: one sentence.
        target: index of the answer; not looked at where it is to be predicted.
    """

    story: tuple[Tokens, ...]
    question: Tokens
    target: int


def story_baselines(
    train: Sequence[Asked], evaluated: Sequence[Asked], answer_words: Sequence[int | None], vocab_size: int
) -> dict[str, list[int]]:
    """The answers of each baseline.

    They are: the most frequent answer; the most frequent one to a question of the same words; the last word of the
    story that is an answer; the last one of the sentence that has most in common with the question (words weighted by
    rarity, of equals the last); naive Bayes and logistic regression on the words and word pairs of story and question;
    the same regression on words with their place, counted from the story's end.

    Args:
        train: to fit on, at least one.
        evaluated: to answer.
        answer_words: for each answer its word, or None where it is none or several.
        vocab_size: V.
    """
    majority = Counter(row.target for row in train).most_common(1)[0][0]
    found = {"majority": [majority] * len(evaluated)}
    by_question: dict[Tokens, Counter[int]] = defaultdict(Counter)
    for row in train:
        by_question[row.question][row.target] += 1
    found["majority-of-question"] = [
        by_question[row.question].most_common(1)[0][0] if row.question in by_question else majority for row in evaluated
    ]
    rarity = _rarity(train)
    answer_of = {word: index for index, word in enumerate(answer_words) if word is not None}
    found["last-answer-word"] = [_last_answer(row.story, row.question, answer_of, majority) for row in evaluated]
    found["nearest-sentence"] = [
        _last_answer(_nearest(row, rarity), row.question, answer_of, majority) for row in evaluated
    ]
    return found | _linear(train, evaluated, len(answer_words), vocab_size)


def _rarity(train: Sequence[Asked]) -> dict[int, float]:
    """log(1 / share of the distinct sentences that hold a word)."""
    sentences = {sentence for row in train for sentence in row.story}
    counts = Counter(word for sentence in sentences for word in set(sentence))
    return {word: math.log((1 + len(sentences)) / (1 + count)) for word, count in counts.items()}


def _nearest(row: Asked, rarity: dict[int, float]) -> tuple[Tokens, ...]:
    """The sentence that shares most with the question, alone; none where none shares anything."""
    asked = set(row.question)
    scored = [
        (sum(rarity.get(word, 0.0) for word in asked.intersection(sentence)), number)
        for number, sentence in enumerate(row.story)
    ]
    score, number = max(scored, default=(0.0, 0))
    return (row.story[number],) if score > 0 else ()


def _last_answer(story: Sequence[Tokens], question: Tokens, answer_of: dict[int, int], otherwise: int) -> int:
    words = (word for sentence in reversed(story) for word in reversed(sentence))
    return next((answer_of[word] for word in words if word in answer_of and word not in question), otherwise)


def _linear(
    train: Sequence[Asked], evaluated: Sequence[Asked], num_answers: int, vocab_size: int
) -> dict[str, list[int]]:
    targets = np.array([row.target for row in train])
    found = {}
    for suffix, features in (("", _words), ("-by-place", _placed_words)):
        probs = classification_baselines(
            [features(row, vocab_size) for row in train],
            targets,
            [features(row, vocab_size) for row in evaluated],
            num_answers,
        )
        wanted = ("logistic-regression",) if suffix else ("naive-bayes-bigrams", "logistic-regression")
        for name, table in probs.items():
            if name.startswith(wanted):
                found[name.replace("regression", f"regression{suffix}")] = [int(i) for i in table.argmax(1)]
    return found


def _words(row: Asked, vocab_size: int) -> list[int]:
    """The words of the story, then those of the question, which are others."""
    return [word for sentence in row.story for word in sentence] + [word + vocab_size for word in row.question]


def _placed_words(row: Asked, vocab_size: int) -> list[int]:
    """Words of the last sentences, each place with words of its own; the sentences before share theirs."""
    placed = list(row.question)
    for back, sentence in enumerate(reversed(row.story), start=1):
        placed += [word + min(back, NUM_PLACES) * vocab_size for word in sentence]
    return placed
