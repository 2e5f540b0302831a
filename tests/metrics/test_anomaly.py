"""Metrics of anomaly detection: scikit-learn, and examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as other

from recurra.metrics import AnomalyMetrics, Scored, average_precision, detection_delays, event_counts, events_of

RNG = np.random.default_rng(2)


def test_steps_and_curves_are_those_of_scikit_learn() -> None:
    labels = RNG.random(500) < 0.1
    scores = np.round(RNG.random(500) + 0.3 * labels, 2)
    collected = AnomalyMetrics()
    for part in np.array_split(np.arange(500), 3):
        collected.update([Scored(scores[part], scores[part] > 0.9, np.ones(len(part)))], [labels[part]])
    figures = collected.compute()
    flagged = scores > 0.9
    assert figures["precision"] == pytest.approx(other.precision_score(labels, flagged))
    assert figures["recall"] == pytest.approx(other.recall_score(labels, flagged))
    assert figures["f1"] == pytest.approx(other.f1_score(labels, flagged))
    assert figures["roc_auc"] == pytest.approx(other.roc_auc_score(labels, scores))
    assert figures["pr_auc"] == pytest.approx(other.average_precision_score(labels, scores))
    assert figures["flagged"] == flagged.mean() and figures["nats"] == 1


def test_events_by_hand() -> None:
    labels = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0, 1], dtype=bool)
    flagged = np.array([1, 0, 1, 1, 1, 0, 0, 0, 1, 1], dtype=bool)
    assert events_of(labels) == [(1, 3), (6, 7), (9, 9)]
    # runs 0, 2-4 and 8-9, of which two touch an event; of three events two are touched, after 1 and 0 steps
    assert event_counts(flagged, labels) == (2, 3, 2, 3)
    assert detection_delays(flagged, labels) == [1, None, 0]
    collected = AnomalyMetrics()
    collected.update([Scored(flagged.astype(float), flagged, np.full(10, np.nan))], [labels])
    figures = collected.compute()
    assert figures["event_precision"] == figures["event_recall"] == figures["event_f1"] == pytest.approx(2 / 3)
    assert figures["delay"] == 0.5 and np.isnan(figures["nats"])


def test_nothing_flagged_and_nothing_labelled() -> None:
    collected = AnomalyMetrics()
    collected.update([Scored(np.zeros(4), np.zeros(4, bool), np.ones(4))], [np.array([0, 1, 0, 0], bool)])
    figures = collected.compute()
    assert figures["f1"] == figures["event_f1"] == 0 and figures["nab"] == 0 and np.isnan(figures["delay"])
    unlabelled = AnomalyMetrics()
    unlabelled.update([Scored(np.zeros(4), np.zeros(4, bool), np.ones(4))], [None])
    assert set(unlabelled.compute()) == {"nats", "flagged"}
    calm = AnomalyMetrics()
    calm.update([Scored(np.ones(4), np.ones(4, bool), np.ones(4))], [np.zeros(4, bool)])
    assert calm.compute() == {"nats": 1, "flagged": 1}
    early = AnomalyMetrics(flags=False)
    early.update([Scored(np.arange(4.0), np.zeros(4, bool), np.ones(4))], [np.array([0, 0, 0, 1], bool)])
    assert early.compute() == {"nats": 1, "roc_auc": 1, "pr_auc": 1}
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, bool)))
