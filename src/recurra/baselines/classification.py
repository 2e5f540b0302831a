"""All cheap classifiers at once, by name: what a report sets beside a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recurra.baselines.linear import LogisticRegression, MultiLabelLogisticRegression
from recurra.baselines.naive_bayes import MultiLabelNaiveBayes, MultinomialNaiveBayes, majority

# tokens times outputs that logistic regression learns from: about ten seconds' work on one core
LINEAR_BUDGET = 2_000_000


def classification_baselines(
    rows: Sequence[ArrayLike],
    targets: ArrayLike,
    test_rows: Sequence[ArrayLike],
    num_classes: int,
    valid_rows: Sequence[ArrayLike] = (),
    valid_targets: ArrayLike = (),
) -> dict[str, np.ndarray]:
    """Probabilities (M, C) of the test rows by each baseline: majority, naive Bayes (without and with bigrams), linear.

    Args:
        rows: N training sequences of token ids.
        targets: (N,) class indices; or (N, C) of 0 or 1 if a row may have several labels, each then judged by itself.
        test_rows: M sequences of token ids.
        num_classes: C.
        valid_rows: rows to choose smoothing and penalty on; without them a tenth of `rows` is set aside for that.
        valid_targets: as `targets`.
    Raises:
        ShapeError: targets that don't fit the rows or num_classes.
        DataError: no rows.
    """
    wanted, labels = np.asarray(targets), np.asarray(targets).ndim == 2
    valid = (valid_rows, valid_targets)
    if labels:
        bayes: list[Any] = [MultiLabelNaiveBayes(num_classes, order) for order in (1, 2)]
        prior = wanted.astype(bool).mean(axis=0)
    else:
        bayes = [MultinomialNaiveBayes(num_classes, order) for order in (1, 2)]
        prior = majority(wanted, num_classes)
    chosen = _affordable(rows, num_classes if labels or num_classes > 2 else 1)
    note = "" if len(chosen) == len(rows) else f" ({len(chosen)} of {len(rows)} rows)"
    fewer = [rows[index] for index in chosen]
    model = MultiLabelLogisticRegression(num_classes) if labels else LogisticRegression(num_classes)
    single, pairs = (model.fit(rows, wanted, *valid).predict_proba(test_rows) for model in bayes)
    return {
        "majority": np.tile(prior, (len(test_rows), 1)),
        "naive-bayes": single,
        "naive-bayes-bigrams": pairs,
        f"logistic-regression{note}": model.fit(fewer, wanted[chosen], *valid).predict_proba(test_rows),
    }


def _affordable(rows: Sequence[ArrayLike], num_outputs: int) -> np.ndarray:
    """Sorted indices of a fixed random choice of rows whose tokens stay within the budget; at least one row."""
    order = np.random.default_rng(0).permutation(len(rows))
    lengths = np.array([len(np.asarray(row)) for row in rows])
    whole = np.cumsum(lengths[order]) * num_outputs <= LINEAR_BUDGET
    return np.sort(order[: max(1, int(whole.sum()))])
