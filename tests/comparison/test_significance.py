"""Bootstrap and McNemar: scipy's tests, the normal distribution, and pairs that share their luck."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recurra.comparison import bootstrap, interval, mcnemar, p_value
from recurra.tasks.judging import f1_figure, mean_figure, mean_terms


def test_intervals_of_a_mean_are_those_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = interval(bootstrap([mean_terms(values)], mean_figure)[0])
    expected = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_draws_are_the_same_for_all_systems() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 10, 300)
    better = values + 0.2 + rng.normal(0, 0.1, 300)
    drawn = bootstrap([mean_terms(values), mean_terms(better), mean_terms(values)], mean_figure, num_draws=500)
    assert (drawn[0] == drawn[2]).all()
    assert p_value(drawn[1] - drawn[0]) < 0.01, "a small gain that all items share is more than chance"
    assert p_value(drawn[2] - drawn[0]) == 1.0
    unpaired = bootstrap([mean_terms(better)], mean_figure, num_draws=500, seed=5)[0] - drawn[0]
    assert p_value(unpaired) > 0.2


def test_figures_of_several_sums() -> None:
    terms = np.array([[1.0, 2, 1], [0, 1, 2], [3, 3, 3]])
    drawn = bootstrap([terms], f1_figure, num_draws=200)[0]
    assert float(f1_figure(terms.sum(axis=0))) == pytest.approx(8 / 12)
    assert drawn.min() >= 0 and drawn.max() == 1.0, "draws of the third item alone are without fault"


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 9), (40, 41), (900, 700), (6000, 6300)])
def test_mcnemar_is_a_sign_test_of_what_differs(only_first: int, only_second: int) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True, False] * 5)
    second = np.array([False] * only_first + [True] * only_second + [True, False] * 5)
    total = only_first + only_second
    expected = stats.binomtest(only_first, total).pvalue if total else 1.0
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(expected, rel=1e-6)
