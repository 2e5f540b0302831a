"""Which metric chooses the best weights, and which way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from recurra.training import TrainingConfig, monitor_of


@pytest.mark.parametrize(
    ("own", "asked", "found"),
    [
        (("f1", "max"), "auto", ("f1", False)),
        (("rate", "min"), "last", ("rate", True)),
        (("rate", "min"), "rate", ("rate", True)),
        (("mse", "min"), "mae", ("mae", True)),
        (("mse", "min"), "solved", ("solved", False)),
        (("rmse", "min"), "r2", ("r2", False)),
        (("mase", "min"), "smape", ("smape", True)),
        (("accuracy", "max"), "nats", ("nats", True)),
    ],
)
def test_less_of_an_error_is_better(own: Any, asked: str, found: tuple[str, bool]) -> None:
    task: Any = SimpleNamespace(monitor=own)
    assert monitor_of(task, TrainingConfig(monitor=asked)) == found
