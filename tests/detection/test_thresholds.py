"""Thresholds against scipy, brute force, and themselves step by step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from recurra.core.errors import DataError
from recurra.detection import PeaksOverThreshold, QuantileThreshold, best_f1_threshold, fit_pareto
from recurra.detection.thresholds import (
    ExtremeThresholdConfig,
    FixedThresholdConfig,
    LabelledThresholdConfig,
    QuantileThresholdConfig,
    load_threshold,
)

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.25, 0.7])
def test_pareto_is_as_likely_as_that_of_scipy(shape: float) -> None:
    excesses = stats.genpareto.rvs(shape, scale=3.0, size=400, random_state=5)
    own = fit_pareto(excesses)
    theirs, _, scale = stats.genpareto.fit(excesses, floc=0)
    likely = stats.genpareto.logpdf(excesses, own.shape, scale=own.scale).sum()
    assert likely >= stats.genpareto.logpdf(excesses, theirs, scale=scale).sum() - 1e-3
    assert own.shape == pytest.approx(shape, abs=0.15)
    assert own.exceeded(0.01) == pytest.approx(stats.genpareto.isf(0.01, own.shape, scale=own.scale), rel=1e-6)


def test_pareto_of_one_excess_and_of_equal_ones() -> None:
    for excesses in (np.array([2.0]), np.full(20, 2.0)):
        found = fit_pareto(excesses)
        assert np.isfinite(found).all() and found.scale > 0


def scores_of(odds: np.ndarray) -> np.ndarray:
    return odds / (1 + odds)


def test_extreme_values_extrapolate_a_known_tail() -> None:
    scores = scores_of(RNG.exponential(size=20_000))
    threshold = PeaksOverThreshold(1e-5, 0.98, scores)
    assert threshold.value / (1 - threshold.value) == pytest.approx(-np.log(1e-5), rel=0.15)


def test_a_power_is_taken_off_before_the_tail_is_looked_at() -> None:
    odds = RNG.exponential(size=2000)
    plain, raised = (PeaksOverThreshold(1e-4, 0.98, scores_of(odds**power), power) for power in (1.0, 8.0))
    known = [found.value / (1 - found.value) for found in (plain, raised)]
    assert known[1] == pytest.approx(known[0] ** 8, rel=1e-6)


def test_few_peaks_do_not_end_the_tail() -> None:
    excesses = np.linspace(0.5, 1.0, 12)
    assert fit_pareto(excesses).shape < 0
    scores = scores_of(np.concatenate([np.full(100, 0.1), 0.1 + excesses]))
    threshold = PeaksOverThreshold(1e-4, 0.9, scores).value
    start = PeaksOverThreshold(1e-4, 0.9, scores).state()["start"]
    peaks = scores / (1 - scores) - start
    peaks = peaks[peaks > 0]
    wanted = start - peaks.mean() * np.log(1e-4 * 112 / len(peaks))
    assert threshold == pytest.approx(wanted / (1 + wanted), rel=1e-9)


def test_thresholds_step_by_step_are_those_of_all_scores_at_once() -> None:
    scores = scores_of(RNG.exponential(size=3000))
    quantile = QuantileThreshold(0.01, scores[:2000])
    calm = [score for score in scores[2000:] if not quantile.update(score)]
    assert 900 < len(calm) < 1000
    assert quantile.value == QuantileThreshold(0.01, np.concatenate([scores[:2000], calm])).value
    peaks = PeaksOverThreshold(1e-4, 0.98, scores[:2000])
    calm = [score for score in scores[2000:] if not peaks.update(score)]
    level = peaks.state()["start"]
    odds = np.concatenate([scores[:2000], calm])
    odds = odds / (1 - odds)
    tail = fit_pareto(odds[odds > level] - level)
    assert tail.shape > 0
    wanted = level + tail.exceeded(1e-4 * len(odds) / (odds > level).sum())
    assert peaks.value == pytest.approx(wanted / (1 + wanted), rel=1e-9)


def test_a_share_of_the_scores_is_flagged() -> None:
    scores = RNG.permutation(np.arange(1000) / 1000)
    assert (scores >= QuantileThreshold(0.01, scores).value).sum() == 10


def test_flagged_scores_teach_nothing() -> None:
    for threshold in (
        QuantileThreshold(0.01, np.arange(500) / 1000),
        PeaksOverThreshold(1e-3, 0.9, np.arange(500) / 1000),
    ):
        before = threshold.value
        assert threshold.update(0.999) and threshold.value == before


@pytest.mark.parametrize("scores", [np.zeros(300), np.full(5, 0.5), np.array([0.3])])
def test_scores_that_do_not_vary_are_not_flagged(scores: np.ndarray) -> None:
    for config in (QuantileThresholdConfig(), ExtremeThresholdConfig()):
        assert not (scores >= config.fit(scores, None).value).any()


def test_thresholds_travel_as_json() -> None:
    scores = scores_of(RNG.exponential(size=300))
    for config in (
        QuantileThresholdConfig(adaptive=True),
        ExtremeThresholdConfig(adaptive=True),
        FixedThresholdConfig(value=0.4),
    ):
        fitted = config.fit(scores, None)
        again = load_threshold(json.loads(json.dumps(fitted.state())))
        assert again.value == pytest.approx(fitted.value, rel=1e-12)
        assert [again.update(score) for score in scores] == [fitted.update(score) for score in scores]


def test_best_f1_of_steps_is_that_of_all_thresholds() -> None:
    scores, labels = RNG.random(200), RNG.random(200) < 0.2
    scores[labels] += 0.3
    found = best_f1_threshold(scores, labels, "steps")
    every = {value: f1_score(labels, scores >= value) for value in scores}
    assert every[found] == pytest.approx(max(every.values()))


def test_best_f1_of_events_counts_an_event_once() -> None:
    labels = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0])
    scores = np.array([0.1, 0.2, 0.9, 0.3, 0.4, 0.1, 0.6, 0.2, 0.5])
    # at 0.6 both events are found without a false alarm
    assert best_f1_threshold(scores, labels, "events") == 0.6
    with pytest.raises(DataError, match=r"--data\.label_column"):
        LabelledThresholdConfig().fit(scores, np.zeros(9))
