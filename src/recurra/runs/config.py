"""A run as one typed value: what to learn, with what, from what, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from recurra.core.config import Config, apply_overrides, parse, read_yaml
from recurra.data import DataConfig
from recurra.finetuning import FinetuneConfig, has_adapters
from recurra.models import ModelConfig
from recurra.runs.distilling import DistillConfig
from recurra.runs.tune_options import TuneConfig
from recurra.tasks import TaskConfig
from recurra.training import OptimizerConfig, ScheduleConfig, TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import CosineConfig

MODELS_OF_TASK = {
    "language-modelling": ("language-model",),
    "text-classification": ("text-classifier", "generative-classifier"),
    "tagging": ("tagger",),
    "translation": ("encoder-decoder",),
    "summarisation": ("encoder-decoder",),
    "question-answering": ("reader",),
    "story-questions": ("story-reader",),
    "forecasting": ("forecaster", "seasonal-forecaster", "forecast-decoder", "autoregressive-forecaster"),
    "series-classification": ("series-classifier", "lstm-fcn", "crnn", "series-ensemble"),
    "series-regression": ("series-classifier", "lstm-fcn", "crnn", "series-ensemble"),
    "anomaly-detection": ("series-predictor", "series-autoencoder"),
    "adding-problem": ("recurrent-network", "series-classifier"),
    "copy-memory": ("recurrent-network",),
    "dyck": ("recurrent-network",),
    "parity": ("recurrent-network",),
    "anbn": ("recurrent-network",),
}

_TABLES = ("tune.space", "tune.trial")
"""Groups whose options are named by dotted names."""


class RunConfig(Config):
    """Everything that decides a run's numbers."""

    task: TaskConfig
    model: ModelConfig
    optimizer: OptimizerConfig = AdamWConfig(clip_norm=1.0)
    schedule: ScheduleConfig = CosineConfig()
    training: TrainingConfig = TrainingConfig()
    data: DataConfig = DataConfig()
    finetune: FinetuneConfig | None = Field(None, description="start from a saved model")
    tune: TuneConfig | None = Field(None, description="what `recurra tune` may change")
    distill: DistillConfig | None = Field(None, description="learn from what a trained model believes")
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="of weights, shuffling, dropout and, unless data.split_seed is set, random splits",
    )

    @property
    def split_seed(self) -> int:
        """Of parts held out at random."""
        return self.seed if self.data.split_seed is None else self.data.split_seed

    @model_validator(mode="after")
    def _model_fits_task(self) -> RunConfig:
        fitting = MODELS_OF_TASK[self.task.kind]
        for model in getattr(self.model, "members", (self.model,)):
            if model.kind not in fitting:
                raise ValueError(f"task {self.task.kind} needs model.kind={' or '.join(fitting)}, not {model.kind}")
        if self.finetune is not None and self.finetune.adapt_epochs and self.task.kind != "text-classification":
            raise ValueError("finetune.adapt_epochs is for text classification only")
        if self.finetune is not None:
            self._require_room(self.finetune)
        return self

    def _require_room(self, finetune: FinetuneConfig) -> None:
        if finetune.new_words and self.task.kind not in ("text-classification", "language-modelling"):
            raise ValueError("finetune.new_words is for text classification and language modelling only")
        if finetune.method.kind == "adapters" and not has_adapters(self.model):
            raise ValueError("finetune.method=adapters needs room for them: set model.adapter_size, for example to 32")


def read_run_config(path: Path, overrides: Mapping[str, Any]) -> RunConfig:
    """A RunConfig from a YAML file with overrides on top.

    Raises:
        ConfigError: names the file, line and option of each fault.
    """
    values, lines = read_yaml(path)
    kept = {key: line for key, line in lines.items() if key not in overrides}
    return parse(RunConfig, apply_overrides(values, overrides, _TABLES), source=str(path), lines=kept)


def override(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """The config with dotted overrides, for example {"model.hidden_size": 512}.

    Raises:
        ConfigError: an unknown option, or a value that does not fit.
    """
    if not overrides:
        return config
    return parse(RunConfig, apply_overrides(config.model_dump(mode="json"), overrides, _TABLES))
