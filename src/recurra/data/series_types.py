"""Time series in memory: values in the units of the file, time first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recurra.data.stamps import Frequency


@dataclass(frozen=True, slots=True)
class Series:
    """One time series, of one or several values a step.

    Attributes:
        name: its id, or the file's name where the file is one series.
        stamps: (T,) datetime64[s], rising; int64 0, 1, 2, ... where the file has none.
        values: (T, C) float64, NaN where missing.
        past: (T, P) float64 covariates that end with the values.
        known: (T + K, F) float64 covariates known ahead, K >= 0.
        static: (S,) float64 features of the series as a whole.
        rows: (T,) line of each step in the file, 0 where it was filled in; None where the source is no text file.
    """

    name: str
    stamps: np.ndarray
    values: np.ndarray
    past: np.ndarray
    known: np.ndarray
    static: np.ndarray
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, stop: int) -> Series:
        """Steps start to stop; covariates known ahead end there too."""
        return replace(
            self,
            stamps=self.stamps[start:stop],
            values=self.values[start:stop],
            past=self.past[start:stop],
            known=self.known[start:stop],
            rows=None if self.rows is None else self.rows[start:stop],
        )


@dataclass(frozen=True, slots=True)
class SeriesSet:
    """Series that were read together.

    Attributes:
        series: in the order in which their ids first stand in the file.
        targets: names of the C values.
        past: names of the P past covariates.
        known: names of the F covariates known ahead.
        static: names of the S static features.
        frequency: time between steps; None where there are no stamps, or no usual time between them.
        source: the file or files, for messages.
        notes: sentences on what was guessed or filled, for the program to print.
    """

    series: tuple[Series, ...]
    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    frequency: Frequency | None
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.series)

    @property
    def stamped(self) -> bool:
        """Whether steps have dates or times."""
        return bool(self.series) and self.series[0].stamps.dtype.kind == "M"


def joined(parts: Sequence[Series]) -> Series:
    """One series of parts that follow each other; stamps are not looked at, numbers of steps go on."""
    first = parts[0]
    stamps = np.concatenate([part.stamps for part in parts])
    if stamps.dtype.kind != "M" and all(part.stamps[0] == 0 for part in parts):
        stamps = np.arange(len(stamps))
    rows = None if any(part.rows is None for part in parts) else np.concatenate([part.rows for part in parts])  # type: ignore[misc]
    ahead = [part.known[: len(part)] for part in parts[:-1]]
    return Series(
        first.name,
        stamps,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.past for part in parts]),
        np.concatenate([*ahead, parts[-1].known]),
        first.static,
        rows,
    )


def carried_forward(values: np.ndarray) -> np.ndarray:
    """Values (T, ...) with NaN replaced by the last value before; NaN stays where there is none before."""
    missing = np.isnan(values)
    steps = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    last = np.maximum.accumulate(np.where(missing, 0, steps), axis=0)
    return np.take_along_axis(values, last, axis=0)
