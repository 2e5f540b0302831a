"""Metrics of one class of many: accuracy, confusion matrix, precision, recall, F1, ROC-AUC, calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recurra.core.errors import ShapeError


class PerClass(NamedTuple):
    """Figures of each class, (C,) each; 0 where a figure would be 0 / 0."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def accuracy(predictions: ArrayLike, references: ArrayLike) -> float:
    """Share of predictions that equal their reference; NaN where there are none.

    Raises:
        ShapeError: not as many predictions as references.
    """
    given, wanted = _same_length(predictions, references)
    return float((given == wanted).mean()) if len(wanted) else float("nan")


def confusion_matrix(predictions: ArrayLike, references: ArrayLike, num_classes: int) -> np.ndarray:
    """Counts (C, C) of class indices: rows are references, columns predictions.

    Raises:
        ShapeError: not as many predictions as references.
    """
    given, wanted = _same_length(predictions, references)
    flat = wanted.astype(np.int64) * num_classes + given.astype(np.int64)
    counts: np.ndarray = np.bincount(flat, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def precision_recall_f1(confusion: np.ndarray) -> PerClass:
    """Per-class figures from a confusion matrix as `confusion_matrix` gives it."""
    hits = np.diag(confusion)
    return scores_from_counts(hits, confusion.sum(axis=0), confusion.sum(axis=1))


def scores_from_counts(hits: np.ndarray, num_predicted: np.ndarray, num_true: np.ndarray) -> PerClass:
    """Precision, recall and F1 from counts: right ones, predicted ones, true ones."""
    return PerClass(
        _ratio(hits, num_predicted), _ratio(hits, num_true), _ratio(2 * hits, num_predicted + num_true), num_true
    )


def roc_auc(scores: ArrayLike, references: ArrayLike) -> float:
    """Chance that a positive row scores above a negative one, ties counting half; NaN where one class is absent.

    Args:
        scores: (N,), higher means more likely positive.
        references: (N,) 0 or 1.
    Reference: Hanley and McNeil (1982), Radiology 143(1): the Mann-Whitney form.
    """
    values, wanted = _same_length(scores, references)
    positive = wanted.astype(bool)
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if num_positive == 0 or num_negative == 0:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_ranks[inverse][positive].sum()
    return float((rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equally wide bins of confidence; NaN without rows.

    Args:
        confidences: (N,) probability given to the predicted class, 0..1.
        correct: (N,) whether the prediction was right.
        num_bins: bins (0, 1/n], (1/n, 2/n], ...; 0 falls into the first.
    Reference: Guo et al. (2017), section 2, https://arxiv.org/abs/1706.04599.
    """
    values, right = _same_length(confidences, correct)
    if not len(values):
        return float("nan")
    bins = np.clip(np.ceil(values * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, weights=right.astype(np.float64) - values, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(values))


def _same_length(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape:
        raise ShapeError(f"a metric got {a.shape} predictions and {b.shape} references: one reference each is wanted.")
    return a, b


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio = np.zeros(np.shape(part), dtype=np.float64)
    np.divide(part, whole, out=ratio, where=whole != 0)
    return ratio
