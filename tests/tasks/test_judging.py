"""Items of an evaluation: figures from sums, pieces, and which answers are the worst."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.metrics import RegressionMetrics, SummaryMetrics, TagMetrics, TranslationMetrics
from recurra.tasks.judging import Judged, f1_figure, mean_figure, mean_terms, nats_of, pieces, pooled, rmse_figure

TEXTS = ["a dog runs over the wide green field", "two dogs", "", "the cat sleeps on a red mat in the sun"]
REFERENCES = ["a dog runs over a wide field today", "two dogs", "nothing", "a cat sleeps on the red mat in the sun"]


def judged(losses: list[float], alike: list[int] | None = None) -> Judged:
    return Judged(
        predictions=losses,
        references=losses,
        terms=mean_terms(losses),
        figure=mean_figure,
        losses=np.array(losses),
        lengths=np.ones(len(losses)),
        ids=tuple(map(str, losses)),
        shown=lambda place: (f"item {place}", "", ""),
        alike=None if alike is None else np.array(alike),
    )


def test_the_worst_come_first_and_of_those_alike_one() -> None:
    losses = [0.5, 3.0, 2.9, 0.0, 1.0]
    assert [shown[0] for _, shown in judged(losses).worst(3)] == ["item 1", "item 2", "item 4"]
    found = judged(losses, [7, 2, 2, 5, 7]).worst(9)
    assert [(loss, shown[0]) for loss, shown in found] == [(3.0, "item 1"), (1.0, "item 4")]
    assert judged([1.0]).worst(5) == [], "of one item none is the worst"


def test_translations_and_summaries_have_their_scores_from_sums() -> None:
    for metrics, tag in ((TranslationMetrics(True), "bleu"), (SummaryMetrics(), "rouge_l")):
        metrics.update(TEXTS, REFERENCES)
        terms, alone = metrics.terms(TEXTS, REFERENCES)
        assert float(metrics.figure(terms.sum(axis=0))) == pytest.approx(metrics.compute()[tag])
        assert alone[1] == 1.0 and alone[2] == 0.0 and alone.min() >= 0
        draws = np.stack([terms[[0, 0, 3]].sum(axis=0), terms[[1, 3]].sum(axis=0)])
        fresh = type(metrics)()
        fresh.update([TEXTS[1], TEXTS[3]], [REFERENCES[1], REFERENCES[3]])
        assert metrics.figure(draws)[1] == pytest.approx(fresh.compute()[tag])


def test_errors_of_several_numbers() -> None:
    given, wanted = np.random.default_rng(0).normal(size=(2, 30, 3))
    metrics = RegressionMetrics(["a", "b", "c"])
    metrics.update(list(given), list(wanted))
    terms = np.concatenate([np.square(given - wanted), np.ones((30, 1))], axis=1)
    assert float(rmse_figure(terms.sum(axis=0))) == pytest.approx(metrics.compute()["rmse"])


def test_spans_and_nothing_at_all() -> None:
    metrics = TagMetrics()
    metrics.update([["B-X", "O"], ["O", "B-Y"]], [["B-X", "O"], ["B-Y", "B-Y"]])
    assert float(f1_figure(np.array([2.0, 2, 3]))) == pytest.approx(metrics.compute()["f1"])
    assert f1_figure(np.zeros(3)) == 0 and np.isnan(mean_figure(np.zeros(2)))
    assert np.isfinite(nats_of([0.0, 1.0])).all()


def test_pieces_cover_everything_once() -> None:
    cut = pieces(1000, [10, 10, 500], 200)
    assert cut[0] == (0, 10) and [start for start, _ in cut[1:]] == [end for _, end in cut[:-1]] and cut[-1][1] == 1000
    assert max(end - start for start, end in cut) <= 200 and {10, 500} <= {start for start, _ in cut}
    assert pieces(0, [], 5) == []


def test_units_are_summed() -> None:
    sums = pooled(np.array([[1.0, 1], [2, 1], [4, 1]]), np.array([5, 3, 5]))
    assert sums.tolist() == [[2.0, 1], [5, 2]]
