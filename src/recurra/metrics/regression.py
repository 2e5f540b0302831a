"""Metrics of numbers: mean absolute error, root mean squared error, R²."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recurra.core.errors import ShapeError


def mean_absolute_error(predictions: ArrayLike, references: ArrayLike) -> float:
    """Mean of |prediction - reference|; NaN where there are none.

    Raises:
        ShapeError: not as many predictions as references.
    """
    given, wanted = _pair(predictions, references)
    return float(np.abs(given - wanted).mean()) if given.size else float("nan")


def root_mean_squared_error(predictions: ArrayLike, references: ArrayLike) -> float:
    """Root of the mean of (prediction - reference)²; NaN where there are none; otherwise as above."""
    given, wanted = _pair(predictions, references)
    return float(np.sqrt(np.square(given - wanted).mean())) if given.size else float("nan")


def r_squared(predictions: ArrayLike, references: ArrayLike) -> float:
    """Coefficient of determination of one target: 1 - squared error / squared deviation from the references' mean.

    NaN where the references are all the same, or none; otherwise as above.
    """
    given, wanted = _pair(predictions, references)
    spread = np.square(wanted - wanted.mean()).sum() if wanted.size else 0.0
    return float(1 - np.square(given - wanted).sum() / spread) if spread > 0 else float("nan")


class RegressionMetrics:
    """Collects estimates of one or several numbers a row.

    Args:
        names: of the numbers.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._predictions: list[Any] = []
        self._references: list[Any] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: rows of as many numbers as there are names.
            references: the same.
        """
        for prediction, reference in zip(predictions, references, strict=True):
            self._predictions.append(prediction)
            self._references.append(reference)

    def compute(self) -> dict[str, float]:
        """`mae`, `rmse` and `r2`, means over the numbers; where there are several, those of each ("rmse/height")."""
        shape = (len(self._references), len(self.names))
        given, wanted = np.reshape(self._predictions, shape), np.reshape(self._references, shape)
        each = {
            name: {
                "mae": mean_absolute_error(given[:, place], wanted[:, place]),
                "rmse": root_mean_squared_error(given[:, place], wanted[:, place]),
                "r2": r_squared(given[:, place], wanted[:, place]),
            }
            for place, name in enumerate(self.names)
        }
        figures = {tag: float(np.mean([found[tag] for found in each.values()])) for tag in ("mae", "rmse", "r2")}
        if len(self.names) > 1:
            figures |= {f"{tag}/{name}": value for name, found in each.items() for tag, value in found.items()}
        return figures


def _pair(predictions: ArrayLike, references: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    given, wanted = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)
    if given.shape != wanted.shape:
        raise ShapeError(f"a metric got {given.shape} predictions and {wanted.shape} references: one each is wanted.")
    return given, wanted
