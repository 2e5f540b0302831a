"""What anomaly detection says of a series, from its forecasts to its flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recurra.detection import Scorer, Threshold
from recurra.detection.thresholds import ConstantThreshold, load_threshold
from recurra.metrics import events_of
from recurra.tasks.anomaly_batches import AnomalyExample
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.forecast_results import stamp_texts
from recurra.tasks.pictures import ScorePicture

NOTHING = ConstantThreshold(np.inf)
"""Flags nothing: before the scores of the trained model are known."""


class AnomalyResult(NamedTuple):
    """A scored series; `metrics.Scored` with names, values and dates.

    Attributes:
        scores: (T,) from 0 to 1.
        flagged: (T,) bool.
        nats: (T,) -log density of each step, mean over the columns; NaN where there was no forecast.
        name: of the series.
        columns: (C,) names.
        stamps: (T,) datetime64, or step numbers.
        values: (T, C) as in the file.
        threshold: scores from here on are flagged.
        labels: (T,) bool, or None.
        seen: what its scorer has seen after the last step.
    """

    scores: np.ndarray
    flagged: np.ndarray
    nats: np.ndarray
    name: str
    columns: tuple[str, ...]
    stamps: np.ndarray
    values: np.ndarray
    threshold: float
    labels: np.ndarray | None
    seen: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each step, as JSON values."""
        values = [[None if np.isnan(cell) else cell for cell in row] for row in self.values.tolist()]
        parts = zip(stamp_texts(self.stamps), values, self.scores.tolist(), self.flagged.tolist(), strict=True)
        return [
            {"stamp": stamp, **dict(zip(self.columns, row, strict=True)), "score": score, "flag": int(flag)}
            for stamp, row, score, flag in parts
        ]

    def picture(self) -> ScorePicture:
        """The series, its scores, its flags, and the anomalies that are known."""
        windows = () if self.labels is None else tuple(events_of(self.labels))
        scores = (self.name, self.stamps, self.values, self.scores, min(self.threshold, 1.0), self.flagged, windows)
        return ScorePicture(*scores)


def step_errors(
    config: AnomalyDetectionConfig, means: np.ndarray, nats: np.ndarray, targets: np.ndarray, num_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """How wrong the forecasts of each step were.

    Args:
        config: the options.
        means: (T, C * leads) what was forecast at each step.
        nats: (T, C * leads) -log density of what came.
        targets: (T, C * leads) what came, NaN where nothing did.
        num_columns: C.
    Returns:
        (T, C) errors as scored, of the forecasts made for each step, NaN without any; (T,) nats of the nearest one.
    """
    missing = np.isnan(targets)
    surprise = np.where(missing, np.nan, nats)
    measure = {"signed": targets - means, "absolute": np.abs(targets - means), "surprise": surprise}[
        config.scoring.error
    ]
    leads = config.offsets
    parted = (len(targets), num_columns, len(leads))
    errors = np.stack([_later(measure.reshape(parted)[..., place], lead) for place, lead in enumerate(leads)], -1)
    nearest = _later(surprise.reshape(parted)[..., 0], leads[0])
    return mean_of_known(errors), mean_of_known(nearest)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, NaN left out; NaN of nothing."""
    known = ~np.isnan(values)
    counts = known.sum(axis=-1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(counts, 1), np.nan)


def judge(
    config: AnomalyDetectionConfig,
    example: AnomalyExample,
    columns: tuple[str, ...],
    errors: np.ndarray,
    nats: np.ndarray,
    threshold: Threshold | None,
) -> AnomalyResult:
    """Scores and flags of the steps that count.

    Args:
        config: the options.
        example: the series.
        columns: names of its values.
        errors: (T, C), from `step_errors`.
        nats: (T,).
        threshold: None flags nothing, and keeps no step quiet.
    """
    # a threshold is learnt from all scores, also of steps that are to be kept quiet
    scoring = config.scoring if threshold is not None else config.scoring.model_copy(update={"rest": 0})
    scorer = Scorer(scoring, len(columns))
    if example.history is not None:
        scorer.load_state(example.history)
    scores = scorer(errors, example.scaled)
    part = slice(example.start, None)
    # of its own, as an adaptive threshold learns from what it sees
    own = load_threshold((threshold or NOTHING).state())
    flagged = np.array([own.update(score) for score in scores[part].tolist()], dtype=bool)
    labels = None if example.labels is None else example.labels[part]
    return AnomalyResult(
        scores[part], flagged, nats[part], example.name, columns, example.stamps[part], example.values[part],
        own.value, labels, scorer.state(),
    )  # fmt: skip


def _later(values: np.ndarray, lead: int) -> np.ndarray:
    """(T, ...) moved `lead` steps on: what was said at a step, at the step it was said of."""
    moved = np.full_like(values, np.nan)
    moved[lead:] = values[: max(len(values) - lead, 0)]
    return moved
