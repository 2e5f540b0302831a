"""Scores: worked examples, blocks of any size, and what they can't see."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recurra.core.errors import ShapeError
from recurra.detection import Scorer, ScoringConfig

RNG = np.random.default_rng(0)
ERRORS, VALUES = RNG.normal(0, 1, (300, 2)), RNG.normal(5, 2, (300, 2))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"statistic": "record", "error": "signed", "value_windows": [1, 5]},
    {"long_window": 40, "rest": 7},
    {"statistic": "record", "long_window": 40, "short_windows": [3], "rest": 1},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [1, 64])
def test_blocks_and_a_stored_state_give_the_same_scores(options: dict[str, Any], size: int) -> None:
    config = ScoringConfig(**options)
    wanted = Scorer(config, 2)(ERRORS, VALUES)
    scorer, found = Scorer(config, 2), []
    for start in range(0, len(ERRORS), size):
        found.append(scorer(ERRORS[start : start + size], VALUES[start : start + size]))
        stored = json.loads(json.dumps(scorer.state()))
        scorer = Scorer(config, 2)
        scorer.load_state(stored)
    np.testing.assert_allclose(np.concatenate(found), wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS)
def test_what_comes_later_changes_nothing(options: dict[str, Any]) -> None:
    config = ScoringConfig(**options)
    planted = ERRORS.copy()
    planted[200:] = 1e3
    one, other = Scorer(config, 2)(ERRORS, VALUES), Scorer(config, 2)(planted, VALUES)
    assert np.array_equal(one[:200], other[:200])
    assert other[200] > one[200] and other[200] == other.max()


def test_the_tail_is_the_normal_distribution_of_what_came_before() -> None:
    config = ScoringConfig(short_windows=[1], error="signed")
    errors = ERRORS[:, :1]
    score = Scorer(config, 1)(errors, errors)[250]
    past = errors[:250, 0]
    chance = 2 * stats.norm.sf(abs(errors[250, 0] - past.mean()) / past.std())
    exponent = -np.log10(chance)
    assert score == pytest.approx(exponent / (1 + exponent), rel=1e-9)


def test_far_in_the_tail_scores_still_differ() -> None:
    config = ScoringConfig(short_windows=[1])
    errors = np.abs(ERRORS[:, :1])
    found = []
    for last in (50.0, 60.0):
        errors[-1] = last
        found.append(Scorer(config, 1)(errors, errors)[-1])
    assert 0.9 < found[0] < found[1] < 1


def test_half_is_the_most_extreme_so_far() -> None:
    config = ScoringConfig(statistic="record", error="signed", short_windows=[1], warmup=2)
    errors = np.array([0.0, 4.0, 2.0, 4.0, 8.0, -4.0])[:, None]
    found = Scorer(config, 1)(errors, errors)
    # from the middle 2 and half range 2: 0, 1 and 3 half ranges; then from 4 and half range 4: 2 of them
    np.testing.assert_allclose(found[2:], [0, 1 / 2, 3**8 / (1 + 3**8), 2**8 / (1 + 2**8)])


def test_nothing_is_said_before_the_warmup_and_of_missing_forecasts() -> None:
    errors = ERRORS.copy()
    errors[100:120] = np.nan
    config = ScoringConfig(short_windows=[1], warmup=50)
    found = Scorer(config, 2)(errors, VALUES)
    assert not found[:50].any() and found[60:90].any() and not found[100:120].any()


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"\(n, 3\)"):
        Scorer(ScoringConfig(), 3)(ERRORS, VALUES)
