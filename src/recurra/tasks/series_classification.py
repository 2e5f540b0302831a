"""Classification of whole series: one of several classes for each.

Worked example: a series of 12 dimensions and 20 steps with the label "7" becomes steps (20, 12) and the target 6, the
index of "7" among the labels; the model gives logits (9,), the loss is -log softmax(logits)[6]. With mixing, the target
is a row of shares such as 0.8 of class 6 and 0.2 of class 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from recurra.baselines.series import series_classification_baselines
from recurra.core.batch import Batch, InputKind, LossSum, Metrics, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.data import Labels, Splits, fit_labels, smoothed_shares
from recurra.data.collate import SeriesExample
from recurra.data.series_coding import SeriesCoding
from recurra.metrics import ClassificationMetrics, Classified
from recurra.tasks.base import Preparation, Prepared
from recurra.tasks.figures import class_tables, figures_of
from recurra.tasks.judging import Judged, judge_labels
from recurra.tasks.whole_series import (
    FittedSeries,
    WholeSeries,
    WholeSeriesConfig,
    agreed,
    each_member,
    read_splits,
)


class SeriesClassificationConfig(WholeSeriesConfig):
    """Options of the classification of series."""

    kind: Literal["series-classification"] = "series-classification"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: rare classes count more")


class SeriesClassification(WholeSeries):
    """The task over fitted scales and labels."""

    Config: ClassVar[type[Config]] = SeriesClassificationConfig
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("accuracy", "max")

    def __init__(
        self, config: SeriesClassificationConfig, fitted: FittedSeries, labels: Labels, frequencies: np.ndarray
    ) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            fitted: scales and columns.
            labels: class names.
            frequencies: (O,) how often each label occurs in the training split.
        """
        self.config, self.fitted, self.labels = config, fitted, labels
        self.frequencies = np.asarray(frequencies, dtype=np.float64)
        share = smoothed_shares(self.frequencies)
        self.spec = TaskSpec(
            input_kind=InputKind.VECTORS,
            input_size=fitted.coding.size,
            output_size=len(labels),
            resolution=Resolution.SEQUENCE,
            output_prior=tuple(share.tolist()),
        )
        balanced = config.class_weights == "balanced"
        self._weights = torch.tensor(1 / (share * len(labels)), dtype=torch.float32) if balanced else None
        self._smoothing = config.label_smoothing

    @classmethod
    def prepare(cls, config: SeriesClassificationConfig, given: Preparation) -> Prepared:
        """Read the series, hold parts out, fit labels and scales on the training part, encode."""
        rows, whole = read_splits(given.data, given.seed, stratified=True)
        names = [row.label for row in rows.train]
        if given.fitted is not None:
            labels, fitted = given.fitted.labels, given.fitted.fitted
        else:
            labels = fit_labels(names)
            coding = SeriesCoding.fit([row.values for row in rows.train], config.normalisation, config.missing)
            fitted = FittedSeries(coding, whole.columns)
        counts = np.bincount([labels.index(row.label, row.where) for row in rows.train], minlength=len(labels))
        task = cls(config, fitted, labels, counts)
        splits = Splits(*(task.examples(part) if part else None for part in rows))
        shown = ", ".join(labels.names[:12]) + (", ..." if len(labels) > 12 else "")
        notes = (*whole.notes, f"{len(labels)} labels: {shown}", task.described(splits))
        return Prepared(task=task, splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: SeriesClassificationConfig, files: Mapping[str, Any]) -> SeriesClassification:
        """The task of a saved model."""
        stored = files["labels.json"]
        fitted = FittedSeries.from_json(files["series.json"], config)
        return cls(config, fitted, Labels(stored["names"]), np.array(stored["counts"]))

    def files(self) -> dict[str, Any]:
        """Labels, scales and column names."""
        labels = {"names": list(self.labels.names), "counts": self.frequencies.tolist()}
        return {"labels.json": labels, "series.json": self.fitted.to_json()}

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.labels)

    @property
    def blank(self) -> int:
        """The first class."""
        return 0

    def target(self, label: str, where: str) -> int:
        """The index of the label."""
        return self.labels.index(label, where)

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """Cross-entropy with the class, or with shares of classes where series are mixed."""
        logits, targets = each_member(prediction.float(), batch.targets)
        weights = None if self._weights is None else self._weights.to(logits.device)
        total = F.cross_entropy(logits, targets, weights, reduction="sum", label_smoothing=self._smoothing)
        if weights is None:
            return LossSum(total, torch.tensor(len(targets), device=logits.device))
        return LossSum(total, weights[targets].sum() if targets.dim() == 1 else (targets @ weights).sum())

    def predict(self, prediction: Tensor, batch: Batch) -> list[Classified]:
        """Each row's label, with the probabilities of all."""
        return self._named(agreed(prediction.detach().float().softmax(-1)).cpu().numpy())

    def references(self, batch: Batch) -> list[str]:
        """Each row's label."""
        return [self.labels.names[int(target)] for target in batch.targets.cpu()]

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return ClassificationMetrics(self.labels.names)

    def readable(self, prediction: Classified) -> dict[str, Any]:
        """The label and the probability of each."""
        probabilities = dict(zip(self.labels.names, map(float, prediction.probs), strict=True))
        chosen = prediction.label
        return {"label": chosen, "probability": probabilities[chosen], "probabilities": probabilities}

    def brief(self, prediction: Classified) -> str:
        """The label."""
        return prediction.label

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """Label, probability, and which series."""
        return "\t".join([row["label"], f"{row['probability']:.4f}", self.asked(item)["series"]])

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Confusion matrix and per-class table."""
        return class_tables([p.label for p in predictions], references, self.labels.names)

    def judge(self, split: list[SeriesExample], predictions: list[Any], references: list[str]) -> Judged:
        """Right or wrong, and -log of the probability of the right label."""
        index = {name: number for number, name in enumerate(self.labels.names)}
        answers = [
            (p.label, float(p.probs[index[p.label]]), float(p.probs[index[right]]))
            for p, right in zip(predictions, references, strict=True)
        ]
        lengths = [len(example.steps) for example in split]
        return judge_labels(predictions, references, answers, split, lengths, lambda place: f"series {split[place].id}")

    def baselines(self, train: list[SeriesExample], evaluated: list[SeriesExample]) -> dict[str, dict[str, float]]:
        """Majority, nearest neighbours (Euclidean and DTW) and a linear classifier of simple statistics."""
        probs = series_classification_baselines(
            [example.steps for example in train],
            np.array([example.target for example in train]),
            [example.steps for example in evaluated],
            len(self.labels),
        )
        references = [self.labels.names[int(example.target)] for example in evaluated]  # type: ignore[arg-type]
        answers = {name: [row.label for row in self._named(table)] for name, table in probs.items()}
        return figures_of(answers, references, self.metrics)

    def _named(self, probs: np.ndarray) -> list[Classified]:
        """Rows of probabilities with the names that they stand for."""
        return [Classified(self.labels.names[int(row.argmax())], row) for row in probs]
