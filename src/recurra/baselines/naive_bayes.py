"""Multinomial naive Bayes over n-grams of token ids, and the share of each class.

Reference: McCallum and Nigam (1998), "A comparison of event models for naive Bayes text classification";
Wang and Manning (2012), https://aclanthology.org/P12-2018: with bigrams it is hard to beat on short texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recurra.baselines.counts import GramCounter, SparseCounts, check_labels, check_targets, held_out
from recurra.core.errors import ConfigError

ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0)


class _Totals(NamedTuple):
    """What was counted in each class: columns (sorted) and how often, kept sparse; and the log share of the class."""

    columns: list[np.ndarray]
    counts: list[np.ndarray]
    log_prior: np.ndarray


def majority(targets: ArrayLike, num_classes: int) -> np.ndarray:
    """Share of each class (C,); its argmax is the answer of one who never looks at the input.

    Raises:
        ShapeError: a target is not in 0..num_classes-1.
        DataError: there are no targets.
    """
    wanted = np.asarray(targets)
    wanted = check_targets(wanted, len(wanted), num_classes)
    return np.bincount(wanted, minlength=num_classes) / len(wanted)


class MultinomialNaiveBayes:
    """Naive Bayes over counts of unigrams up to n-grams; the smoothing is chosen on rows not learnt from.

    Attributes:
        alpha: the chosen pseudo-count of an n-gram in a class; set by `fit`.
    """

    def __init__(self, num_classes: int, order: int = 2, alphas: Sequence[float] = ALPHAS) -> None:
        self.num_classes = num_classes
        self.alpha = float("nan")
        self._alphas = _checked(alphas)
        self._counter = GramCounter(order)
        self._totals = _Totals([], [], np.empty(0))

    def fit(
        self,
        rows: Sequence[ArrayLike],
        targets: ArrayLike,
        valid_rows: Sequence[ArrayLike] = (),
        valid_targets: ArrayLike = (),
    ) -> MultinomialNaiveBayes:
        """Count, and choose alpha by accuracy (ties: by likelihood) on the valid rows.

        Args:
            rows: N sequences of token ids; empty ones count for the prior only.
            targets: (N,) class indices.
            valid_rows: rows to choose alpha on; without them a tenth of `rows` is set aside for that choice.
            valid_targets: (M,) class indices.
        Raises:
            ShapeError: targets that don't fit the rows or num_classes.
            DataError: no rows.
        """
        wanted = check_targets(targets, len(rows), self.num_classes)
        counts = self._counter.fit(rows).count(rows)
        valid = None
        if len(valid_rows):
            valid_wanted = check_targets(valid_targets, len(valid_rows), self.num_classes)
            valid = (self._counter.count(valid_rows), valid_wanted)
        self._totals = _count_classes(counts, wanted, self.num_classes)
        self.alpha = _choose_alpha(counts, wanted, self._totals, self._alphas, valid)
        return self

    def predict_proba(self, rows: Sequence[ArrayLike]) -> np.ndarray:
        """Probabilities (N, C), rows summing to 1; an empty row gets the prior, a class never seen gets 0."""
        return _probs(self._counter.count(rows), self._totals, self.alpha)


class MultiLabelNaiveBayes:
    """One two-class naive Bayes a label, on the same n-gram counts.

    Attributes:
        alphas: the chosen pseudo-count of each label; set by `fit`.
    """

    def __init__(self, num_labels: int, order: int = 2, alphas: Sequence[float] = ALPHAS) -> None:
        self.num_labels = num_labels
        self.alphas: list[float] = []
        self._alphas = _checked(alphas)
        self._counter = GramCounter(order)
        self._totals: list[_Totals] = []

    def fit(
        self,
        rows: Sequence[ArrayLike],
        targets: ArrayLike,
        valid_rows: Sequence[ArrayLike] = (),
        valid_targets: ArrayLike = (),
    ) -> MultiLabelNaiveBayes:
        """As `MultinomialNaiveBayes.fit`, with targets (N, O) of 0 or 1."""
        wanted = check_labels(targets, len(rows), self.num_labels)
        counts = self._counter.fit(rows).count(rows)
        valid_wanted = valid_counts = None
        if len(valid_rows):
            valid_wanted = check_labels(valid_targets, len(valid_rows), self.num_labels)
            valid_counts = self._counter.count(valid_rows)
        self.alphas, self._totals = [], []
        for label in range(self.num_labels):
            valid = None
            if valid_counts is not None and valid_wanted is not None:
                valid = (valid_counts, valid_wanted[:, label].astype(np.int64))
            marked = wanted[:, label].astype(np.int64)
            self._totals.append(_count_classes(counts, marked, 2))
            self.alphas.append(_choose_alpha(counts, marked, self._totals[-1], self._alphas, valid))
        return self

    def predict_proba(self, rows: Sequence[ArrayLike]) -> np.ndarray:
        """Probability of each label (N, O), each within 0..1 for itself."""
        counts = self._counter.count(rows)
        pairs = zip(self._totals, self.alphas, strict=True)
        probs = [_probs(counts, totals, alpha)[:, 1] for totals, alpha in pairs]
        return np.stack(probs, axis=1) if probs else np.zeros((len(rows), 0))


def _checked(alphas: Sequence[float]) -> tuple[float, ...]:
    if not alphas or min(alphas) <= 0:
        raise ConfigError(f"alphas={tuple(alphas)}: wanted at least one pseudo-count above 0.")
    return tuple(alphas)


def _count_classes(counts: SparseCounts, targets: np.ndarray, num_classes: int) -> _Totals:
    columns, totals = [], []
    class_of = targets[counts.rows]
    for index in range(num_classes):
        chosen = class_of == index
        total = np.bincount(counts.columns[chosen], counts.values[chosen], minlength=counts.num_columns)
        columns.append(np.flatnonzero(total))
        totals.append(total[columns[-1]])
    with np.errstate(divide="ignore"):
        log_prior = np.log(np.bincount(targets, minlength=num_classes) / len(targets))
    return _Totals(columns, totals, log_prior)


def _choose_alpha(
    counts: SparseCounts,
    targets: np.ndarray,
    totals: _Totals,
    alphas: tuple[float, ...],
    valid: tuple[SparseCounts, np.ndarray] | None,
) -> float:
    if valid is None:
        kept, tried = held_out(counts.num_rows)
        if not len(tried):
            return alphas[-1]
        valid = (counts.select(tried), targets[tried])
        totals = _count_classes(counts.select(kept), targets[kept], len(totals.columns))
    quality = []
    for alpha in alphas:
        probs = _probs(valid[0], totals, alpha)
        right = probs[np.arange(len(probs)), valid[1]]
        quality.append((float((probs.argmax(axis=1) == valid[1]).mean()), float(np.log(right + 1e-30).mean())))
    return alphas[quality.index(max(quality))]


def _probs(counts: SparseCounts, totals: _Totals, alpha: float) -> np.ndarray:
    """Class probabilities (N, C)."""
    row_sums = np.bincount(counts.rows, counts.values, minlength=counts.num_rows)
    scores = np.empty((counts.num_rows, len(totals.columns)))
    for index, (columns, seen) in enumerate(zip(totals.columns, totals.counts, strict=True)):
        # log p(gram | class) = log(alpha / whole) + log(1 + seen / alpha): only the second part differs by gram
        above = np.zeros(counts.num_columns)
        above[columns] = np.log1p(seen / alpha)
        whole = seen.sum() + alpha * max(counts.num_columns, 1)
        terms = np.bincount(counts.rows, counts.values * above[counts.columns], minlength=counts.num_rows)
        scores[:, index] = terms + row_sums * np.log(alpha / whole) + totals.log_prior[index]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
