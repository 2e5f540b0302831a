"""Recipes for language models."""

from __future__ import annotations

from recurra.data import VocabularyConfig
from recurra.layers import DropoutConfig, SampledSoftmaxConfig
from recurra.models import LanguageModelConfig
from recurra.runs import RunConfig
from recurra.tasks import LanguageModellingConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import CosineConfig, LinearConfig


def char_lm() -> RunConfig:
    """Characters, one LSTM of 256 units: a good model of a megabyte of text in a few minutes on a CPU."""
    return RunConfig(
        task=LanguageModellingConfig(vocabulary=VocabularyConfig(kind="char")),
        model=LanguageModelConfig(embedding_dim=64, hidden_size=256, dropout=DropoutConfig(output=0.1)),
        optimizer=AdamWConfig(learning_rate=4e-3, beta2=0.99, weight_decay=0.0, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=60, final=0.01),
        training=TrainingConfig(epochs=6, batch_size=32, tbptt_length=64),
    )


def char_lm_large() -> RunConfig:
    """Characters, one LSTM of 384 units with weight drop and locked dropout: for twenty minutes instead of four."""
    config = char_lm()
    dropout = DropoutConfig(input=0.1, output=0.25, weight=0.25)
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"embedding_dim": 96, "hidden_size": 384, "dropout": dropout}),
            "optimizer": config.optimizer.model_copy(update={"learning_rate": 3e-3}),
            "training": config.training.model_copy(update={"epochs": 12}),
        }
    )


def word_lm() -> RunConfig:
    """Words, one LSTM of 256 units, tied weights and a sampled softmax: for vocabularies of ten thousand and more."""
    return RunConfig(
        task=LanguageModellingConfig(vocabulary=VocabularyConfig(kind="word", min_frequency=2)),
        model=LanguageModelConfig(
            embedding_dim=256,
            hidden_size=256,
            tied=True,
            softmax=SampledSoftmaxConfig(num_samples=1000),
            dropout=DropoutConfig(input=0.25, output=0.3),
        ),
        optimizer=AdamWConfig(learning_rate=3e-3, beta2=0.98, weight_decay=0.01, clip_norm=0.5),
        schedule=LinearConfig(warmup_updates=200, final=0.02),
        training=TrainingConfig(epochs=12, batch_size=32, tbptt_length=35),
    )


def chinese_lm() -> RunConfig:
    """Pieces of Chinese text (BPE), otherwise as word-lm; needs the extra `text`."""
    config = word_lm()
    return config.model_copy(
        update={
            "task": LanguageModellingConfig(vocabulary=VocabularyConfig(kind="bpe", max_size=8000)),
            "training": config.training.model_copy(update={"epochs": 4}),
        }
    )
