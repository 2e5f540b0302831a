"""Whether a difference is more than chance: the paired bootstrap over items, and McNemar's test of right and wrong.

Sources: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13; paired: Koehn (2004),
https://aclanthology.org/W04-3250; McNemar (1947), https://doi.org/10.1007/BF02295996, in its exact form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Figure = Callable[[np.ndarray], np.ndarray]

NUM_DRAWS = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """Where a figure would lie for `LEVEL` of other test sets of the same size and kind."""

    low: float
    high: float


def bootstrap(tables: Sequence[np.ndarray], figure: Figure, *, num_draws: int = NUM_DRAWS, seed: int = 0) -> np.ndarray:
    """(S, R) figures of S systems on R test sets, drawn from the items with replacement; the same items for all.

    Args:
        tables: S tables of terms (M, K) with the same items in the same order.
        figure: sums of terms (..., K) -> (...).
        num_draws: R.
        seed: of the draws.
    """
    num_items = len(tables[0])
    assert all(len(table) == num_items for table in tables), "the systems have answered the same items"
    rng = np.random.default_rng(seed)
    sums = [np.empty((num_draws, table.shape[1])) for table in tables]
    for draw in range(num_draws):
        counts = np.bincount(rng.integers(0, num_items, num_items), minlength=num_items)
        for own, table in zip(sums, tables, strict=True):
            own[draw] = counts @ table
    return np.stack([figure(own) for own in sums])


def interval(drawn: np.ndarray) -> Interval:
    """The middle `LEVEL` of (R,) drawn figures."""
    low, high = np.quantile(drawn[np.isfinite(drawn)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def p_value(differences: np.ndarray) -> float:
    """Two-sided: how likely chance alone would turn the sign of a difference, from its (R,) bootstrap draws."""
    fewer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, (2 * fewer + 1) / (len(differences) + 1))


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p-value that two systems are right equally often.

    Args:
        first, second: (N,) bool, whether each item was answered rightly.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing, fewer = only_first + only_second, min(only_first, only_second)
    if not differing:
        return 1.0
    logs = [
        math.lgamma(differing + 1) - math.lgamma(k + 1) - math.lgamma(differing - k + 1) - differing * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
