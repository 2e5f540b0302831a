"""Forecasting learns a daily wave, and honest intervals around it, in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recurra

NOISE = 0.3


@pytest.mark.parametrize("name", ["forecast", "forecast-sampled"])
def test_a_wave_is_forecast_nearly_as_well_as_its_noise_allows(name: str, tmp_path: Path) -> None:
    """Chance level: the mean of the past, whose error is about 1.9; the best: the noise's 0.24; seasonal naive 0.34."""
    rng, steps = np.random.default_rng(0), np.arange(1200)
    values = 10 + 3 * np.sin(2 * np.pi * steps / 24) + NOISE * rng.normal(size=len(steps))
    path = tmp_path / "wave.csv"
    path.write_text("load\n" + "".join(f"{value:.4f}\n" for value in values))
    options = {
        "data.train": str(path),
        "data.test_fraction": 0.2,
        "task.horizon": 12,
        "task.context_length": 48,
        "task.periods": [24],
        "task.windows.evaluation_stride": 4,
        "model.hidden_size": 24,
        "training.tensorboard": "never",
        "training.epochs": 15 if name == "forecast" else 6,
        "optimizer.learning_rate": 5e-3,
    }
    if name == "forecast":
        options |= {"model.head.dropout": 0.0, "model.history.normalisation": "window"}
    model = recurra.train(name, tmp_path / "run", options, quiet=True)
    found, cheap = model.metrics["test"], model.metrics["baselines"]
    assert cheap["seasonal-naive-24"]["mae"] > 0.32
    assert found["mae"] < 0.29
    assert 68 < found["coverage_80"] < 90
    assert found["crps"] < 0.21
