"""Recipes for text classification from scratch."""

from __future__ import annotations

from recurra.data import TextAugmentConfig, VocabularyConfig
from recurra.layers import DropoutConfig
from recurra.models import GenerativeClassifierConfig, TextClassifierConfig
from recurra.runs import RunConfig
from recurra.tasks import TextClassificationConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import LinearConfig, OneCycleConfig


def text_classifier() -> RunConfig:
    """Words, a bidirectional LSTM, concatenated pooling."""
    return RunConfig(
        task=TextClassificationConfig(
            vocabulary=VocabularyConfig(kind="word", pattern="zero-digits", lowercase=True, min_frequency=2),
            label_smoothing=0.05,
            augmentation=TextAugmentConfig(word_dropout=0.2),
        ),
        model=TextClassifierConfig(
            embedding_dim=128,
            hidden_size=96,
            bidirectional=True,
            dropout=DropoutConfig(input=0.3),
            head_dropout=0.5,
        ),
        optimizer=AdamWConfig(learning_rate=2e-3, beta2=0.99, clip_norm=1.0),
        schedule=OneCycleConfig(rise=0.1),
        training=TrainingConfig(epochs=6, batch_size=32),
    )


def text_classifier_small() -> RunConfig:
    """The same with an eighth of the weights, for a quick first look."""
    config = text_classifier()
    model = config.model.model_copy(update={"embedding_dim": 50, "hidden_size": 48})
    return config.model_copy(update={"model": model, "training": TrainingConfig(epochs=4, batch_size=32)})


def generative_classifier() -> RunConfig:
    """A word language model that the class tilts: for few texts, or test texts of other origin."""
    return RunConfig(
        task=TextClassificationConfig(
            vocabulary=VocabularyConfig(kind="word", lowercase=True, min_frequency=2), max_length=150
        ),
        model=GenerativeClassifierConfig(embedding_dim=256, hidden_size=256),
        optimizer=AdamWConfig(learning_rate=0.03, weight_decay=0.0, discriminative=2.6, clip_norm=1.0),
        schedule=LinearConfig(warmup_updates=20),
        training=TrainingConfig(epochs=4, batch_size=32),
    )
