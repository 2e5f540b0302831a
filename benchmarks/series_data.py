"""Speed of series data, each beside the usual way in the same process; equal results are checked first.

    python benchmarks/series_data.py read      # a CSV of a million rows and eight columns, beside pandas.read_csv
    python benchmarks/series_data.py windows   # batches of windows, beside a torch DataLoader over slices

Core-seconds by process time; the best of three.
"""

from __future__ import annotations

import measured  # isort: skip

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def best(work: Callable[[], Any], times: int = 3) -> float:
    """Least core-seconds of several runs."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def read(folder: Path, seed: int) -> dict[str, Any]:
    """Stamps and seven columns of numbers."""
    import pandas as pd

    from recurra.data import DataConfig, read_series

    file, rows = folder / "series.csv", 1_000_000
    values = np.random.default_rng(seed).normal(size=(rows, 7)).round(4)
    frame = pd.DataFrame(values, columns=list("abcdefg"))
    frame.insert(0, "date", pd.date_range("2000-01-01", periods=rows, freq="min"))
    frame.to_csv(file, index=False)

    series = read_series(file, DataConfig()).series[0]
    np.testing.assert_array_equal(series.values, values)
    np.testing.assert_array_equal(series.stamps, frame["date"].to_numpy())
    ours = best(lambda: read_series(file, DataConfig()))
    theirs = best(lambda: pd.read_csv(file, parse_dates=["date"]))
    print(f"{rows:,} rows, {file.stat().st_size / 1e6:.0f} MB: recurra {ours:.2f} s, pandas.read_csv {theirs:.2f} s")
    return {"seconds": round(ours, 2), "pandas_seconds": round(theirs, 2)}


def windows(_: Path, seed: int) -> dict[str, Any]:
    """ETTh1's shape: 8,640 rows of seven columns, each alone; 336 steps of history, 96 ahead, 256 windows a batch."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from recurra.data import WindowBatches, WindowSeries, WindowSource, window_origins

    rows, columns, context, horizon, size = 8640, 7, 336, 96, 256
    values = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    source = WindowSource([WindowSeries(values[:, column : column + 1]) for column in range(columns)], context, horizon)
    origins = window_origins([context] * columns, [rows] * columns, horizon)

    class Slices(Dataset):
        def __len__(self) -> int:
            return len(origins)

        def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
            column, origin = origins[place]
            one = tensor[:, column : column + 1]
            return one[origin - context : origin], one[origin : origin + horizon]

    tensor = torch.from_numpy(values)
    ours = WindowBatches(source, origins, size, shuffle=False)
    theirs = DataLoader(Slices(), size)
    for past, targets in theirs:
        batch = ours.next_batch()
        assert batch is not None and torch.equal(batch.inputs.past.data, past) and torch.equal(batch.targets, targets)

    def epoch() -> None:
        stream = WindowBatches(source, origins, size, seed=seed)
        while stream.next_batch() is not None:
            pass

    batches = -(-len(origins) // size)
    shuffled = DataLoader(Slices(), size, shuffle=True)
    own = best(epoch) / batches * 1e3
    other = best(lambda: list(shuffled), 1) / batches * 1e3
    print(f"{len(origins):,} windows in {batches} batches: recurra {own:.3f} ms a batch, DataLoader {other:.2f} ms")
    return {"milliseconds": round(own, 3), "dataloader_milliseconds": round(other, 2), "ratio": round(other / own, 1)}


if __name__ == "__main__":
    measured.run_one(__doc__, {"read": read, "windows": windows})
