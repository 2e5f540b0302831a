"""Naive Bayes as a layer: against the baseline of the same name, and against counting anew without a text."""

import math
from itertools import pairwise

import pytest
import torch

from recurra.baselines.naive_bayes import MultinomialNaiveBayes
from recurra.core.batch import Batch
from recurra.core.sequences import Sequences, pad
from recurra.layers import NaiveBayes

V = 7
ROWS = [[1, 2, 3, 2, 3], [4, 5], [2, 3, 6], [5, 4, 4, 5], [6], [4, 5, 2]]
TARGETS = [0, 1, 0, 1, 0, 1]


def batch_of(rows: list[list[int]], targets: list[int]) -> Batch:
    return Batch(pad([torch.tensor(row) for row in rows]), torch.tensor(targets))


def counted(rows: list[list[int]], targets: list[int], order: int = 2) -> NaiveBayes:
    layer = NaiveBayes(V, 2, order)
    layer.count([batch_of(rows[:2], targets[:2]), batch_of(rows[2:], targets[2:])])
    return layer


def evidence(layer: NaiveBayes, rows: list[list[int]]) -> torch.Tensor:
    """log p(text | 1) - log p(text | 0), unweighted."""
    scores = layer(batch_of(rows, [0] * len(rows)).inputs) / layer.weight
    return scores[:, 1] - scores[:, 0]


def test_evidence_is_that_of_the_baseline() -> None:
    twice, targets = ROWS * 2, TARGETS * 2  # so that each pair of tokens is there twice and has its place
    layer = counted(twice, targets)
    seen = {gram for row in ROWS for gram in [*row, *pairwise(row)]}
    assert int((layer.counts.sum(1) > 0).sum()) == len(seen)
    baseline = MultinomialNaiveBayes(2, order=2, alphas=[float(layer.pseudo_count)]).fit(twice, targets)
    probs = torch.tensor(baseline.predict_proba(ROWS))
    torch.testing.assert_close(evidence(layer, ROWS).double(), (probs[:, 1] / probs[:, 0]).log(), rtol=1e-4, atol=1e-4)


def test_a_text_left_out_is_a_text_never_counted() -> None:
    rows, targets = [*ROWS, [1, 2, 3, 4, 5, 6]], [*TARGETS, 0]
    layer = counted(rows, targets, order=1)
    texts = layer._read([batch_of(rows, targets)])
    left_out = layer._left_out(texts, 0.3)
    for index in range(len(rows) - 1):
        others = [row for number, row in enumerate(rows) if number != index]
        wanted = [target for number, target in enumerate(targets) if number != index]
        alone = counted(others, wanted, order=1)
        alone.pseudo_count.fill_(0.3)
        alone.weight.fill_(1.0)
        expected = alone(batch_of([rows[index]], [0]).inputs)[0]
        torch.testing.assert_close(left_out[index], expected, rtol=1e-4, atol=1e-4)


def test_says_nothing_before_it_has_counted() -> None:
    layer = NaiveBayes(V, 3, 2)
    assert layer(batch_of(ROWS, TARGETS).inputs).eq(0).all()


def test_padding_and_empty_texts_count_nothing() -> None:
    layer = counted(ROWS, TARGETS)
    alone = torch.cat([layer(batch_of([row], [0]).inputs) for row in ROWS])
    torch.testing.assert_close(layer(batch_of(ROWS, TARGETS).inputs), alone)
    empty = Sequences(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    assert layer(empty).eq(0).all()


def test_pairs_seen_once_have_no_place() -> None:
    layer = counted([[2, 3], [4, 5], [4, 5]], [0, 1, 1])
    assert int((layer.keys >= 0).sum()) == 1


def test_further_texts_are_added() -> None:
    whole = counted(ROWS, TARGETS, order=1)
    parts = NaiveBayes(V, 2, 1)
    parts.count([batch_of(ROWS[:3], TARGETS[:3])])
    parts.count([batch_of(ROWS[3:], TARGETS[3:])])
    torch.testing.assert_close(parts.counts, whole.counts)
    torch.testing.assert_close(parts.texts, whole.texts)


def test_several_labels_are_judged_one_by_one() -> None:
    one = counted(ROWS, TARGETS)
    several = NaiveBayes(V, 1, 2, several=True)
    targets = torch.tensor(TARGETS, dtype=torch.float32)[:, None]
    several.count([Batch(batch_of(ROWS, TARGETS).inputs, targets)])
    assert float(several.pseudo_count) == float(one.pseudo_count)
    found = several(batch_of(ROWS, TARGETS).inputs)[:, 0] / several.weight
    torch.testing.assert_close(found, evidence(one, ROWS))


def test_weight_falls_where_tokens_repeat_each_other() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, targets = [], []
    for _ in range(200):
        target = int(torch.randint(2, (1,), generator=draw))
        sign = target if float(torch.rand(1, generator=draw)) < 0.8 else 1 - target
        rows.append([2 + sign] * 10)
        targets.append(target)
    layer = NaiveBayes(V, 2, 1)
    layer.count([batch_of(rows, targets)])
    odds = float(evidence(layer, [[3] * 10])[0] * layer.weight)
    assert odds == pytest.approx(math.log(0.8 / 0.2), abs=0.5)
