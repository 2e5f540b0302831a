"""Recipes for drawn problems, which show what a cell can and can not do."""

from __future__ import annotations

from recurra.models import RecurrentNetworkConfig
from recurra.runs import RunConfig
from recurra.tasks import AddingProblemConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamConfig


def adding_problem() -> RunConfig:
    """The sum of two marked numbers of a long sequence."""
    return RunConfig(
        task=AddingProblemConfig(),
        model=RecurrentNetworkConfig(cell="lstm", hidden_size=64),
        optimizer=AdamConfig(learning_rate=2e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=15, batch_size=50),
    )
