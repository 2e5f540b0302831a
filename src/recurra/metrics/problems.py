"""Metrics of generated problems: sums that are solved, answers step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

SOLVED_WITHIN = 0.04
"""A sum counts as solved where it is off by less (Hochreiter and Schmidhuber, 1997, section 5.4)."""


class SumMetrics:
    """Collects estimates of one number a row."""

    def __init__(self) -> None:
        self._errors: list[float] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch of numbers, and those that are right."""
        pairs = zip(predictions, references, strict=True)
        self._errors += [float(prediction) - float(reference) for prediction, reference in pairs]

    def compute(self) -> dict[str, float]:
        """`mse`, `mae`, and `solved`, the share that is off by less than 0.04."""
        errors = np.array(self._errors)
        if not errors.size:
            return dict.fromkeys(("mse", "mae", "solved"), float("nan"))
        apart = np.abs(errors)
        return {
            "mse": float(np.square(errors).mean()),
            "mae": float(apart.mean()),
            "solved": float((apart < SOLVED_WITHIN).mean()),
        }


class StepMetrics:
    """Collects answers to what is asked at the steps of a sequence."""

    def __init__(self) -> None:
        self._right: list[np.ndarray] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: rows of answers, one for each step at which something is asked.
            references: the right ones.
        """
        for prediction, reference in zip(predictions, references, strict=True):
            self._right.append(np.asarray(prediction) == np.asarray(reference))

    def compute(self) -> dict[str, float]:
        """`accuracy`, the share of right answers, and `sequence_accuracy`, that of sequences without a wrong one.

        Sequences in which nothing is asked count nowhere.
        """
        asked = [right for right in self._right if right.size]
        if not asked:
            return {"accuracy": float("nan"), "sequence_accuracy": float("nan")}
        return {
            "accuracy": float(np.concatenate(asked).mean()),
            "sequence_accuracy": float(np.mean([right.all() for right in asked])),
        }
