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
from recurra.data.sampling import require_same_setting
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


class SeriesCuts:
    """Windows of series, cut at random places; satisfies `core.batch.BatchStream`.

    Each epoch draws its windows by (seed, epoch); nothing else is random, so a stream can go on at any batch.

    Args:
        examples: the series, at least one.
        batch_size: rows of a global batch.
        length: steps of a window; a shorter series is taken whole.
        overlap: how often each step is drawn in an epoch, about.
        seed: of the cuts.
        shard: which rows of each global batch this process takes.
    Raises:
        DataError: no series.
    """

    carries_state = False

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
        shard.require_rows(batch_size)
        self._examples, self._length, self._shard = examples, length, shard
        self._places = np.array([max(len(one) - length, 0) + 1 for one in examples])
        steps = sum(map(len, examples))
        self._windows = max(-(-steps * overlap // length), 1)
        self._setting = {
            "steps": steps,
            "length": length,
            "windows": self._windows,
            "batch_size": batch_size,
            "seed": seed,
        }
        self._epoch = self._batch = 0
        self._plan: np.ndarray | None = None

    def next_batch(self) -> Batch | None:
        """The next batch; None at the end of an epoch, after which the next call begins another."""
        if self._plan is None:
            self._plan = self._plan_epoch()
        if self._batch >= self.batches_per_epoch():
            self._epoch, self._batch, self._plan = self._epoch + 1, 0, None
            return None
        size = self._setting["batch_size"]
        rows = self._plan[self._batch * size : (self._batch + 1) * size][self._shard.rank :: self._shard.world_size]
        self._batch += 1
        parts = [self._cut(*place) for place in (rows if len(rows) else self._plan[:1]).tolist()]
        inputs, targets = padded([part[0] for part in parts]), padded([part[1] for part in parts], np.nan)
        return Batch(inputs, targets.data, blank=not len(rows))

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return -(-self._windows // self._setting["batch_size"])

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values; the same for every process."""
        return {"epoch": self._epoch, "batch": self._batch, **self._setting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood.

        Raises:
            ConfigError: the state is of a stream over other data or settings.
        """
        require_same_setting(self._setting, state)
        self._epoch, self._batch, self._plan = int(state["epoch"]), int(state["batch"]), None

    def _plan_epoch(self) -> np.ndarray:
        """(windows, 2) series and first step; longer series are drawn more often."""
        rng = np.random.default_rng([self._setting["seed"], self._epoch])
        ends = np.cumsum(self._places)
        drawn = rng.integers(0, ends[-1], self._windows)
        series = np.searchsorted(ends, drawn, side="right")
        return np.stack([series, drawn - (ends - self._places)[series]], axis=1)

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
        self._rows = [
            [examples[place] for place in order[at : at + batch_size]] for at in range(0, len(order), batch_size)
        ]
        self._shard, self._batch = shard, 0

    def next_batch(self) -> AnomalyBatch | None:
        """The next batch; None at the end, after which the next call starts over."""
        if self._batch >= len(self._rows):
            self._batch = 0
            return None
        rows = self._rows[self._batch][self._shard.rank :: self._shard.world_size]
        self._batch += 1
        return whole_batch(rows) if rows else whole_batch(self._rows[0][:1], blank=True)

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
