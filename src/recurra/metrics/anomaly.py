"""Anomaly detection: steps and events that were flagged, the order of the scores, how late an event was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recurra.metrics.classification import roc_auc
from recurra.metrics.nab import NabSeries, nab_score


class Scored(NamedTuple):
    """What a detector says of a series.

    Attributes:
        scores: (T,) how odd each step is.
        flagged: (T,) bool.
        nats: (T,) -log density of each step's values, mean over the columns; NaN where there was no forecast.
    """

    scores: np.ndarray
    flagged: np.ndarray
    nats: np.ndarray


class AnomalyMetrics:
    """Collects scored series and their labels, where they have some.

    Args:
        flags: whether steps are flagged yet; False leaves out what says how well.
    """

    def __init__(self, flags: bool = True) -> None:
        self._flags = flags
        self._nats: list[float] = []
        self._steps = 0
        self._flagged = 0
        self._labelled: list[tuple[Scored, np.ndarray]] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `Scored`, or anything with its attributes.
            references: (T,) bool, True on anomalous steps, or None where nobody knows.
        """
        for found, labels in zip(predictions, references, strict=True):
            self._nats += found.nats[~np.isnan(found.nats)].tolist()
            self._steps += len(found.scores)
            self._flagged += int(found.flagged.sum())
            if labels is not None:
                kept = Scored(np.asarray(found.scores), np.asarray(found.flagged, dtype=bool), found.nats)
                self._labelled.append((kept, np.asarray(labels, dtype=bool)))

    def compute(self) -> dict[str, float]:
        """`nats`, share of steps `flagged`; where anomalies are known also `roc_auc`, `pr_auc`, precision, recall and
        F1 of steps and events (`event_f1`), `delay` in steps of the events that were found, and `nab`.
        """
        figures = {"nats": float(np.mean(sorted(self._nats))) if self._nats else float("nan")}
        if self._flags:
            figures["flagged"] = self._flagged / max(self._steps, 1)
        if not any(labels.any() for _, labels in self._labelled):
            return figures
        labels = np.concatenate([labels for _, labels in self._labelled])
        scores = np.concatenate([found.scores for found, _ in self._labelled])
        flagged = np.concatenate([found.flagged for found, _ in self._labelled])
        curves = {"roc_auc": roc_auc(scores, labels.astype(int)), "pr_auc": average_precision(scores, labels)}
        if not self._flags:
            return figures | curves
        hits = int((flagged & labels).sum())
        figures |= _f1("", hits, int(flagged.sum()), hits, int(labels.sum()))
        counts = np.sum([event_counts(found.flagged, wanted) for found, wanted in self._labelled], axis=0)
        figures |= _f1("event_", *(int(count) for count in counts))
        figures |= curves
        delays = [delay for found, wanted in self._labelled for delay in detection_delays(found.flagged, wanted)]
        seen = [delay for delay in delays if delay is not None]
        figures["delay"] = float(np.mean(seen)) if seen else float("nan")
        corpus = [NabSeries(found.flagged.astype(float), events_of(wanted)) for found, wanted in self._labelled]
        figures["nab"] = nab_score(corpus, 1.0, probation=0.0).score
        return figures


def events_of(labels: np.ndarray) -> list[tuple[int, int]]:
    """First and last step of each run of True in (T,) labels."""
    edges = np.diff(np.concatenate([[0], np.asarray(labels, dtype=np.int8), [0]]))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(first), int(end) - 1) for first, end in zip(firsts, ends, strict=True)]


def event_counts(flagged: np.ndarray, labels: np.ndarray) -> tuple[int, int, int, int]:
    """How flagged runs and true events meet.

    Returns:
        Flagged runs that touch an event, flagged runs, events that are touched, events.
    """
    runs, events = events_of(flagged), events_of(labels)
    right = sum(bool(labels[first : last + 1].any()) for first, last in runs)
    found = sum(bool(flagged[first : last + 1].any()) for first, last in events)
    return right, len(runs), found, len(events)


def detection_delays(flagged: np.ndarray, labels: np.ndarray) -> list[int | None]:
    """Steps from the start of each event to its first flag; None for an event that was missed."""
    found = []
    for first, last in events_of(labels):
        steps = np.flatnonzero(flagged[first : last + 1])
        found.append(int(steps[0]) if len(steps) else None)
    return found


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum over its steps; NaN without a positive.

    Args:
        scores: (N,), higher means more likely positive.
        labels: (N,) bool.
    """
    labels = np.asarray(labels, dtype=bool)
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision = hits[last] / (last + 1)
    gained = np.diff(np.concatenate([[0], hits[last]])) / hits[-1]
    return float((precision * gained).sum())


def _f1(prefix: str, right: int, flagged: int, found: int, wanted: int) -> dict[str, float]:
    """Precision right / flagged, recall found / wanted, and their harmonic mean; 0 where there is nothing."""
    precision, recall = right / max(flagged, 1), found / max(wanted, 1)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {f"{prefix}precision": precision, f"{prefix}recall": recall, f"{prefix}f1": f1}
