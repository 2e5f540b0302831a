"""Forecasting: the steps ahead of series, with intervals.

Worked example: hourly values ..., 20, 22 (mean 18 and spread 4 in training) become the history ..., 0.5, 1.0; the
targets 21, 19 become 0.75, 0.25. The model gives parameters for each step ahead, the likelihood says what they cost:
the quantile 0.9 at 1.2 for the first step stands for 18 + 4 * 1.2 = 22.8. Windows are cut at origins: what lies before
is history, what lies after is the target, and no window of the training part looks beyond its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

from recurra.core.batch import Batch, InputKind, LossSum, ModelOutput, OutputKind, Resolution, TaskSpec, WindowSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.outputs import Foreseen, Mixture
from recurra.data import DataConfig, Series, read_series
from recurra.data.readers.delimited import csv_cell
from recurra.metrics import ForecastMetrics
from recurra.tasks.base import Preparation, Prepared, StreamOptions
from recurra.tasks.forecast_fit import ForecastFit
from recurra.tasks.forecast_options import ForecastingConfig
from recurra.tasks.forecast_paths import Walk, forecast_window
from recurra.tasks.forecast_preparing import prepare
from recurra.tasks.forecast_reader import ForecastReader
from recurra.tasks.forecast_report import baselines, judge_windows, report
from recurra.tasks.forecast_residuals import fit_recalibration, fit_residuals
from recurra.tasks.forecast_results import ForecastResult, ForecastTruth, picture_of
from recurra.tasks.forecast_tables import ForecastTable, as_float, first_steps, in_units, wanted_probabilities
from recurra.tasks.forecast_windows import ForecastBatch, ForecastRow, ForecastSplit, ForecastStream
from recurra.tasks.judging import Judged
from recurra.tasks.live_forecast import LiveForecast
from recurra.tasks.pictures import ForecastPicture
from recurra.tasks.series_items import SeriesItems

_QUICK_PATHS = 20
_MOST_WITH_PATHS = 2_000
"""Origins; of more, the quantiles of the paths are kept, and the paths are not."""
_SEED = 0


class Forecasting(SeriesItems):
    """The task over fitted scales.

    Args:
        config: the options.
        fit: what was fitted on the training part.
    """

    Config: ClassVar[type[Config]] = ForecastingConfig
    usage: ClassVar[str] = 'print(model.predict_readable(model.items("FILE.csv")))'

    def __init__(self, config: ForecastingConfig, fit: ForecastFit) -> None:
        self.config, self.fit = config, fit
        self.likelihood = config.likelihood.build()
        self.reader = ForecastReader(config, fit)
        self.horizon, self.levels, self.paths = config.horizon, tuple(config.intervals.levels), 0
        size = len(fit.targets) if config.channels == "joint" else 1
        calendar = fit.dated(np.zeros(1, "datetime64[s]")).shape[1] if fit.calendar else 0
        window = WindowSpec(
            horizon=config.horizon,
            context_length=config.context_length,
            target_size=size,
            num_parameters=self.likelihood.num_parameters,
            past_size=len(fit.past),
            known_size=len(fit.known) + calendar,
            static_size=len(fit.static),
            num_series=len(fit.scales),
            periods=fit.periods,
        )
        self.spec = TaskSpec(
            input_kind=InputKind.VECTORS,
            input_size=size,
            output_size=size * window.num_parameters,
            resolution=Resolution.HORIZON,
            window=window,
            output_kind=OutputKind.NUMBERS,
        )

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """What the likelihood is after, in training spreads, so that series of large numbers do not outweigh others."""
        kind = self.config.likelihood.kind
        if kind == "mse":
            return "mse_scaled", "min"
        return ("mae_scaled", "min") if kind in ("mae", "huber") else ("crps_scaled", "min")

    @property
    def compared(self) -> tuple[str, Literal["min", "max"]]:
        """Of point forecasts alone, as those of the baselines are."""
        tag, wanted = self.monitor
        return ("mae_scaled", "min") if tag == "crps_scaled" else (tag, wanted)

    @classmethod
    def prepare(cls, config: ForecastingConfig, given: Preparation) -> Prepared:
        """Read the series, part them in the order of time, fit scales on the training part."""
        fit, splits, notes = prepare(config, given.data, None if given.fitted is None else given.fitted.fit)
        return Prepared(task=cls(config, fit), splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: ForecastingConfig, files: Mapping[str, Any]) -> Forecasting:
        """The task of a saved model."""
        return cls(config, ForecastFit.from_json(files["series.json"]))

    def files(self) -> dict[str, Any]:
        """Names, scales and ends of the series."""
        return {"series.json": self.fit.to_json()}

    def stream(self, split: ForecastSplit, options: StreamOptions) -> ForecastStream:
        """Batches of windows."""
        return split.stream(options)

    # ---- from files and items ----
    def reading(self, data: DataConfig) -> DataConfig:
        """Files are read as those of the training were, where `data` says nothing else."""
        return self.reader.reading(data)

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Series]:
        """The series of files; each column by itself where channels are independent."""
        return iter(self.reader.channels(read_series(paths, self.reading(data), self.fit.frequency)))

    def read(self, paths: str | list[str], data: DataConfig) -> ForecastSplit:
        """The last `horizon` steps of each series as what came, the steps before as history."""
        return self.reader.ending(read_series(paths, self.reading(data), self.fit.frequency), self.horizon)

    def read_backtest(self, paths: str | list[str], data: DataConfig, stride: int) -> ForecastSplit:
        """Every `stride`-th origin after the time of training and validation."""
        return self.reader.rolling(read_series(paths, self.reading(data), self.fit.frequency), self.horizon, stride)

    def encode(self, items: list[Any]) -> ForecastSplit:
        """Series that end where the forecast starts: `Series`, or arrays (T,) or (T, C)."""
        return self.reader.asked(items, self.horizon)

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> ForecastSplit:
        """Series, and what came after each: arrays (H,) or (H, C)."""
        return self.reader.labelled(items, targets, self.horizon)

    def asked_for(self, horizon: int | None, levels: tuple[float, ...] | None, paths: int | None = None) -> Self:
        """The task with another horizon and other intervals, and with so many of the drawn paths among its answers."""
        most = self.config.intervals.num_paths
        if paths is not None and not 1 <= paths <= most:
            raise ConfigError(f"{paths} paths are asked for: 1 to {most} are wanted (task.intervals.num_paths).")
        if horizon is not None and horizon < 1:
            raise ConfigError(f"a horizon of {horizon} steps: at least 1 is wanted.")
        for level in levels or ():
            if not 0 < level < 100:
                raise ConfigError(f"an interval of {level:g} per cent: more than 0 and less than 100 is wanted.")
        if levels and not self.has_intervals:
            raise ConfigError(
                "this model forecasts points and was not compared with a validation part, so that it knows no "
                "intervals. Train it with task.likelihood=quantile, normal or student-t, or with data.valid_fraction "
                "above 0."
            )
        other = copy(self)
        other.horizon = self.horizon if horizon is None else horizon
        other.levels = self.levels if levels is None else tuple(sorted(set(levels)))
        other.paths = paths or 0
        return other

    @property
    def has_intervals(self) -> bool:
        """Whether forecasts have quantiles: by their likelihood, or by the errors of validation."""
        return self.likelihood.is_distribution or self.fit.residuals is not None

    # ---- batch, loss, prediction ----
    def loss(self, prediction: Foreseen, batch: Batch) -> LossSum:
        """The likelihood's loss of the targets that are known."""
        forecast = as_float(prediction)
        known = ~batch.targets.isnan()
        targets = batch.targets.float().masked_fill(~known, 0)
        if self.config.normalised_loss and not isinstance(forecast, Mixture):
            targets = (targets - forecast.shift) / forecast.scale
            zero = torch.zeros_like(forecast.shift)
            forecast = forecast._replace(shift=zero, scale=zero + 1)
        losses = self.likelihood.loss(forecast, targets).masked_fill(~known, 0)
        if batch.weights is not None:
            losses = losses * batch.weights[:, None, None]
        return LossSum(losses.sum(), known.sum())

    def search(self, model: Any, batch: Batch, *, quick: bool) -> ModelOutput:
        """The model's forecast; of a model that reads what it said, drawn paths."""
        assert isinstance(batch, ForecastBatch), "a batch of forecasting comes from its stream"
        walk = self.walk(batch.whole.horizon, quick=quick)
        return ModelOutput(forecast_window(model, batch.inputs, walk), None)

    def walk(self, horizon: int, *, quick: bool = False) -> Walk:
        """How the steps ahead are walked; the same paths are drawn each time."""
        paths = min(_QUICK_PATHS, self.config.intervals.num_paths) if quick else self.config.intervals.num_paths
        return Walk(likelihood=self.likelihood, horizon=horizon, num_paths=paths, seed=_SEED)

    def live(self, model: Any, item: Any) -> LiveForecast:
        """A forecast of an item that goes on with each new observation."""
        return LiveForecast(self, model, item)

    def predict(self, prediction: Foreseen, batch: Batch) -> list[ForecastResult]:
        """Point forecasts and quantiles in the units of the file."""
        assert isinstance(batch, ForecastBatch), "a batch of forecasting comes from its stream"
        split = batch.whole
        owners = [split.rows[row] for row in batch.rows.tolist()]
        table = self._table(prediction, owners, split.horizon, detailed=not split.asked)
        if len(split) > _MOST_WITH_PATHS:
            table = table._replace(samples=None)
        return [
            self._result(table, place, one.series, self._stamps(one.series, int(split.places[number, 1]), split))
            for place, (one, number) in enumerate(zip(owners, batch.chosen, strict=True))
        ]

    def results(self, prediction: Foreseen, row: ForecastRow, stamps: np.ndarray) -> ForecastResult:
        """The forecast of one row (B = 1), in the units of the file."""
        return self._result(self._table(prediction, [row], len(stamps), detailed=False), 0, row.series, stamps)

    def probabilities(self, *, detailed: bool) -> tuple[float, ...]:
        """Levels of the quantiles: the ends of the intervals and the median, and the deciles for evaluation."""
        return wanted_probabilities(self.levels, detailed)

    def references(self, batch: Batch) -> list[ForecastTruth]:
        """What came."""
        assert isinstance(batch, ForecastBatch), "a batch of forecasting comes from its stream"
        return batch.whole.truths(batch.chosen)

    def metrics(self) -> ForecastMetrics:
        """A fresh collector."""
        return ForecastMetrics(self.probabilities(detailed=True), self.levels)

    def calibrate(self, predictions: list[ForecastResult], references: list[ForecastTruth]) -> None:
        """Take intervals from the errors of validation where the model knows points alone; set others right by them."""
        if not self.likelihood.is_distribution:
            self.fit = replace(self.fit, residuals=fit_residuals(predictions, references))
        elif self.config.intervals.recalibrate:
            self.fit = replace(self.fit, recalibration=fit_recalibration(predictions, references))

    # ---- for a person ----
    def asked(self, item: Any) -> dict[str, Any]:
        """{"series": its name}."""
        return {"series": self.reader.as_series(item, 0).name}

    def readable(self, prediction: ForecastResult) -> dict[str, Any]:
        """A row for each step, and the paths that were asked for, (N, H, C)."""
        found: dict[str, Any] = {"forecast": prediction.rows()}
        if self.paths:
            if prediction.samples is None:
                raise ConfigError("this model gives all steps at once, and draws no paths: train forecast-sampled.")
            found["paths"] = prediction.samples[: self.paths].tolist()
        return found

    def brief(self, prediction: ForecastResult) -> np.ndarray:
        """(H, C) the point forecast."""
        return prediction.mean

    def header(self) -> str:
        """Names of the columns of `line`."""
        shown = self.levels if self.has_intervals else ()
        return ",".join(["series", "stamp", "mean", *(f"{end}-{level:g}" for level in shown for end in ("lo", "hi"))])

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """CSV: a row for each step."""
        return "\n".join(",".join(_cell(value) for value in step.values()) for step in row["forecast"])

    def picture(self, item: Any, prediction: ForecastResult) -> ForecastPicture:
        """The series, and what is ahead."""
        one = self.reader.as_series(item, 0)
        return picture_of(prediction, one.values, one.stamps)

    def sizes(self, split: ForecastSplit) -> str:
        """Number of windows and series."""
        rows = len(np.unique(split.places[:, 0]))
        return f"{len(split):,} windows of {rows:,} series"

    def limits(self) -> str:
        """How far it looks, and of what."""
        return (
            f"It forecasts {self.config.horizon} steps ahead from up to {self.config.context_length} steps of history "
            "(a model that carries its state reads all of it). The figures above hold for series like those of the "
            "named files, from the time after them."
        )

    def report(self, predictions: list[ForecastResult], references: list[ForecastTruth]) -> dict[str, Any]:
        """Figures of each series, pictures, and what a reader should be told."""
        return report(self.metrics, predictions, references, self.fit.season)

    def judge(self, split: ForecastSplit, predictions: list[ForecastResult], references: list[ForecastTruth]) -> Judged:
        """Errors in training spreads; the windows of a series that overlap count together."""
        return judge_windows(split, predictions, references, squared=self.compared[0] == "mse_scaled")

    def baselines(self, train: ForecastSplit, evaluated: ForecastSplit) -> dict[str, dict[str, float]]:
        """Cheap forecasts from the same origins."""
        return baselines(train, evaluated)

    def _table(self, prediction: Foreseen, rows: list[ForecastRow], horizon: int, *, detailed: bool) -> ForecastTable:
        forecast = first_steps(as_float(prediction), horizon)
        scales = [row.scale for row in rows]
        return in_units(self.likelihood, self.fit, forecast, scales, self.probabilities(detailed=detailed))

    def _result(self, table: ForecastTable, place: int, series: Series, stamps: np.ndarray) -> ForecastResult:
        return ForecastResult(
            mean=table.mean[place],
            quantiles=None if table.quantiles is None else table.quantiles[place],
            samples=None if table.samples is None else table.samples[place],
            channels=self.reader.channel_names(series),
            stamps=stamps,
            probabilities=table.probabilities,
            levels=self.levels,
        )

    def _stamps(self, series: Series, origin: int, split: ForecastSplit) -> np.ndarray:
        if not split.asked:
            return series.stamps[origin : origin + split.horizon]
        return self.fit.continued(series.stamps[:origin], split.horizon)


def _cell(value: Any) -> str:
    """A CSV cell: numbers with six significant places or all before the point, names in quotes where they need them."""
    if isinstance(value, float):
        places = 5 - math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
        return f"{value:.{min(max(places, 0), 12)}f}"
    return csv_cell(str(value))
