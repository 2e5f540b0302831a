"""Drawn problems are learnt by the cells that can, far above chance, and not by those that can't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recurra


def trained(recipe: str, folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Figures of the test."""
    small = {"task.valid_size": 100, "task.test_size": 200, "training.tensorboard": "never"}
    metrics: dict[str, float] = recurra.train(recipe, folder / "run", {**small, **options}, quiet=True).metrics["test"]
    return metrics


def test_sums_over_thirty_steps(tmp_path: Path) -> None:
    """The mean squared error of 1 is 0.167, that of the second number and the mean of the first 0.083."""
    options = {"task.length": 30, "model.cell.chrono_max": 30, "model.hidden_size": 32, "training.max_updates": 400}
    assert trained("adding-problem", tmp_path, options)["mse"] < 0.03


@pytest.mark.parametrize(("cell", "solved"), [("orthogonal", True), ("elman", False)])
def test_a_rotation_copies_over_forty_steps(cell: str, solved: bool, tmp_path: Path) -> None:
    """Chance is 1 in 4."""
    options = {"task.delay": 40, "task.span": 5, "task.num_symbols": 4, "model.cell": {"kind": cell}}
    sizes = {"model.hidden_size": 32, "optimizer.learning_rate": 0.003, "training.max_updates": 200}
    assert (trained("copy-memory", tmp_path, {**options, **sizes})["accuracy"] > 0.99) == solved


def test_parity_of_ten_times_as_many_bits(tmp_path: Path) -> None:
    """Chance is 1 in 2."""
    options = {"task.length": 10, "task.test_length": 100, "model.hidden_size": 16, "training.max_updates": 300}
    assert trained("parity", tmp_path, options)["accuracy"] > 0.99
