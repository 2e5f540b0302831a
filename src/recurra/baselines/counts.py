"""Counts of the n-grams in rows of token ids, as sparse arrays; shared by the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recurra.core.errors import ConfigError, DataError, ShapeError


class SparseCounts(NamedTuple):
    """A matrix (num_rows, num_columns) by its entries that are not 0, sorted by row and then column."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    num_rows: int
    num_columns: int

    def select(self, chosen: np.ndarray) -> SparseCounts:
        """The rows whose indices are given (sorted, each once), numbered anew."""
        number = np.full(self.num_rows, -1)
        number[chosen] = np.arange(len(chosen))
        kept = number[self.rows] >= 0
        return SparseCounts(
            number[self.rows[kept]], self.columns[kept], self.values[kept], len(chosen), self.num_columns
        )


class GramCounter:
    """Gives each n-gram of 1..order tokens seen by `fit` a column, and counts them in rows.

    Columns are exact (no hashing): an n-gram is its first n - 1 tokens' column and its last token's.
    """

    def __init__(self, order: int = 2) -> None:
        if order < 1:
            raise ConfigError(f"order={order}: an n-gram has at least 1 token. Set order=1 or more.")
        self.order = order
        self._keys: list[np.ndarray] = []

    @property
    def num_columns(self) -> int:
        """The number of distinct n-grams seen."""
        return sum(len(keys) for keys in self._keys)

    def fit(self, rows: Sequence[ArrayLike]) -> GramCounter:
        """Learn the n-grams of these rows; any earlier ones are forgotten."""
        tokens, row_of = flatten(rows)
        self._keys = [np.unique(tokens)]
        first = ids = find(self._keys[0], tokens)
        for length in range(2, self.order + 1):
            keys = self._joined(ids, first, row_of, length)
            self._keys.append(np.unique(keys[keys >= 0]))
            ids = find(self._keys[-1], keys)
        return self

    def count(self, rows: Sequence[ArrayLike]) -> SparseCounts:
        """Count in each row the n-grams that `fit` saw; others are left out.

        Args:
            rows: N sequences of token ids, of any length, empty ones too.
        """
        tokens, row_of = flatten(rows)
        first = ids = find(self._keys[0], tokens)
        offset, entries = 0, []
        for length in range(1, self.order + 1):
            if length > 1:
                ids = find(self._keys[length - 1], self._joined(ids, first, row_of, length))
            known = ids >= 0
            entries.append(row_of[length - 1 :][known] * self.num_columns + offset + ids[known])
            offset += len(self._keys[length - 1])
        unique, values = np.unique(np.concatenate(entries), return_counts=True)
        row, column = np.divmod(unique, max(self.num_columns, 1))
        return SparseCounts(row, column, values.astype(np.float64), len(rows), self.num_columns)

    def _joined(self, ids: np.ndarray, first: np.ndarray, row_of: np.ndarray, length: int) -> np.ndarray:
        """Keys of the n-grams of `length` tokens, by their last token; -1 across rows or with an unknown part."""
        start, last = ids[:-1], first[length - 1 :]
        whole = (start >= 0) & (last >= 0) & (row_of[: len(last)] == row_of[length - 1 :])
        return np.where(whole, start * len(self._keys[0]) + last, -1)


def flatten(rows: Sequence[ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """All tokens in one array (T,), and the row that each one came from (T,)."""
    parts = [np.asarray(row, dtype=np.int64) for row in rows]
    for index, part in enumerate(parts):
        if part.ndim != 1:
            raise ShapeError(f"row {index} has shape {part.shape}: each row must be one sequence of token ids.")
    tokens = np.concatenate([*parts, np.empty(0, np.int64)])
    return tokens, np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def find(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Index of each key in a sorted table of distinct keys; -1 where it is absent."""
    if not len(table):
        return np.full(len(keys), -1)
    index = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[index] == keys, index, -1)


def check_targets(targets: ArrayLike, num_rows: int, num_classes: int) -> np.ndarray:
    """Class indices (N,) as int64, one a row and each within 0..num_classes-1."""
    wanted = np.asarray(targets)
    if wanted.shape != (num_rows,):
        raise ShapeError(f"`targets` has shape {wanted.shape}: {num_rows} rows need one class index each.")
    if not num_rows:
        raise DataError("no rows to learn from: give at least one labelled row.")
    if wanted.min() < 0 or wanted.max() >= num_classes:
        raise ShapeError(f"`targets` run from {wanted.min()} to {wanted.max()}: wanted 0 to {num_classes - 1}.")
    return wanted.astype(np.int64)


def check_labels(targets: ArrayLike, num_rows: int, num_labels: int) -> np.ndarray:
    """Label marks (N, O) as bool, one row a row."""
    wanted = np.asarray(targets)
    if wanted.shape != (num_rows, num_labels):
        raise ShapeError(f"`targets` has shape {wanted.shape}: wanted ({num_rows}, {num_labels}), 0 or 1 each.")
    if not num_rows:
        raise DataError("no rows to learn from: give at least one labelled row.")
    return wanted.astype(bool)


def held_out(num_rows: int, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Sorted row indices (kept, held out), always the same ones for the same number of rows."""
    order = np.random.default_rng(0).permutation(num_rows)
    cut = int(num_rows * fraction)
    return np.sort(order[cut:]), np.sort(order[:cut])
