"""Metrics of numbers agree with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as other

from recurra.core.errors import ShapeError
from recurra.metrics import RegressionMetrics, mean_absolute_error, r_squared, root_mean_squared_error


def test_as_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    given, wanted = rng.normal(size=(2, 50, 3))
    collector = RegressionMetrics(("a", "b", "c"))
    collector.update(list(given[:20]), list(wanted[:20]))
    collector.update(list(given[20:]), list(wanted[20:]))
    figures = collector.compute()
    assert figures["mae"] == pytest.approx(other.mean_absolute_error(wanted, given))
    assert figures["rmse"] == pytest.approx(other.root_mean_squared_error(wanted, given))
    assert figures["r2"] == pytest.approx(other.r2_score(wanted, given))
    assert figures["rmse/b"] == pytest.approx(other.root_mean_squared_error(wanted[:, 1], given[:, 1]))


def test_borders() -> None:
    assert np.isnan(r_squared([1.0, 2.0], [3.0, 3.0]))
    assert np.isnan(mean_absolute_error([], [])) and np.isnan(root_mean_squared_error([], []))
    one = RegressionMetrics(("age",))
    one.update([[1.0], [2.0]], [[1.0], [4.0]])
    assert one.compute() == pytest.approx({"mae": 1.0, "rmse": 2**0.5, "r2": 1 - 4 / 4.5})
    with pytest.raises(ShapeError, match="one each"):
        mean_absolute_error([1.0], [1.0, 2.0])
