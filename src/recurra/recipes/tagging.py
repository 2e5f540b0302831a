"""Recipes for tagging from scratch."""

from __future__ import annotations

from recurra.data import VocabularyConfig
from recurra.layers import DropoutConfig
from recurra.models import TaggerConfig
from recurra.runs import RunConfig
from recurra.tasks import TaggingConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import LinearConfig


def tagger() -> RunConfig:
    """Words and their characters, two bidirectional LSTMs, a CRF: parts of speech, and any other tags."""
    return RunConfig(
        task=TaggingConfig(word_dropout=0.02),
        model=TaggerConfig(
            embedding_dim=100,
            character_dim=32,
            character_hidden_size=64,
            hidden_size=160,
            num_layers=2,
            bidirectional=True,
            dropout=DropoutConfig(input=0.5, hidden=0.3, output=0.5),
        ),
        optimizer=AdamWConfig(learning_rate=5e-3, beta2=0.98, weight_decay=1e-3, clip_norm=1.0),
        schedule=LinearConfig(warmup_updates=100),
        training=TrainingConfig(epochs=14, batch_size=24),
    )


def ner() -> RunConfig:
    """Names of few training sentences: a smaller network, and any word is read as unknown now and then."""
    config = tagger()
    sizes = {"character_hidden_size": 40, "hidden_size": 128, "num_layers": 1}
    dropout = DropoutConfig(input=0.4, output=0.4)
    return config.model_copy(
        update={
            "task": TaggingConfig(word_dropout=0.15),
            "model": config.model.model_copy(update={**sizes, "dropout": dropout}),
            "optimizer": config.optimizer.model_copy(update={"learning_rate": 4e-3}),
            "training": TrainingConfig(epochs=15, batch_size=24),
        }
    )


def ner_zh() -> RunConfig:
    """Names in Chinese, whose words are single characters: no spellings."""
    config = tagger()
    sizes = {"character_dim": 0, "embedding_dim": 128, "hidden_size": 128, "num_layers": 1}
    return config.model_copy(
        update={
            "task": TaggingConfig(vocabulary=VocabularyConfig(kind="word"), characters=None, word_dropout=0.1),
            "model": config.model.model_copy(update=sizes),
            "optimizer": config.optimizer.model_copy(update={"learning_rate": 8e-3}),
            "training": TrainingConfig(epochs=20, batch_size=16),
        }
    )
