"""Batches drawn by (seed, epoch), resumable at any one; of them, batches of examples of similar length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError
from recurra.data.collate import collate_tokens
from recurra.data.sharding import ONE_PROCESS, Shard

Augment = Callable[[Any, int, int], Any]
"""(example, epoch, index of the example) -> changed example; must depend on nothing else."""

Length = Callable[[Any], int]
"""How long an example is."""

_WINDOW = 50
"""Batches whose examples are sorted by length together: enough for little padding, few enough to stay shuffled."""


class EpochBatches(ABC):
    """Batches whose rows are planned anew each epoch by (seed, epoch); satisfies `core.batch.BatchStream`.

    Nothing else is random, so a stream can go on at any batch; `last_indices` tells which rows the last batch held.

    Args:
        num_rows: of an epoch; the last batch of an epoch may have fewer than the others.
        batch_size: rows of a global batch.
        seed: of the plans.
        shard: which rows of each global batch this process takes.
        setting: further JSON values by which a stream over other data or options is told apart.
    Raises:
        ConfigError: a batch size below 1, or below the number of processes.
    """

    carries_state = False

    def __init__(self, num_rows: int, batch_size: int, seed: int, shard: Shard, setting: dict[str, Any]) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: at least 1 is wanted.")
        shard.require_rows(batch_size)
        self.last_indices: tuple[int, ...] = ()
        self._num_rows = num_rows
        self._batch_size = batch_size
        self._seed = seed
        self._shard = shard
        self._setting = {**setting, "batch_size": batch_size, "seed": seed}
        self._epoch = 0
        self._batch = 0
        self._plan: list[np.ndarray] | None = None

    @abstractmethod
    def _plan_epoch(self) -> list[np.ndarray]:
        """The row numbers of each global batch of this epoch."""

    @abstractmethod
    def _rows(self, indices: np.ndarray) -> Batch:
        """These rows as a batch."""

    def next_batch(self) -> Batch | None:
        """The next batch; None at the end of an epoch, after which the next call begins another."""
        if self._plan is None:
            self._plan = self._plan_epoch()
        if self._batch >= len(self._plan):
            self._epoch, self._batch, self._plan = self._epoch + 1, 0, None
            return None
        everyones = self._plan[self._batch]
        own = everyones[self._shard.rank :: self._shard.world_size]
        self._batch += 1
        self.last_indices = tuple(own.tolist())
        return self._rows(own) if len(own) else replace(self._rows(everyones[:1]), blank=True)

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return -(-self._num_rows // self._batch_size)

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

    def _rng(self) -> np.random.Generator:
        """The random numbers of this epoch."""
        return np.random.default_rng([self._seed, self._epoch])


class BucketedBatches(EpochBatches):
    """A stream of batches of examples of similar length.

    With `shuffle`, each epoch permutes the examples, sorts windows of 50 batches by length, and permutes the batches.
    Without it, all examples are sorted by length, longest first.

    Args:
        examples: the encoded split.
        batch_size: rows of a global batch; the last batch of an epoch may have fewer.
        collate: rows -> batch.
        seed: of the shuffling.
        shuffle: True for training, False for evaluation.
        augment: changes an example each time it is drawn, or None.
        shard: which rows of each global batch this process takes.
        length: of an example; by default how many `tokens` it has.
    Raises:
        DataError: no examples.
        ConfigError: a batch size below 1, or below the number of processes.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        batch_size: int,
        collate: Callable[[Sequence[Any]], Batch] = collate_tokens,
        *,
        seed: int = 0,
        shuffle: bool = True,
        augment: Augment | None = None,
        shard: Shard = ONE_PROCESS,
        length: Length = lambda example: len(example.tokens),
    ) -> None:
        if not len(examples):
            raise DataError("no examples to make batches of: is the file, or the part of it that is used, empty?")
        super().__init__(len(examples), batch_size, seed, shard, {"examples": len(examples), "shuffle": shuffle})
        self._examples = examples
        self._collate = collate
        self._shuffle = shuffle
        self._augment = augment
        self._lengths = np.fromiter(map(length, examples), np.int64, len(examples))

    def _rows(self, indices: np.ndarray) -> Batch:
        return self._collate([self._draw(index) for index in indices.tolist()])

    def _draw(self, index: int) -> Any:
        example = self._examples[index]
        return example if self._augment is None else self._augment(example, self._epoch, index)

    def _plan_epoch(self) -> list[np.ndarray]:
        size = self._batch_size
        if not self._shuffle:
            return in_chunks(np.argsort(-self._lengths, kind="stable"), size)
        rng = self._rng()
        order = rng.permutation(len(self._lengths))
        batches = [
            batch
            for window in in_chunks(order, size * _WINDOW)
            for batch in in_chunks(window[np.argsort(-self._lengths[window], kind="stable")], size)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def require_same_setting(setting: dict[str, Any], state: dict[str, Any]) -> None:
    """Check that a saved position belongs to this stream.

    Raises:
        ConfigError: names each value that differs.
    """
    differing = [
        f"{key} {state.get(key)} then, {value} now" for key, value in setting.items() if state.get(key) != value
    ]
    if differing:
        raise ConfigError(
            f"the saved data position is of another data stream ({'; '.join(differing)}). Resume with the data and "
            "options of the first start, or start a new run in another folder."
        )


def in_chunks(indices: np.ndarray, size: int) -> list[np.ndarray]:
    """One part after another, of `size` each; the last may have fewer."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]
