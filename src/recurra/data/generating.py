"""Examples that are drawn instead of read: fresh ones for each batch, or a fixed number of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recurra.core.batch import Batch
from recurra.data.sampling import EpochBatches, in_chunks
from recurra.data.sharding import ONE_PROCESS, Shard

Draw = Callable[[np.random.Generator, int], Sequence[Any]]
"""(random numbers, how many) -> examples, named by their places "0", "1", ..."""


def drawn_by(draw: Draw, num_examples: int, seed: int, *place: int) -> Sequence[Any]:
    """The examples of a seed and a place such as (epoch, batch); the same for every process and machine."""
    return draw(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place)), num_examples)


class FreshBatches(EpochBatches):
    """A stream that never gives the same example twice: each batch is drawn anew by (seed, epoch, batch).

    Args:
        draw: gives examples.
        collate: rows -> batch.
        num_rows: how many make an epoch; the last batch of an epoch may have fewer than the others.
        batch_size: rows of a global batch.
        seed: of all that is drawn.
        shard: which rows of each global batch this process takes.
    Raises:
        ConfigError: a batch size below 1, or below the number of processes.
    """

    def __init__(
        self,
        draw: Draw,
        collate: Callable[[Sequence[Any]], Batch],
        num_rows: int,
        batch_size: int,
        *,
        seed: int,
        shard: Shard = ONE_PROCESS,
    ) -> None:
        super().__init__(num_rows, batch_size, seed, shard, {"drawn": num_rows})
        self._draw = draw
        self._collate = collate

    def _plan_epoch(self) -> list[np.ndarray]:
        return in_chunks(np.arange(self._num_rows), self._batch_size)

    def _rows(self, indices: np.ndarray) -> Batch:
        number, _ = divmod(int(indices[0]), self._batch_size)
        first = number * self._batch_size
        size = min(self._batch_size, self._num_rows - first)
        # all rows of the global batch, of which each process takes its own
        examples = drawn_by(self._draw, size, self._seed, self._epoch, number)
        return self._collate([examples[index - first] for index in indices.tolist()])
