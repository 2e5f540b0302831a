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
    new_words: int = Field(0, ge=0, description="extend a vocabulary of words by so many of the most frequent new ones")
    adapt_epochs: int = Field(0, ge=0, description="epochs of language modelling on the target's texts first")
    adapt_learning_rate: float = Field(1e-3, gt=0, description="top rate of that stage")
    source: str | list[str] | None = Field(
        None,
        description="what the saved model was trained on, to measure forgetting; none: the files of its run, if there",
    )
    replay: float = Field(0.0, ge=0, le=1, description="share of the updates that replay a batch of the source")
    pull: float = Field(0.0, ge=0, description="L2 penalty on the distance from the pretrained weights (L2-SP)")
