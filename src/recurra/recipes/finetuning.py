"""Recipes that start from a saved language model."""

from __future__ import annotations

from typing import Any

from recurra.finetuning import FinetuneConfig
from recurra.layers import DropoutConfig, TokenEncoderConfig
from recurra.models import GenerativeClassifierConfig, TextClassifierConfig
from recurra.runs import RunConfig
from recurra.tasks import TextClassificationConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import ConstantConfig, LinearConfig, SlantedTriangularConfig


def finetune_classifier(start: str, pretrained: RunConfig) -> RunConfig:
    """A classifier on a language model's encoder, in ULMFiT's manner (Howard and Ruder 2018).

    Args:
        start: folder of the saved language model.
        pretrained: its config; encoder and vocabulary options are taken from it.
    """
    return RunConfig(
        task=TextClassificationConfig(vocabulary=pretrained.task.vocabulary),
        model=TextClassifierConfig(**_encoder_options(pretrained), head_size=50, head_dropout=0.2),
        optimizer=AdamWConfig(learning_rate=4e-3, beta1=0.8, discriminative=2.6, unfreeze_epochs=1, clip_norm=1.0),
        schedule=SlantedTriangularConfig(),
        training=TrainingConfig(epochs=6, batch_size=32),
        finetune=FinetuneConfig(start=start),
    )


def finetune_generative(start: str, pretrained: RunConfig) -> RunConfig:
    """A generative classifier: the language model stays as it is, and learns how each class tilts its words.

    Args:
        start: folder of the saved language model.
        pretrained: its config.
    """
    options = _encoder_options(pretrained) | {"dropout": DropoutConfig(), "tied": pretrained.model.tied}
    return RunConfig(
        task=TextClassificationConfig(vocabulary=pretrained.task.vocabulary, max_length=150),
        model=GenerativeClassifierConfig(**options),
        optimizer=AdamWConfig(learning_rate=0.03, weight_decay=0.0, discriminative=2.6, unfreeze_epochs=1000),
        schedule=LinearConfig(),
        training=TrainingConfig(epochs=5, batch_size=32),
        finetune=FinetuneConfig(start=start),
    )


def _encoder_options(pretrained: RunConfig) -> dict[str, Any]:
    """The options of a language model's encoder."""
    source = pretrained.model.model_dump()
    return {name: source[name] for name in TokenEncoderConfig.model_fields}


def finetune_language_model(start: str, pretrained: RunConfig) -> RunConfig:
    """The same language model, trained further on other text with discriminative rates."""
    rate = pretrained.optimizer.learning_rate / 4
    return pretrained.model_copy(
        update={
            "optimizer": pretrained.optimizer.model_copy(update={"learning_rate": rate, "discriminative": 2.6}),
            "schedule": SlantedTriangularConfig() if pretrained.training.epochs > 1 else ConstantConfig(),
            "training": pretrained.training.model_copy(update={"epochs": 3, "max_updates": None}),
            "finetune": FinetuneConfig(start=start),
        }
    )
