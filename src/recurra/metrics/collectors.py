"""Collectors of classifications: batches in, figures out, by report tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.metrics import classification as single
from recurra.metrics import multilabel as multi


class Classified(NamedTuple):
    """A prediction with its probabilities.

    Attributes:
        label: the most likely class.
        probs: (C,) probabilities in the order of the labels.
    """

    label: str
    probs: Sequence[float]


class MultiClassified(NamedTuple):
    """A multi-label prediction with its probabilities.

    Attributes:
        labels: the labels that hold.
        probs: (C,) probabilities in the order of the labels.
    """

    labels: tuple[str, ...]
    probs: Sequence[float]


class ClassificationMetrics:
    """Collects predictions of one class of many.

    Args:
        labels: class names in the order of the probabilities; of two, the second is the positive one.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._predictions: list[int] = []
        self._references: list[int] = []
        self._probs: list[Sequence[float]] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `Classified`, or a class name alone.
            references: class names.
        """
        for prediction, reference in zip(predictions, references, strict=True):
            scored = isinstance(prediction, Classified)
            self._predictions.append(self._index[prediction.label if scored else prediction])
            self._references.append(self._index[reference])
            if scored:
                self._probs.append(prediction.probs)

    def confusion(self) -> np.ndarray:
        """(C, C) counts: rows are references, columns predictions."""
        return single.confusion_matrix(self._predictions, self._references, len(self.labels))

    def compute(self) -> dict[str, float]:
        """Accuracy, macro and weighted figures, those of each class ("f1/spam"), and where probabilities came with
        all predictions `ece` and, for two classes, `roc_auc`."""
        scores = single.precision_recall_f1(self.confusion())
        figures = {"accuracy": single.accuracy(self._predictions, self._references)}
        figures |= _averages(scores, self.confusion().sum(axis=0)) | _each(scores, self.labels)
        if self._probs and len(self._probs) == len(self._references):
            probs = np.asarray(self._probs, dtype=np.float64)
            right = np.equal(self._predictions, self._references)
            chosen = probs[np.arange(len(probs)), self._predictions]
            figures["ece"] = single.expected_calibration_error(chosen, right)
            if len(self.labels) == 2:
                figures["roc_auc"] = single.roc_auc(probs[:, 1], self._references)
        return figures


class MultiLabelMetrics:
    """Collects predictions of labels that do not exclude each other.

    Args:
        labels: label names in the order of the probabilities.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._predictions: list[np.ndarray] = []
        self._references: list[np.ndarray] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `MultiClassified`, or the label names alone.
            references: label names of each row; none is allowed.
        """
        for prediction, reference in zip(predictions, references, strict=True):
            given = prediction.labels if isinstance(prediction, MultiClassified) else prediction
            self._predictions.append(self._indicator(given))
            self._references.append(self._indicator(reference))

    def compute(self) -> dict[str, float]:
        """`accuracy` (all labels of a row right), `hamming_loss`, `micro_f1`, macro and weighted figures, and those of
        each label ("f1/urgent")."""
        shape = (len(self._references), len(self.labels))
        given, wanted = np.reshape(self._predictions, shape), np.reshape(self._references, shape)
        scores = multi.multilabel_scores(given, wanted)
        figures = {
            "accuracy": multi.subset_accuracy(given, wanted),
            "hamming_loss": multi.hamming_loss(given, wanted),
            "micro_f1": multi.micro_f1(given, wanted),
        }
        return figures | _averages(scores, given.astype(bool).sum(axis=0)) | _each(scores, self.labels)

    def _indicator(self, names: Iterable[str]) -> np.ndarray:
        indicator = np.zeros(len(self.labels), dtype=bool)
        indicator[[self._index[name] for name in names]] = True
        return indicator


def _averages(scores: single.PerClass, num_predicted: np.ndarray) -> dict[str, float]:
    """Macro (over classes that occur at all) and weighted (by true rows) means."""
    occurs = (scores.support + num_predicted) > 0
    figures = {}
    for name in ("precision", "recall", "f1"):
        values = getattr(scores, name)
        figures[f"macro_{name}"] = float(values[occurs].mean()) if occurs.any() else float("nan")
        total = scores.support.sum()
        figures[f"weighted_{name}"] = float((values * scores.support).sum() / total) if total else float("nan")
    return figures


def _each(scores: single.PerClass, labels: Sequence[str]) -> dict[str, float]:
    return {
        f"{name}/{label}": float(getattr(scores, name)[index])
        for index, label in enumerate(labels)
        for name in ("precision", "recall", "f1")
    }
