"""Small files of series, and tasks prepared from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.data import DataConfig
from recurra.tasks import Forecasting, ForecastingConfig, Preparation, Prepared, StreamOptions
from recurra.tasks.forecast_windows import ForecastBatch, ForecastSplit

OPTIONS = StreamOptions(batch_size=512, length=1, seed=0, shuffle=False)
START = np.datetime64("2024-01-01T00:00:00")


def hours(count: int, start: np.datetime64 = START) -> list[str]:
    """Stamps an hour apart, as texts."""
    return [str(start + step * np.timedelta64(1, "h")).replace("T", " ") for step in range(count)]


def daily_wave(count: int, seed: int = 0) -> np.ndarray:
    """(T, 2) values with a period of 24 steps."""
    rng, steps = np.random.default_rng(seed), np.arange(count)
    first = 10 + 3 * np.sin(2 * np.pi * steps / 24) + 0.3 * rng.normal(size=count)
    return np.stack([first, 100 + 20 * np.cos(2 * np.pi * steps / 24) + rng.normal(size=count)], axis=1)


def write_wide(path: Path, values: np.ndarray, names: tuple[str, ...] = ("load", "price"), **more: Any) -> Path:
    """A column for each of `values` (T, C), NaN as an empty cell, further columns by name, and stamps."""
    columns = {"date": hours(max(len(values), *map(len, more.values()), 0)) if more else hours(len(values))}
    columns |= {name: ["" if np.isnan(v) else repr(float(v)) for v in values[:, i]] for i, name in enumerate(names)}
    columns |= {name: [repr(float(v)) for v in column] for name, column in more.items()}
    rows = len(columns["date"])
    lines = [",".join(columns)]
    lines += [",".join(column[row] if row < len(column) else "" for column in columns.values()) for row in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def prepare(path: Path | list[str], data: dict[str, Any] | None = None, **task: Any) -> Prepared:
    """The task and its splits."""
    train = str(path) if isinstance(path, Path) else path
    given = {"train": train, "valid_fraction": 0.15, "test_fraction": 0.15, **(data or {})}
    config = ForecastingConfig.model_validate({"horizon": 6, "context_length": 24, **task})
    made = Preparation(data=DataConfig.model_validate(given), seed=0, cache=Path("unused"))
    return Forecasting.prepare(config, made)


def batch_of(split: ForecastSplit, options: StreamOptions = OPTIONS) -> ForecastBatch:
    """The first batch, which holds the whole of a small split."""
    batch = split.stream(options).next_batch()
    assert batch is not None
    return batch


class Repeater(torch.nn.Module):
    """Forecasts the last value, in any number of parameters."""

    def __init__(self, num_parameters: int, horizon: int) -> None:
        super().__init__()
        self.size, self.horizon = num_parameters, horizon
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, window: Window, state: Any = None) -> Any:
        """Distributions whose every parameter is 0, around the last value."""
        from recurra.core.batch import ModelOutput

        last = last_values(window)
        parameters = torch.zeros(len(last), self.horizon, last.shape[-1], self.size)
        return ModelOutput(Forecast(parameters, last[:, None], torch.ones_like(last)[:, None]), None)


def last_values(window: Window) -> Tensor:
    """(B, C)."""
    lengths = window.past.lengths
    if lengths is None:
        return window.past.data[:, -1]
    return window.past.data[torch.arange(len(lengths)), lengths - 1]
