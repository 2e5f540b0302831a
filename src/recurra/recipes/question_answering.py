"""Recipe for extractive question answering from scratch."""

from __future__ import annotations

from recurra.data import VocabularyConfig
from recurra.layers import DropoutConfig
from recurra.models import ReaderConfig
from recurra.runs import RunConfig
from recurra.tasks import QuestionAnsweringConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import LinearConfig


def question_answering() -> RunConfig:
    """A reader with aligned question and features; takes the answer of highest expected overlap."""
    return RunConfig(
        task=QuestionAnsweringConfig(
            vocabulary=VocabularyConfig(kind="word", lowercase=True, min_frequency=2), choice="overlap"
        ),
        model=ReaderConfig(
            embedding_dim=100,
            character_dim=0,
            hidden_size=96,
            num_layers=1,
            dropout=DropoutConfig(embedding=0.1, input=0.3, hidden=0.3, output=0.3),
        ),
        optimizer=AdamWConfig(learning_rate=2e-3, clip_norm=5.0),
        schedule=LinearConfig(warmup_updates=50, final=0.05),
        training=TrainingConfig(epochs=10, batch_size=32),
    )
