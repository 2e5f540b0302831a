"""Recipes that start from a saved model."""

from __future__ import annotations

from typing import Any

from recurra.core.errors import ConfigError
from recurra.data import TextAugmentConfig
from recurra.finetuning import FinetuneConfig
from recurra.layers import DropoutConfig, TokenEncoderConfig
from recurra.models import GenerativeClassifierConfig, TextClassifierConfig
from recurra.runs import RunConfig
from recurra.tasks import TextClassificationConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import ConstantConfig, LinearConfig, SlantedTriangularConfig


def finetune_classifier(start: FinetuneConfig, pretrained: RunConfig, backward: RunConfig | None) -> RunConfig:
    """A classifier on a language model's encoder, with the rates of ULMFiT (Howard and Ruder 2018), and naive Bayes.

    All layers learn from the first update on: with few texts, layers that wait for their turn learn too little. The
    weights of the end are kept: a small validation split would choose among the epochs by luck.

    Args:
        start: where the saved language models are.
        pretrained: config of the first; encoder and vocabulary options are taken from it.
        backward: config of the one that reads backward, if any.
    """
    vocabulary = pretrained.task.vocabulary
    second = None if backward is None else TokenEncoderConfig(**_encoder_options(backward))
    by_character = vocabulary.kind in ("char", "byte")
    return RunConfig(
        task=TextClassificationConfig(
            vocabulary=vocabulary,
            label_smoothing=0.05,
            augmentation=TextAugmentConfig(word_dropout=0.0 if by_character else 0.2),
        ),
        model=TextClassifierConfig(
            **_encoder_options(pretrained),
            backward_lm=second,
            head_dropout=0.5,
            naive_bayes=4 if by_character else 2,
        ),
        optimizer=AdamWConfig(learning_rate=6e-3, beta2=0.99, discriminative=2.6, clip_norm=1.0),
        schedule=SlantedTriangularConfig(),
        training=TrainingConfig(epochs=6, min_updates=500, batch_size=64, monitor="last"),
        finetune=start,
    )


def finetune_generative(start: FinetuneConfig, pretrained: RunConfig, backward: RunConfig | None) -> RunConfig:
    """A generative classifier: the language model stays as it is, and learns how each class tilts its words.

    Args:
        start: where the saved language model is.
        pretrained: its config.
        backward: not used: the likelihood of a text needs one direction.
    Raises:
        ConfigError: one that reads backward is given.
    """
    if backward is not None:
        raise ConfigError("`finetune.backward`: a generative classifier reads in one direction; leave it away.")
    options = _encoder_options(pretrained) | {"dropout": DropoutConfig(), "tied": pretrained.model.tied}
    return RunConfig(
        task=TextClassificationConfig(vocabulary=pretrained.task.vocabulary, max_length=150),
        model=GenerativeClassifierConfig(**options),
        optimizer=AdamWConfig(learning_rate=0.03, weight_decay=0.0, discriminative=2.6, unfreeze_epochs=1000),
        schedule=LinearConfig(),
        training=TrainingConfig(epochs=5, batch_size=32),
        finetune=start,
    )


def _encoder_options(pretrained: RunConfig) -> dict[str, Any]:
    """The options of a language model's encoder."""
    source = pretrained.model.model_dump()
    return {name: source[name] for name in TokenEncoderConfig.model_fields}


def with_language_models(
    config: RunConfig, start: FinetuneConfig, pretrained: RunConfig, backward: RunConfig | None
) -> RunConfig:
    """A recipe of a tagger or reader whose words are also read by language models (Akbik et al. 2018).

    Args:
        config: the recipe.
        start: where the saved language models are.
        pretrained: config of the first.
        backward: config of the one that reads backward, if any.
    """
    models = {"forward_lm": pretrained, "backward_lm": backward}
    encoders = {
        name: TokenEncoderConfig(**(_encoder_options(source) | {"dropout": DropoutConfig()}))
        for name, source in models.items()
        if source is not None
    }
    return config.model_copy(update={"model": config.model.model_copy(update=encoders), "finetune": start})


def finetune_further(start: FinetuneConfig, pretrained: RunConfig) -> RunConfig:
    """The same model for the same task, trained further on other data with discriminative rates.

    How files are read stays; which they are does not: weights chosen by the old validation data would be the old ones.

    Args:
        start: where the saved model is.
        pretrained: its config.
    """
    rate = pretrained.optimizer.learning_rate / 4
    return pretrained.model_copy(
        update={
            "optimizer": pretrained.optimizer.model_copy(update={"learning_rate": rate, "discriminative": 2.6}),
            "schedule": SlantedTriangularConfig() if pretrained.training.epochs > 1 else ConstantConfig(),
            "training": pretrained.training.model_copy(update={"epochs": 3, "min_updates": 0, "max_updates": None}),
            "data": pretrained.data.model_copy(update={"train": None, "valid": None, "test": None}),
            "finetune": start,
            "tune": None,
            "distill": None,
        }
    )
