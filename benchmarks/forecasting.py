"""Forecasting on real data, each beside its cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/forecasting.py NAME [--seed 0] [--threads 1]

NAME: etth1, oil-temperature, m4-hourly or exchange-rate.

Core-seconds are process CPU time from the first import to the last metric, baselines included; `training_core_seconds`
are those of the training alone. Test windows stand at every step of the test part (m4-hourly: the 48 hours after each
series). The test part is looked at once, by the weights that were best on the validation part. `mse_scaled` and
`mae_scaled` are in units of the training part's spread, as the literature gives them. The last line is JSON.
"""

from __future__ import annotations

from measured import data, run_one  # isort: skip

from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra

SCALED = ("mse_scaled", "mae_scaled", "coverage_80", "coverage_95")
M4 = ("owa", "smape", "mase", "coverage_80", "coverage_95")


def run(recipe: str, folder: Path, tags: tuple[str, ...], overrides: dict[str, Any]) -> dict[str, Any]:
    """Train a recipe; its test figures beside those of the baselines."""
    saved = recurra.train(recipe, folder, {"training.tensorboard": "never", **overrides})
    metrics = saved.metrics
    return {
        **{tag: round(metrics["test"][tag], 4) for tag in tags},
        "valid": {tag: round(metrics["valid"][tag], 4) for tag in tags if tag in metrics["valid"]},
        "baselines": {
            name: {tag: round(found[tag], 4) for tag in tags if tag in found}
            for name, found in metrics["baselines"].items()
        },
        "training_core_seconds": metrics["training"]["core_seconds"],
    }


def ett(**overrides: Any) -> dict[str, Any]:
    """ETTh1 with its usual parts: 12, 4 and 4 months."""
    return {
        "data.train": data("forecasting", "etth1", "ETTh1.csv.gz"),
        "data.series.split": [8640, 2880, 2880],
        **overrides,
    }


def etth1(folder: Path, seed: int) -> dict[str, Any]:
    """ETTh1, all 7 variables, 96 hours ahead."""
    return run("forecast-long", folder / "run", SCALED, ett(seed=seed))


def oil_temperature(folder: Path, seed: int) -> dict[str, Any]:
    """ETTh1, the oil temperature alone from its own past, 24 hours ahead."""
    sizes = {"task.horizon": 24, "task.context_length": 336, "model.hidden_size": 128, "model.history.patch_length": 24}
    training = {"task.likelihood": "mse", "training.batch_size": 64, "training.epochs": 6}
    return run(
        "forecast-long", folder / "run", SCALED, ett(seed=seed, **sizes, **training, **{"data.series.targets": ["OT"]})
    )


def m4_hourly(folder: Path, seed: int) -> dict[str, Any]:
    """The 414 hourly series of M4, 48 hours ahead; validated on the last 48 hours that are given."""
    files = {
        "data.train": data("forecasting", "m4_hourly", "Hourly-train.csv.gz"),
        "data.test": data("forecasting", "m4_hourly", "Hourly-test.csv"),
        "data.series.layout": "rows",
        "data.valid_fraction": 0.0685,
    }
    windows = {"task.periods": [24, 168], "task.windows.evaluation_stride": 48}
    return run("forecast-seasonal", folder / "run", M4, {**files, **windows, "seed": seed})


def exchange_rate(folder: Path, seed: int) -> dict[str, Any]:
    """Eight daily exchange rates, 96 days ahead; 70, 10 and 20 % for training, validation and test."""
    files = {
        "data.train": data("forecasting", "exchange_rate", "exchange_rate.txt.gz"),
        "data.valid_fraction": 0.1,
        "data.test_fraction": 0.2,
    }
    sizes = {
        "task.context_length": 96,
        "model.hidden_size": 32,
        "model.history": {"normalisation": "scaled-last", "patch_length": 24},
    }
    training = {"optimizer.learning_rate": 3e-4, "training.epochs": 2, "training.evaluate_every": 40}
    return run("forecast-long", folder / "run", SCALED, {**files, **sizes, **training, "seed": seed})


BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "etth1": etth1,
    "oil-temperature": oil_temperature,
    "m4-hourly": m4_hourly,
    "exchange-rate": exchange_rate,
}


if __name__ == "__main__":
    run_one(__doc__, BENCHMARKS)
