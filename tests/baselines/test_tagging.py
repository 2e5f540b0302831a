"""Cheap taggers against what a person finds by looking, and the linear one on a rule of endings."""

from __future__ import annotations

import random

import pytest

from recurra.baselines import tagging
from recurra.baselines.tagging import LinearTagger, most_frequent_tags, span_lookup


def test_most_frequent_tags() -> None:
    sentences = [["the", "run"], ["a", "run"], ["to", "run"], ["Paris"], ["Rome"], ["Oslo"]]
    tags = [["D", "N"], ["D", "N"], ["P", "V"], ["NP"], ["NP"], ["NP"]]
    asked = [["the", "run"], ["The", "THE", "Berlin"], []]
    assert most_frequent_tags(sentences, tags, asked) == [["D", "N"], ["D", "D", "NP"], []]
    assert most_frequent_tags([["a", "a"]], [["X", "Y"]], [["a", "b"]]) == [["X", "X"]]


def test_span_lookup_takes_the_longest_of_one_type() -> None:
    sentences = [["New", "York"], ["New", "York", "Times"], ["Jordan"], ["Jordan"], ["York"]]
    spans = [[("LOC", 0, 2)], [("ORG", 0, 3)], [("PER", 0, 1)], [("LOC", 0, 1)], [("LOC", 0, 1)]]
    asked = [["the", "New", "York", "Times", "of", "York", "Jordan"], ["New", "York"], []]
    found = span_lookup(sentences, spans, asked)
    assert found == [[("ORG", 1, 4), ("LOC", 5, 6)], [("LOC", 0, 2)], []]
    assert span_lookup([["a"]], [[]], [["a"]]) == [[]]


def made_up(num_sentences: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Words end in -ly (ADV) or -ed (VERB); others are NOUN after "the" and X elsewhere."""
    rng = random.Random(seed)
    sentences, tags = [], []
    for _ in range(num_sentences):
        words, own = [], []
        for _ in range(4):
            stem = "".join(rng.choices("bcdfgmnprst", k=4))
            kind = rng.choice(("ADV", "VERB", "NOUN", "X"))
            if kind == "NOUN":
                words.append("the")
                own.append("DET")
            words.append(stem + {"ADV": "ly", "VERB": "ed"}.get(kind, ""))
            own.append(kind)
        sentences.append(words)
        tags.append(own)
    return sentences, tags


def test_the_linear_tagger_learns_endings_and_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences, tags = made_up(300, 0)
    asked, wanted = made_up(60, 1)
    model = LinearTagger().fit(sentences, tags)
    assert model.num_sentences == 300
    given = model.tag(asked)
    right = sum(one == other for a, b in zip(given, wanted, strict=True) for one, other in zip(a, b, strict=True))
    assert right / sum(map(len, wanted)) > 0.97
    assert model.tag([[], ["the"]]) == [[], ["DET"]]
    assert LinearTagger().fit(sentences, tags).tag(asked) == given
    monkeypatch.setattr(tagging, "LINEAR_BUDGET", 500)
    assert LinearTagger().fit(sentences, tags).num_sentences < 30
