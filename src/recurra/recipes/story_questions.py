"""Recipes for questions on stories."""

from __future__ import annotations

from recurra.cells import GRUConfig
from recurra.models import StoryReaderConfig
from recurra.runs import RunConfig
from recurra.tasks import StoryQuestionsConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import CosineConfig


def story_questions() -> RunConfig:
    """Sentences by a bidirectional GRU, three gated rounds over the story; taught by answers alone."""
    return RunConfig(
        task=StoryQuestionsConfig(),
        model=StoryReaderConfig(cell=GRUConfig(), embedding_dim=64, hidden_size=32, bidirectional=True),
        optimizer=AdamWConfig(learning_rate=3e-3, beta2=0.99, weight_decay=0.0, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=100),
        training=TrainingConfig(epochs=12, batch_size=32),
    )
