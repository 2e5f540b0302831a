"""Anomaly detection: how odd each step of a series is, by the errors of a model that learnt what is usual.

Worked example: with leads 1 and 4, the model says after each hour how many requests the next and the fourth hour will
bring. At 10:00 both forecasts for 10:00, made at 09:00 and at 06:00, are compared with what came; the mean error is
averaged over the last 1 and the last 10 steps, and each mean is held against all such means before: a chance of 10^-5
is a score of 5 / 6. Scores from the threshold on are flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from recurra.core.batch import (
    Batch,
    BatchStream,
    InputKind,
    LossSum,
    ModelOutput,
    OutputKind,
    Pooling,
    Resolution,
    TaskSpec,
    WindowSpec,
)
from recurra.core.config import Config
from recurra.core.outputs import Forecast, Foreseen, each
from recurra.core.sequences import Sequences
from recurra.data import DataConfig, Series, Splits
from recurra.data.readers.delimited import csv_cell
from recurra.losses import LIKELIHOODS, Likelihood
from recurra.metrics import AnomalyMetrics
from recurra.tasks.anomaly_batches import AnomalyBatch, AnomalyExample, SeriesCuts, WholeSeries
from recurra.tasks.anomaly_fit import AnomalyFit, sizes_of
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.anomaly_preparing import AnomalyReader, MarkedSeries, prepare
from recurra.tasks.anomaly_report import baselines, judge_series, report
from recurra.tasks.anomaly_results import AnomalyResult, judge, step_errors
from recurra.tasks.anomaly_stream import AnomalyStream
from recurra.tasks.base import Preparation, Prepared, StreamOptions
from recurra.tasks.judging import Judged
from recurra.tasks.pictures import ScorePicture
from recurra.tasks.series_items import SeriesItems

_CHUNK = 4096
"""Steps that a model reads at once in evaluation, and windows that it tells again: memory stays flat."""


class AnomalyDetection(SeriesItems):
    """The task over fitted scales.

    Args:
        config: the options.
        fit: what was fitted.
    """

    Config: ClassVar[type[Config]] = AnomalyDetectionConfig
    usage: ClassVar[str] = 'print(model.predict(model.items("FILE.csv")))'

    def __init__(self, config: AnomalyDetectionConfig, fit: AnomalyFit) -> None:
        self.config, self.fit = config, fit
        self.likelihood: Likelihood = LIKELIHOODS[config.distribution]().build()
        size, num_leads = sizes_of(config, fit)
        num_parameters = self.likelihood.num_parameters
        self.spec = TaskSpec(
            input_kind=InputKind.VECTORS,
            input_size=fit.input_size,
            output_size=size * num_leads * num_parameters,
            resolution=Resolution.STEP,
            window=WindowSpec(
                horizon=max(config.leads) if config.method == "prediction" else 0,
                context_length=config.window_length,
                target_size=size,
                num_parameters=num_parameters,
            ),
            output_kind=OutputKind.NUMBERS,
        )

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """How unlikely the values of the validation part are."""
        return "nats", "min"

    @classmethod
    def prepare(cls, config: AnomalyDetectionConfig, given: Preparation) -> Prepared:
        """Read the series, part them in the order of time, fit scales on the training part."""
        fit, splits, notes = prepare(config, given.data, None if given.fitted is None else given.fitted.fit)
        return Prepared(task=cls(config, fit), splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: AnomalyDetectionConfig, files: Mapping[str, Any]) -> AnomalyDetection:
        """The task of a saved model."""
        return cls(config, AnomalyFit.from_json(files["series.json"]))

    def files(self) -> dict[str, Any]:
        """Names, scales, histories and the threshold."""
        return {"series.json": self.fit.to_json()}

    @property
    def reader(self) -> AnomalyReader:
        """Series as the task takes them."""
        return AnomalyReader(self.config, self.fit)

    # ---- from files and items ----
    def stream(self, split: list[AnomalyExample], options: StreamOptions) -> BatchStream:
        """Windows cut at random for training, whole series for evaluation."""
        if not options.shuffle:
            return WholeSeries(split, options.batch_size, options.shard)
        config = self.config
        return SeriesCuts(
            split, options.batch_size, config.window_length, config.overlap, seed=options.seed, shard=options.shard
        )

    def reading(self, data: DataConfig) -> DataConfig:
        """Files are read as those of the training were, where `data` says nothing else."""
        return self.reader.reading(data)

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """The series of files; `MarkedSeries` where `data` names what is known of their anomalies."""
        return self.reader.items(paths, data)

    def read(self, paths: str | list[str], data: DataConfig) -> list[AnomalyExample]:
        """Series of files with what is known of their anomalies."""
        return self.reader.read(paths, data)

    def encode(self, items: list[Any]) -> list[AnomalyExample]:
        """`Series`, arrays (T,) or (T, C), or frames."""
        return self.reader.asked(items)

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> list[AnomalyExample]:
        """The same with (T,) labels each."""
        return self.reader.asked(items, targets)

    # ---- batch, loss, prediction ----
    def loss(self, prediction: Foreseen, batch: Batch) -> LossSum:
        """-log density of the values that are known, in nats."""
        known = ~batch.targets.isnan()
        return LossSum(self._nats(prediction, batch.targets).masked_fill(~known, 0).sum(), known.sum())

    def search(self, model: Any, batch: Batch, *, quick: bool) -> ModelOutput:
        """The model's forecasts of whole series, or each step told again as the last of a window."""
        if isinstance(model, Pooling):
            return ModelOutput(model.pool([self.search(part, batch, quick=quick)[0] for part in model.parts()]), None)
        inputs = batch.inputs
        if self.config.method == "prediction":
            parts, state = [], None
            for start in range(0, inputs.num_steps, _CHUNK):
                output = model(_part(inputs, start, start + _CHUNK), state)
                parts.append(output.prediction)
                state = output.state
            return ModelOutput(_joined(parts, 1), None)
        rows = [self._told(model, row) for row in inputs.unpad()]
        longest = max(len(row.parameters) for row in rows)
        padded = [Forecast(*(_lengthened(part, longest) for part in row[:3])) for row in rows]
        return ModelOutput(Forecast(*(torch.stack(parts) for parts in list(zip(*padded, strict=True))[:3])), None)

    def predict(self, prediction: Foreseen, batch: Batch) -> list[AnomalyResult]:
        """Scores and flags of each series."""
        assert isinstance(batch, AnomalyBatch)
        nats = self._nats(prediction, batch.targets).detach().cpu().double().numpy()
        means = self.likelihood.mean(prediction).detach().cpu().double().numpy()
        results = []
        for row, example in enumerate(batch.examples):
            size = len(example)
            errors, likely = step_errors(
                self.config,
                means[row, :size],
                nats[row, :size],
                example.targets.astype(np.float64),
                len(self.fit.targets),
            )
            results.append(judge(self.config, example, self.fit.targets, errors, likely, self.fit.threshold))
        return results

    def references(self, batch: Batch) -> list[np.ndarray | None]:
        """(T,) labels of the steps that count, or None."""
        assert isinstance(batch, AnomalyBatch)
        return [None if one.labels is None else one.labels[one.start :] for one in batch.examples]

    def metrics(self) -> AnomalyMetrics:
        """A fresh collector."""
        return AnomalyMetrics(flags=self.fit.threshold is not None)

    def settle(self, evaluate: Callable[[Any], list[AnomalyResult]], splits: Splits[Any]) -> None:
        """Take the threshold from the scores of validation, and remember what was seen until then.

        Without a validation part the training part stands in for it; its errors are smaller than those to come.
        """
        results = evaluate(splits.train if splits.valid is None else splits.valid)
        scores = np.concatenate([result.scores for result in results])
        labels = np.concatenate(
            [np.zeros(len(one.scores), bool) if one.labels is None else one.labels for one in results]
        )
        threshold = self.config.threshold
        # what is known to be odd says nothing of what is usual
        taken = scores if threshold.kind in ("labelled", "fixed") else scores[~labels]
        histories = {result.name: result.seen for result in results}
        self.fit = replace(
            self.fit, threshold=threshold.fit(taken, labels, self.config.scoring.power), histories=histories
        )

    def live(self, model: nn.Module, item: Any = None) -> AnomalyStream:
        """Scores one step after another.

        Args:
            model: the trained one.
            item: the series so far, which is taken in first; None: it begins.
        """
        given = None if item is None else self.reader.as_series(item, 0)
        stream = AnomalyStream(self.config, self.fit, self.likelihood, model, "" if given is None else given.name)
        if given is not None:
            stream.take(given)
        return stream

    # ---- for a person ----
    def readable(self, prediction: AnomalyResult) -> dict[str, Any]:
        """A row for each step, and the threshold."""
        return {"threshold": prediction.threshold, "steps": prediction.rows()}

    def brief(self, prediction: AnomalyResult) -> np.ndarray:
        """(T,) scores."""
        return prediction.scores

    def header(self) -> str:
        """Names of the columns of `line`."""
        return ",".join(map(_cell, ["series", "stamp", *self.fit.targets, "score", "flag"]))

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """CSV: a row for each step."""
        name = _cell(self.asked(item)["series"])
        return "\n".join(",".join([name, *map(_cell, step.values())]) for step in row["steps"])

    def asked(self, item: Any) -> dict[str, Any]:
        """{"series": its name}."""
        series = item.series if isinstance(item, MarkedSeries) else item
        return {"series": series.name if isinstance(series, Series) else "series"}

    def picture(self, item: Any, prediction: AnomalyResult) -> ScorePicture:
        """The series, its scores and its flags."""
        return prediction.picture()

    def sizes(self, split: list[AnomalyExample]) -> str:
        """Number of steps and series."""
        steps = sum(len(one) - one.start for one in split)
        return f"{steps:,} steps of {len(split):,} series"

    def limits(self) -> str:
        """What it takes for usual."""
        return (
            "What is usual was learnt from the training part, whose own anomalies, where nobody marked them, count as "
            "usual. Scores compare a step with what came before it; the same score may mean less in another series."
        )

    def report(self, predictions: list[AnomalyResult], references: list[Any]) -> dict[str, Any]:
        """Figures of each series, pictures, and what a reader should be told."""
        return report(self.config, predictions, references)

    def judge(self, split: list[AnomalyExample], predictions: list[AnomalyResult], references: list[Any]) -> Judged:
        """Series by the nats of a step."""
        return judge_series(predictions, references)

    def baselines(self, train: list[AnomalyExample], evaluated: list[AnomalyExample]) -> dict[str, dict[str, float]]:
        """Cheap scores of the same steps."""
        return baselines(self.config, train, evaluated)

    def _nats(self, prediction: Foreseen, targets: torch.Tensor) -> torch.Tensor:
        plain = each(prediction, lambda one: Forecast(*(part.float() for part in one[:3])))
        return self.likelihood.loss(plain, targets.nan_to_num())

    def _told(self, model: Any, row: torch.Tensor) -> Forecast:
        """(T, C, K) of one series (T, I): each step as the last of the window that ends there."""
        length = self.config.window_length
        parts = []
        for start in range(0, len(row), _CHUNK):
            ends = torch.arange(start, min(start + _CHUNK, len(row)), device=row.device)
            lengths = (ends + 1).clamp(max=length)
            places = (ends + 1 - lengths)[:, None] + torch.arange(length, device=row.device)
            windows = Sequences(row[places.clamp(max=len(row) - 1)], lengths)
            told = model(windows).prediction
            rows = torch.arange(len(ends), device=row.device)
            parts.append(Forecast(*(part[rows, lengths - 1] for part in told[:3])))
        return _joined(parts, 0)


def _part(inputs: Sequences, start: int, end: int) -> Sequences:
    data = inputs.data[:, start:end]
    lengths = None if inputs.lengths is None else (inputs.lengths - start).clamp(0, data.shape[1])
    return Sequences(data, lengths)


def _joined(parts: list[Forecast], axis: int) -> Forecast:
    return Forecast(*(torch.cat(pieces, axis) for pieces in list(zip(*parts, strict=True))[:3]))


def _lengthened(part: torch.Tensor, length: int) -> torch.Tensor:
    """Ones behind the end of (T, ...)."""
    return torch.cat([part, part.new_ones(length - len(part), *part.shape[1:])])


def _cell(value: Any) -> str:
    """A CSV cell: numbers in six significant places, nothing for None, names in quotes where they need them."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else csv_cell(str(value))
