"""NAB's score: null is 0, perfect is 100, and values worked out from the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from recurra.core.errors import DataError, ShapeError
from recurra.metrics import NAB_PROFILES, NabProfile, NabSeries, best_nab_score, nab_score
from recurra.metrics.nab import alarm_values, probation_rows

STANDARD = NAB_PROFILES["standard"]


def sigmoid(place: float) -> float:
    return 2 / (1 + math.exp(5 * place)) - 1


def series(alarms: list[int], windows: list[tuple[int, int]], rows: int = 200) -> NabSeries:
    scores = np.zeros(rows)
    scores[alarms] = 1
    return NabSeries(scores, windows)


@pytest.mark.parametrize("profile", NAB_PROFILES.values())
def test_null_is_0_and_perfect_is_100(profile: NabProfile) -> None:
    windows = [(50, 69), (120, 159)]
    assert nab_score([series([], windows)], 0.5, profile).score == 0
    assert nab_score([series([50, 120], windows)], 0.5, profile).score == pytest.approx(100)
    assert nab_score([series([50, 51, 69, 120, 159], windows)], 0.5, profile).score == pytest.approx(100)


def test_values_by_hand() -> None:
    windows = [(100, 119)]
    values = alarm_values(200, windows, STANDARD)
    assert values[99] == -0.11 and values[0] == -0.11
    # row 110 has 10 of 20 rows left, itself among them; row 119 one
    assert values[100] == 1
    assert values[110] == pytest.approx(sigmoid(-0.5) / sigmoid(-1))
    assert values[119] == pytest.approx(sigmoid(-1 / 20) / sigmoid(-1))
    # 19 rows behind the window is one width less one
    assert values[138] == pytest.approx(0.11 * sigmoid(1.0))
    assert values[119 + 57] == -0.11 and values[119 + 56] == pytest.approx(0.11 * sigmoid(56 / 19))


def test_a_score_by_hand() -> None:
    # found halfway, one false alarm far off and one on probation, which does not count; the second window is missed
    found = nab_score([series([110, 60, 5], [(100, 119), (170, 189)])], 0.5)
    raw = sigmoid(-0.5) / sigmoid(-1) - 0.11 - 1
    assert found.by_series == (pytest.approx(raw),)
    assert found.score == pytest.approx(100 * (raw + 2) / 4)
    assert (found.missed, found.false_alarms) == (1, 1)


def test_a_published_value() -> None:
    # the benchmark's own figure of the windowed Gaussian on realAWSCloudwatch/elb_request_count_8c0756 (4,032 rows):
    # one alarm on the anomaly's own row, in the middle of the second of two windows of 201 rows
    found = nab_score([series([3682], [(683, 883), (3582, 3782)], 4032)], 0.5)
    assert found.by_series == (pytest.approx(-0.13844919792440225, rel=1e-12),)


def test_probation() -> None:
    assert probation_rows(1000) == 150 and probation_rows(4032) == 604 and probation_rows(22_695) == 750
    early = [series([10], [(5, 20), (100, 119)])]
    assert nab_score(early, 0.5).score == 0
    assert nab_score(early, 0.5, probation=0.0).score > 0


def test_the_best_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    corpus = [
        NabSeries(np.round(rng.random(120), 2), windows)
        for windows in ([(40, 50)], [], [(30, 35), (80, 95)], [(100, 119)])
    ]
    for profile in NAB_PROFILES.values():
        found = best_nab_score(corpus, profile)
        every = [nab_score(corpus, value, profile).score for value in np.append(np.arange(0, 1.01, 0.01), np.inf)]
        assert found.score == pytest.approx(max(every))
        assert nab_score(corpus, found.threshold, profile) == found


def test_no_alarm_may_be_best() -> None:
    rng = np.random.default_rng(0)
    found = best_nab_score([NabSeries(np.where(np.arange(2000) < 1000, 1.0, rng.random(2000)), [(1900, 1902)])])
    assert found.score == 0 and found.threshold == np.inf


def test_the_order_of_series_does_not_matter() -> None:
    corpus = [series([60], [(50, 69)]), series([150, 40], [(100, 119)]), series([31], [])]
    scores = {best_nab_score(list(order)).score for order in itertools.permutations(corpus)}
    assert max(scores) - min(scores) < 1e-9


def test_what_can_not_be_scored() -> None:
    with pytest.raises(DataError, match="no anomaly window"):
        nab_score([series([1], [])], 0.5)
    with pytest.raises(DataError, match="finite"):
        nab_score([NabSeries(np.full(100, np.nan), [(50, 60)])], 0.5)
    for windows in ([(50, 300)], [(50, 60), (55, 70)], [(60, 50)]):
        with pytest.raises(ShapeError, match="in order"):
            nab_score([series([1], windows)], 0.5)
