"""What a report shows of anomaly detection, and the cheap scores it is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recurra.baselines.anomaly import gaussian_nats, last_value_nats
from recurra.detection.thresholds import ExtremeThresholdConfig
from recurra.metrics import AnomalyMetrics, Scored
from recurra.tasks.anomaly_batches import AnomalyExample
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.anomaly_results import AnomalyResult, mean_of_known
from recurra.tasks.forecast_results import stamp_texts
from recurra.tasks.judging import Judged, mean_figure, pieces

_MOST_SERIES = 40
_MOST_PICTURES = 4
_STRETCH = 100
_SHORT = 64
_LONG = 6400

Distance = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
BASELINES: dict[str, Distance] = {
    "windowed gaussian": lambda values: gaussian_nats(values, _LONG),
    "last 64 values": lambda values: gaussian_nats(values, _SHORT),
    "last value": lambda values: last_value_nats(values, _LONG),
}
"""Name -> one column (T,) -> distance of each value in standard deviations, and -log of its density."""


def baselines(
    config: AnomalyDetectionConfig, train: Sequence[AnomalyExample], evaluated: Sequence[AnomalyExample]
) -> dict[str, dict[str, float]]:
    """Figures of scores that need no network, with thresholds found as the task's from their scores in training."""
    rule = config.threshold if config.threshold.kind in ("evt", "quantile") else ExtremeThresholdConfig()
    figures = {}
    for name, distance in BASELINES.items():
        usual = [
            scores[~one.labels] if one.labels is not None else scores
            for one in train
            for scores in [_scored(one, distance)[0]]
        ]
        threshold = rule.fit(np.concatenate(usual), None).value
        metrics = AnomalyMetrics()
        for one in evaluated:
            scores, nats = (part[one.start :] for part in _scored(one, distance))
            labels = None if one.labels is None else one.labels[one.start :]
            metrics.update([Scored(scores, scores >= threshold, nats)], [labels])
        figures[name] = metrics.compute()
    return figures


def report(
    config: AnomalyDetectionConfig, predictions: Sequence[AnomalyResult], references: Sequence[Any]
) -> dict[str, Any]:
    """Figures by series, pictures of the oddest, and sentences."""
    classes = {}
    if len(predictions) > 1:
        for found, labels in list(zip(predictions, references, strict=True))[:_MOST_SERIES]:
            metrics = AnomalyMetrics()
            metrics.update([found], [labels])
            classes[found.name] = {tag: value for tag, value in metrics.compute().items() if np.isfinite(value)}
    telling = sorted(predictions, key=lambda one: (one.labels is None or not one.labels.any(), -one.flagged.sum()))
    steps = sum(len(one.scores) for one in predictions)
    flagged = sum(int(one.flagged.sum()) for one in predictions)
    thresholds = ", ".join(sorted({f"{one.threshold:.4g}" for one in predictions})[:3])
    sentences = [
        f"{flagged:,} of {steps:,} steps are flagged: a score of at least {thresholds} "
        f"(task.threshold={config.threshold.kind})."
    ]
    if all(labels is None for labels in references):
        sentences.append("No anomalies are labelled: nothing can be said of how many of the flags are right.")
    if config.scoring.rest:
        sentences.append(
            f"Steps within {config.scoring.rest} of an odder one are kept quiet (task.scoring.rest): events and `nab` "
            "say how well the alarms do, figures of single steps and the areas under the curves say little."
        )
    return {
        "classes": classes,
        "pictures": [one.picture() for one in telling[:_MOST_PICTURES]],
        "sentences": sentences,
    }


def judge_series(predictions: Sequence[AnomalyResult], references: Sequence[Any]) -> Judged:
    """Series by the mean nats of a step; stretches of them are drawn by themselves."""
    terms, losses = [], []
    for found in predictions:
        known = ~np.isnan(found.nats)
        sums = np.stack([np.where(known, found.nats, 0.0), known], axis=1)
        terms += [sums[start:end].sum(axis=0) for start, end in pieces(len(sums), (), _STRETCH)]
        losses.append(sums[:, 0].sum() / max(known.sum(), 1))

    def shown(place: int) -> tuple[str, str, str]:
        found, labels = predictions[place], references[place]
        wanted = "" if labels is None else f"{int(labels.sum()):,} of {len(labels):,} steps are odd"
        return found.name, f"{int(found.flagged.sum()):,} of {len(found.flagged):,} steps flagged", wanted

    return Judged(
        predictions=predictions,
        references=references,
        terms=np.array(terms).reshape(-1, 2),
        figure=mean_figure,
        losses=np.array(losses),
        lengths=np.array([len(found.scores) for found in predictions]),
        ids=tuple(f"{one.name} {stamp_texts(one.stamps[:1])[0]}" for one in predictions),
        shown=shown,
        marks={"series": [(found.name,) for found in predictions]},
    )


def _scored(example: AnomalyExample, distance: Distance) -> tuple[np.ndarray, np.ndarray]:
    """(T,) scores d / (1 + d) of the farthest column, and mean nats."""
    filled = np.nan_to_num(example.inputs[:, : example.scaled.shape[1]].astype(np.float64))
    columns = [distance(column) for column in filled.T]
    farthest = np.max([far for far, _ in columns], axis=0)
    return farthest / (1 + farthest), mean_of_known(np.stack([nats for _, nats in columns], axis=-1))
