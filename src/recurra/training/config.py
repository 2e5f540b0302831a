"""Options of the training loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recurra.core.config import Config
from recurra.training.averaging import AverageConfig, NoAverageConfig


class TrainingConfig(Config):
    """How long, how large, how often, and where."""

    epochs: int = Field(10, ge=1, description="passes over the training split")
    min_updates: int = Field(0, ge=0, description="go on for so many updates, where the epochs are few and short")
    max_updates: int | None = Field(None, ge=1, description="stop after so many updates, whatever the epochs")
    batch_size: int = Field(32, ge=1, description="rows in a batch, over all processes")
    tbptt_length: int = Field(64, ge=1, description="steps of truncated backpropagation in a stream")
    average: AverageConfig = NoAverageConfig()
    precision: Literal["float32", "bfloat16", "float16"] = Field("float32", description="falls back where it can't run")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    strategy: Literal["ddp", "fsdp"] = Field("ddp", description="how several processes share the model")
    evaluate_every: int = Field(0, ge=0, description="updates between evaluations; 0 means each epoch")
    monitor: str = Field(
        "auto",
        description="metric that chooses the weights to keep; auto is the task's own, last keeps those of the end",
    )
    patience: int = Field(0, ge=0, description="stop after so many evaluations without a new best; 0 is off")
    checkpoint_seconds: float = Field(60.0, gt=0, description="longest time between checkpoints")
    tensorboard: Literal["auto", "always", "never"] = Field("auto", description="event files; auto means if installed")
