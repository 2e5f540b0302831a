"""Where fine-tuning starts, and how it goes."""

from __future__ import annotations

from pydantic import Field

from recurra.core.config import Config
from recurra.finetuning.methods import FullConfig, MethodConfig


class FinetuneConfig(Config):
    """Where a fine-tuned model starts (Howard and Ruder 2018, ULMFiT), and which of its weights move."""

    start: str = Field(description="folder of a saved language model, or of a model of the same task")
    backward: str | None = Field(None, description="folder of a language model that reads backward, to join the first")
    method: MethodConfig = Field(FullConfig(), description="which weights are trained")
    adapt_epochs: int = Field(0, ge=0, description="epochs of language modelling on the target's texts first")
    adapt_learning_rate: float = Field(1e-3, gt=0, description="top rate of that stage")
