"""Scales and missing values of whole series."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recurra.core.errors import DataError
from recurra.data.series_coding import SeriesCoding

NAN = np.nan
ROWS = [np.array([[1.0, 10.0], [3.0, 10.0]]), np.array([[NAN, 10.0], [5.0, NAN], [7.0, 10.0]])]


def test_scales_of_the_training_split() -> None:
    coding = SeriesCoding.fit(ROWS, "training", "interpolate")
    np.testing.assert_allclose(coding.mean, [4, 10])
    np.testing.assert_allclose(coding.scale, [5**0.5, 1])
    steps = coding.encode(ROWS[0], "here")
    assert steps.dtype == np.float32 and coding.size == 2
    np.testing.assert_allclose(steps, [[-3 / 5**0.5, 0], [-1 / 5**0.5, 0]], rtol=1e-6)


def test_gaps_are_bridged_and_marked() -> None:
    values = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [4.0, NAN], [NAN, NAN]])
    coding = SeriesCoding("none", "mask", np.array([9.0, 9.0]), np.ones(2))
    wanted = [[2, 1, 0, 1], [2, 1, 1, 0], [3, 1, 0, 0], [4, 1, 1, 0], [4, 1, 0, 0]]
    assert coding.size == 4
    np.testing.assert_array_equal(coding.encode(values, "here"), wanted)
    empty = np.array([[1.0, NAN], [2.0, NAN]])
    np.testing.assert_array_equal(coding.encode(empty, "here")[:, :2], [[1, 9], [2, 9]])


def test_a_series_by_itself() -> None:
    coding = SeriesCoding.fit(ROWS, "series", "interpolate")
    steps = coding.encode(np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]]), "here")
    np.testing.assert_allclose(steps, [[-(1.5**0.5), 0], [0, 0], [1.5**0.5, 0]], atol=1e-6)
    with pytest.raises(DataError, match=r"a\.ts:7: all values of the series are the same \(2\)"):
        coding.encode(np.full((3, 2), 2.0), "a.ts:7")


def test_faults() -> None:
    with pytest.raises(DataError, match="dimension 2 has no value in any training series"):
        SeriesCoding.fit([np.array([[1.0, NAN]])], "training", "interpolate")
    coding = SeriesCoding.fit(ROWS, "training", "interpolate")
    with pytest.raises(DataError, match=r"a\.ts:3: 1 dimensions, and the model was trained on 2"):
        coding.encode(np.ones((3, 1)), "a.ts:3")


def test_it_travels() -> None:
    coding = SeriesCoding.fit(ROWS, "training", "mask")
    again = SeriesCoding.from_json(json.loads(json.dumps(coding.to_json())), "training", "mask")
    np.testing.assert_array_equal(again.encode(ROWS[1], ""), coding.encode(ROWS[1], ""))
