"""Regression of whole series: one number, or several, for each.

Worked example: a series with the target 72.5, where targets have mean 70 and deviation 5 over the training split, has
the standardised target 0.5; the model estimates 0.3, the squared error is 0.04, and a person reads 71.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor

from recurra.baselines.series import series_regression_baselines
from recurra.core.batch import Batch, InputKind, LossSum, Metrics, OutputKind, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.data import Splits
from recurra.data.collate import SeriesExample
from recurra.data.series_coding import SeriesCoding
from recurra.losses import LOSSES
from recurra.metrics import RegressionMetrics
from recurra.tasks.base import Preparation, Prepared
from recurra.tasks.figures import figures_of
from recurra.tasks.judging import Judged, rmse_figure
from recurra.tasks.whole_series import (
    FittedSeries,
    WholeSeries,
    WholeSeriesConfig,
    agreed,
    each_member,
    read_splits,
)


class SeriesRegressionConfig(WholeSeriesConfig):
    """Options of the regression of series."""

    kind: Literal["series-regression"] = "series-regression"
    loss: Literal["mse", "mae", "huber"] = Field("mse", description="of targets in standard deviations")


class Targets(NamedTuple):
    """The numbers to be estimated.

    Attributes:
        names: of the K numbers.
        mean: (K,) over the training split.
        scale: (K,) standard deviation there; 1 where a number never changes.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray


class SeriesRegression(WholeSeries):
    """The task over fitted scales of values and targets."""

    Config: ClassVar[type[Config]] = SeriesRegressionConfig
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("rmse", "min")

    def __init__(self, config: SeriesRegressionConfig, fitted: FittedSeries, targets: Targets) -> None:
        """Put the fitted parts together."""
        self.config, self.fitted, self.targets = config, fitted, targets
        self.spec = TaskSpec(
            input_kind=InputKind.VECTORS,
            input_size=fitted.coding.size,
            output_size=len(targets.names),
            resolution=Resolution.SEQUENCE,
            output_kind=OutputKind.NUMBERS,
        )
        self._loss: Any = LOSSES[config.loss]

    @classmethod
    def prepare(cls, config: SeriesRegressionConfig, given: Preparation) -> Prepared:
        """Read the series, hold parts out, fit the scales on the training part, encode."""
        rows, whole = read_splits(given.data, given.seed, stratified=False)
        if given.fitted is not None:
            fitted, targets = given.fitted.fitted, given.fitted.targets
        else:
            coding = SeriesCoding.fit([row.values for row in rows.train], config.normalisation, config.missing)
            fitted = FittedSeries(coding, whole.columns)
            targets = _fit_targets([numbers_of(row.label, row.where) for row in rows.train], whole.columns.label)
        task = cls(config, fitted, targets)
        splits = Splits(*(task.examples(part) if part else None for part in rows))
        found = ", ".join(f"{name} {mean:.4g} ± {scale:.4g}" for name, mean, scale in zip(*targets, strict=True))
        notes = (*whole.notes, f"targets: {found}", task.described(splits))
        return Prepared(task=task, splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: SeriesRegressionConfig, files: Mapping[str, Any]) -> SeriesRegression:
        """The task of a saved model."""
        stored = files["targets.json"]
        targets = Targets(tuple(stored["names"]), np.array(stored["mean"]), np.array(stored["scale"]))
        return cls(config, FittedSeries.from_json(files["series.json"], config), targets)

    def files(self) -> dict[str, Any]:
        """Scales and column names."""
        names, mean, scale = self.targets
        targets = {"names": list(names), "mean": mean.tolist(), "scale": scale.tolist()}
        return {"targets.json": targets, "series.json": self.fitted.to_json()}

    @property
    def num_classes(self) -> None:
        """None: targets are numbers."""
        return None

    @property
    def blank(self) -> np.ndarray:
        """Zeros."""
        return np.zeros(len(self.targets.names))

    def target(self, label: str, where: str) -> np.ndarray:
        """(K,) standardised numbers."""
        numbers = numbers_of(label, where)
        if len(numbers) != len(self.targets.names):
            raise DataError(f"{where}: {len(numbers)} targets where {len(self.targets.names)} are wanted: {label!r}.")
        standardised: np.ndarray = (np.array(numbers) - self.targets.mean) / self.targets.scale
        return standardised

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """The chosen loss of standardised targets."""
        found: LossSum = self._loss(*each_member(prediction, batch.targets))
        return found

    def predict(self, prediction: Tensor, batch: Batch) -> list[np.ndarray]:
        """Each row's (K,) estimates in the targets' own units."""
        return self._in_units(agreed(prediction.detach()))

    def references(self, batch: Batch) -> list[np.ndarray]:
        """Each row's (K,) targets in their own units."""
        return self._in_units(batch.targets)

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return RegressionMetrics(self.targets.names)

    def readable(self, prediction: np.ndarray) -> dict[str, Any]:
        """Each estimate by its name."""
        return dict(zip(self.targets.names, map(float, prediction), strict=True))

    def brief(self, prediction: np.ndarray) -> Any:
        """The estimate, or a list of several."""
        return float(prediction[0]) if len(prediction) == 1 else prediction.tolist()

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """The estimates, then which series."""
        return "\t".join([*(f"{value:.6g}" for value in row.values()), self.asked(item)["series"]])

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Nothing beside the metrics."""
        return {}

    def judge(self, split: list[SeriesExample], predictions: list[Any], references: list[Any]) -> Judged:
        """Squared errors of each number; the loss counts them in standard deviations of the training part."""
        shape = (len(split), len(self.targets.names))
        errors = np.square(np.reshape(predictions, shape) - np.reshape(references, shape))
        return Judged(
            predictions=predictions,
            references=references,
            terms=np.concatenate([errors, np.ones((len(errors), 1))], axis=1),
            figure=rmse_figure,
            losses=(errors / np.square(self.targets.scale)).mean(axis=1),
            lengths=np.array([len(example.steps) for example in split]),
            ids=tuple(example.id for example in split),
            shown=lambda place: (
                f"series {split[place].id}",
                _numbers(predictions[place]),
                _numbers(references[place]),
            ),
        )

    def baselines(self, train: list[SeriesExample], evaluated: list[SeriesExample]) -> dict[str, dict[str, float]]:
        """Mean, nearest neighbours (Euclidean and DTW) and ridge regression on simple statistics."""
        estimates = series_regression_baselines(
            [example.steps for example in train],
            np.array([example.target for example in train]),
            [example.steps for example in evaluated],
        )
        references = self._in_units(np.array([example.target for example in evaluated]))
        return figures_of({name: self._in_units(table) for name, table in estimates.items()}, references, self.metrics)

    def _in_units(self, standardised: Tensor | np.ndarray) -> list[np.ndarray]:
        table = standardised.double().cpu().numpy() if isinstance(standardised, Tensor) else standardised
        return list(table * self.targets.scale + self.targets.mean)


def _numbers(row: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in row)


def numbers_of(label: str, where: str) -> list[float]:
    """The numbers of a target, with commas (or line ends, as of JSON lists) between.

    Raises:
        DataError: one is no finite number.
    """
    numbers = []
    for text in label.replace("\n", ",").split(","):
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DataError(
                f"{where}: the target is {text.strip()!r}: a finite number is wanted. Mend or drop the row, or train a "
                "classifier if these are names."
            )
        numbers.append(number)
    return numbers


def _fit_targets(rows: Sequence[Sequence[float]], column: str | None) -> Targets:
    if len({len(row) for row in rows}) > 1:
        raise DataError(f"some series have {min(map(len, rows))} targets and some {max(map(len, rows))}: as many each.")
    table = np.array(rows, dtype=np.float64)
    deviation = table.std(axis=0)
    names = tuple((column or "value").split("+"))
    if len(names) != table.shape[1]:
        names = tuple(f"{column or 'value'}_{place}" for place in range(table.shape[1]))
    return Targets(names, table.mean(axis=0), np.where(deviation > 0, deviation, 1.0))
