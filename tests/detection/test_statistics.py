"""Windows over columns: against plain loops, and in blocks of any size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.detection import LongMoments, LongRecords, ShortMeans

ROWS = np.random.default_rng(0).normal(3, 2, (60, 2))
ROWS[[0, 7, 8, 30], [0, 1, 0, 1]] = np.nan
MAKERS: list[Any] = [
    lambda: ShortMeans([1, 4, 9], 2),
    lambda: LongRecords(None, 2),
    lambda: LongRecords(11, 2),
    lambda: LongMoments(None, 2),
    lambda: LongMoments(11, 2),
]


def joined(results: list[Any]) -> list[np.ndarray]:
    parts = [result if isinstance(result, tuple) else (result,) for result in results]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [1, 7, 59])
def test_blocks_give_what_one_block_gives(make: Any, size: int) -> None:
    whole, parts = make(), make()
    wanted = joined([whole(ROWS)])
    found = []
    for start in range(0, len(ROWS), size):
        found.append(parts(ROWS[start : start + size]))
        stored = json.loads(json.dumps(parts.state()))
        parts = make()
        parts.load_state(stored)
    for one, other in zip(joined(found), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("length", [None, 11])
def test_against_loops(length: int | None) -> None:
    high, low = LongRecords(length, 2)(ROWS)
    mean, spread = LongMoments(length, 2)(ROWS)
    for row in range(len(ROWS)):
        for column in range(2):
            past = ROWS[0 if length is None else max(0, row - length) : row, column]
            past = past[~np.isnan(past)]
            found = [part[row, column] for part in (high, low, mean, spread)]
            if not len(past):
                assert np.isnan(found).all()
                continue
            np.testing.assert_allclose(found, [past.max(), past.min(), past.mean(), past.std()], rtol=1e-9, atol=1e-9)


def test_short_means_against_loops() -> None:
    means = ShortMeans([1, 4], 2)(ROWS)
    for row in range(len(ROWS)):
        assert np.array_equal(means[row, :2], ROWS[row], equal_nan=True)
        last = ROWS[max(0, row - 3) : row + 1]
        wanted = [np.mean(column[~np.isnan(column)]) if (~np.isnan(column)).any() else np.nan for column in last.T]
        np.testing.assert_allclose(means[row, 2:], wanted)


def test_moments_lose_no_digits_on_large_values() -> None:
    rows = 1e8 + np.random.default_rng(1).normal(0, 1, (500, 1))
    _, spread = LongMoments(None, 1)(rows)
    assert spread[-1, 0] == pytest.approx(rows[:-1].std(), rel=1e-6)
