"""Metrics of labels that do not exclude each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from recurra.core.errors import ShapeError
from recurra.metrics.classification import PerClass, scores_from_counts


def subset_accuracy(predictions: ArrayLike, references: ArrayLike) -> float:
    """Share of rows whose labels are all right; NaN where there are no rows.

    Args:
        predictions: (N, C) bool.
        references: (N, C) bool.
    """
    given, wanted = _indicators(predictions, references)
    return float((given == wanted).all(axis=1).mean()) if len(wanted) else float("nan")


def hamming_loss(predictions: ArrayLike, references: ArrayLike) -> float:
    """Share of single yes/no decisions that are wrong; arguments as `subset_accuracy`."""
    given, wanted = _indicators(predictions, references)
    return float((given != wanted).mean()) if wanted.size else float("nan")


def multilabel_scores(predictions: ArrayLike, references: ArrayLike) -> PerClass:
    """Precision, recall and F1 of each label; arguments as `subset_accuracy`."""
    given, wanted = _indicators(predictions, references)
    return scores_from_counts((given & wanted).sum(axis=0), given.sum(axis=0), wanted.sum(axis=0))


def micro_f1(predictions: ArrayLike, references: ArrayLike) -> float:
    """F1 over all single decisions together; 0 where nothing is predicted and nothing true."""
    given, wanted = _indicators(predictions, references)
    total = int(given.sum() + wanted.sum())
    return 2 * int((given & wanted).sum()) / total if total else 0.0


def _indicators(predictions: ArrayLike, references: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    given, wanted = np.asarray(predictions, dtype=bool), np.asarray(references, dtype=bool)
    if given.shape != wanted.shape or given.ndim != 2:
        raise ShapeError(
            f"a multi-label metric got predictions of shape {given.shape} and references of shape {wanted.shape}: "
            "both must be (rows, labels)."
        )
    return given, wanted
