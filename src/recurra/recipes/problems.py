"""Recipes for drawn problems, which show what a cell can and can not do."""

from __future__ import annotations

from typing import Any

from recurra.cells import LSTMConfig, OrthogonalConfig
from recurra.models import RecurrentNetworkConfig
from recurra.runs import RunConfig
from recurra.tasks import AddingProblemConfig, AnBnConfig, CopyMemoryConfig, DyckConfig, ParityConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamConfig


def _problem(
    task: Any, cell: LSTMConfig | OrthogonalConfig, *, learning_rate: float, epochs: int, hidden_size: int = 64
) -> RunConfig:
    # At the end of the schedule the weights are best; where the validation words are as short as those of the
    # training, and all of them right, they could choose none.
    return RunConfig(
        task=task,
        model=RecurrentNetworkConfig(cell=cell, hidden_size=hidden_size),
        optimizer=AdamConfig(learning_rate=learning_rate, clip_norm=1.0),
        training=TrainingConfig(epochs=epochs, batch_size=50, monitor="last"),
    )


def adding_problem() -> RunConfig:
    """The sum of two marked numbers of a long sequence."""
    return _problem(AddingProblemConfig(), LSTMConfig(chrono_max=200), learning_rate=0.01, epochs=10)


def copy_memory() -> RunConfig:
    """Ten symbols said again after a long wait."""
    return _problem(CopyMemoryConfig(), OrthogonalConfig(), learning_rate=0.003, epochs=5, hidden_size=128)


def dyck() -> RunConfig:
    """Nested brackets, in words longer than those of the training."""
    return _problem(DyckConfig(), LSTMConfig(), learning_rate=0.01, epochs=10)


def parity() -> RunConfig:
    """Even or odd, in words ten times as long as those of the training."""
    return _problem(ParityConfig(), LSTMConfig(), learning_rate=0.01, epochs=5)


def anbn() -> RunConfig:
    """As many b as a, and more of them than in the training."""
    return _problem(AnBnConfig(), LSTMConfig(chrono_max=200), learning_rate=0.01, epochs=10, hidden_size=16)
