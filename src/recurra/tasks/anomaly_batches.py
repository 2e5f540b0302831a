"""Series as examples of anomaly detection, and examples as batches: windows cut at random, or whole rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recurra.core.batch import Batch
from recurra.core.errors import DataError
from recurra.core.sequences import Sequences
from recurra.data.sampling import EpochBatches, in_chunks
from recurra.data.sharding import ONE_PROCESS, Shard


@dataclass(frozen=True, slots=True)
class AnomalyExample:
    """A series as the task's model reads it.

    Attributes:
        name: of the series.
        stamps: (T,).
        values: (T, C) as in the file, NaN where missing.
        scaled: (T, C) in the task's units, NaN where missing.
        inputs: (T, I) float32.
        targets: (T, C * leads) float32, NaN where there is none.
        labels: (T,) bool, or None where nobody knows.
        start: the first step that counts; the ones before it are only read.
        history: what a scorer has seen before the first step, or None.
        id: position in what was asked.
    """

    name: str
    stamps: np.ndarray
    values: np.ndarray
    scaled: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    labels: np.ndarray | None
    start: int
    history: Mapping[str, Any] | None
    id: str

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class AnomalyBatch(Batch):
    """A batch that knows its series.

    Attributes:
        examples: one a row, where the rows are whole series.
    """

    examples: tuple[AnomalyExample, ...] = ()


class SeriesCuts(EpochBatches):
    """Windows of series, cut at random places.

    Args:
        examples: the series, at least one.
        batch_size: rows of a global batch.
        length: steps of a window; a shorter series is taken whole.
        overlap: how often each step is drawn in an epoch, about.
        seed: of the cuts.
        shard: which rows of each global batch this process takes.
    Raises:
        DataError: no series.
        ConfigError: a batch size below 1, or below the number of processes.
    """

    def __init__(
        self,
        examples: Sequence[AnomalyExample],
        batch_size: int,
        length: int,
        overlap: int,
        *,
        seed: int = 0,
        shard: Shard = ONE_PROCESS,
    ) -> None:
        if not examples:
            raise DataError("no series to cut windows of.")
        steps = sum(map(len, examples))
        windows = max(-(-steps * overlap // length), 1)
        super().__init__(windows, batch_size, seed, shard, {"steps": steps, "length": length, "windows": windows})
        self._examples, self._length = examples, length
        # places to cut at, numbered through all series
        self._places = np.array([max(len(one) - length, 0) + 1 for one in examples])
        self._ends = np.cumsum(self._places)

    def _rows(self, indices: np.ndarray) -> Batch:
        series = np.searchsorted(self._ends, indices, side="right")
        first = indices - (self._ends - self._places)[series]
        parts = [self._cut(*place) for place in zip(series.tolist(), first.tolist(), strict=True)]
        inputs, targets = padded([part[0] for part in parts]), padded([part[1] for part in parts], np.nan)
        return Batch(inputs, targets.data)

    def _plan_epoch(self) -> list[np.ndarray]:
        """Longer series are drawn more often."""
        return in_chunks(self._rng().integers(0, self._ends[-1], self._num_rows), self._batch_size)

    def _cut(self, series: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        one, part = self._examples[series], slice(first, first + self._length)
        return one.inputs[part], one.targets[part]


class WholeSeries:
    """Whole series, longest first; satisfies `core.batch.BatchStream`.

    Args:
        examples: the series, at least one.
        batch_size: rows of a batch.
        shard: which rows of each global batch this process takes.
    Raises:
        DataError: no series.
    """

    carries_state = False

    def __init__(self, examples: Sequence[AnomalyExample], batch_size: int, shard: Shard = ONE_PROCESS) -> None:
        if not examples:
            raise DataError("no series to look at.")
        shard.require_rows(batch_size)
        order = sorted(range(len(examples)), key=lambda place: -len(examples[place]))
        self._examples = examples
        self._rows = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        self._shard, self._batch = shard, 0
        self.last_indices: tuple[int, ...] = ()

    def next_batch(self) -> AnomalyBatch | None:
        """The next batch; None at the end, after which the next call starts over."""
        if self._batch >= len(self._rows):
            self._batch = 0
            return None
        self.last_indices = tuple(self._rows[self._batch][self._shard.rank :: self._shard.world_size])
        self._batch += 1
        rows = [self._examples[place] for place in self.last_indices]
        return whole_batch(rows) if rows else whole_batch([self._examples[self._rows[0][0]]], blank=True)

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return len(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"batch": self._batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood."""
        self._batch = int(state["batch"])


def whole_batch(rows: Sequence[AnomalyExample], *, blank: bool = False) -> AnomalyBatch:
    """Whole series as one padded batch."""
    inputs = padded([row.inputs for row in rows])
    targets = padded([row.targets for row in rows], np.nan)
    return AnomalyBatch(inputs, targets.data, tuple(row.id for row in rows), blank=blank, examples=tuple(rows))


def padded(rows: Sequence[np.ndarray], value: float = 0.0) -> Sequences:
    """Rows (T_i, F) as right-padded `Sequences`; without lengths where all are equally long."""
    lengths = np.array([len(row) for row in rows])
    data = np.full((len(rows), int(lengths.max()), rows[0].shape[1]), value, np.float32)
    for target, row in zip(data, rows, strict=True):
        target[: len(row)] = row
    even = (lengths == lengths[0]).all()
    return Sequences(torch.from_numpy(data), None if even else torch.from_numpy(lengths))
