"""Contiguous batches of a token corpus, for models that carry their state from batch to batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError
from recurra.core.sequences import Sequences
from recurra.data.sampling import require_same_setting
from recurra.data.sharding import ONE_PROCESS, Shard
from recurra.data.tokens import TokenCorpus


class TokenStream:
    """Windows over `batch_size` contiguous rows of a corpus; satisfies `core.batch.BatchStream`.

    The corpus is cut into rows whose lengths differ by at most one token, and window k + 1 of a row follows its
    window k, so that the state carries on. Every token is predicted exactly once an epoch. The input is the corpus
    shifted by one, with eos before the first token of each document, where `reset` is True as well. The last window
    is as long as what is left; rows that are done have fewer steps, down to 0.

    Args:
        corpus: the tokens and where documents start.
        batch_size: rows of the global batch, each with its own state.
        length: steps of a window.
        seed: of the window lengths, where `jitter` is not 0.
        jitter: window lengths vary from length - jitter to length + jitter, anew each epoch; 0: all the same.
        shard: which rows of each global batch this process takes.
    Raises:
        DataError: no tokens.
        ConfigError: a batch size or length below 1, jitter not below length, or fewer rows than processes.
    """

    carries_state = True

    def __init__(
        self,
        corpus: TokenCorpus,
        batch_size: int,
        length: int,
        *,
        seed: int = 0,
        jitter: int = 0,
        shard: Shard = ONE_PROCESS,
    ) -> None:
        num_tokens = len(corpus.tokens)
        if num_tokens == 0:
            raise DataError("the corpus holds no tokens: is the file, or the part of it that is used, empty?")
        if batch_size < 1 or length < 1 or not 0 <= jitter < length:
            raise ConfigError(
                f"batch_size={batch_size}, length={length}, jitter={jitter}: batch size and length are at least 1, "
                "and jitter is from 0 to length - 1."
            )
        shard.require_rows(batch_size)
        self._tokens = np.asarray(corpus.tokens)
        self._starts = np.union1d(corpus.starts, [0])
        self._eos_index = corpus.eos_index
        self._shard = shard
        self._length = length
        self._jitter = jitter
        self._seed = seed
        self._setting = {
            "tokens": num_tokens, "batch_size": batch_size, "length": length, "jitter": jitter, "seed": seed
        }  # fmt: skip
        short, longer = divmod(num_tokens, batch_size)
        row = np.arange(batch_size)
        starts = row * short + np.minimum(row, longer)
        row_lengths = short + (row < longer)
        self._row_length = short + (longer > 0)
        self._row_starts = starts[shard.rank :: shard.world_size].astype(np.int64)
        self._row_lengths = row_lengths[shard.rank :: shard.world_size].astype(np.int64)
        self._epoch = 0
        self._batch = 0
        self._borders = self._plan_epoch()

    def next_batch(self) -> Batch | None:
        """The next batch; None at the end of an epoch, after which the next call begins another, from initial states.

        Returns:
            inputs.data and targets (B, T) int64. inputs.lengths is None where all rows are full, inputs.reset where no
            document starts in the window.
        """
        if self._batch + 1 >= len(self._borders):
            self._epoch, self._batch = self._epoch + 1, 0
            self._borders = self._plan_epoch()
            return None
        begin, end = int(self._borders[self._batch]), int(self._borders[self._batch + 1])
        self._batch += 1
        return self._window(begin, end)

    @property
    def last_indices(self) -> tuple[int, ...]:
        """Numbers of the last batch's windows in the order of the corpus, without gaps."""
        rows = self._shard.rank + self._shard.world_size * np.arange(len(self._row_starts))
        return tuple((rows * self.batches_per_epoch() + self._batch - 1).tolist())

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return len(self._borders) - 1

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values; the same for every process."""
        return {"epoch": self._epoch, "batch": self._batch, **self._setting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood.

        Raises:
            ConfigError: the state is of a stream over other data or settings.
        """
        require_same_setting(self._setting, state)
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])
        self._borders = self._plan_epoch()

    def _plan_epoch(self) -> np.ndarray:
        """Where the windows of this epoch begin and end inside each row."""
        total = self._row_length
        if not self._jitter:
            return np.append(np.arange(0, total, self._length), total)
        # Borders move, not widths: the number of windows stays the same, as schedules and checkpoints need it.
        rng = np.random.default_rng([self._seed, self._epoch])
        borders = np.arange(self._length, total, self._length)
        borders += rng.integers(0, self._jitter + 1, size=len(borders)) - self._jitter // 2
        return np.concatenate([[0], np.minimum(borders, total - 1), [total]])

    def _window(self, begin: int, end: int) -> Batch:
        tokens = self._tokens
        first = self._row_starts + begin
        lengths = np.clip(self._row_lengths - begin, 0, end - begin)
        places = first[:, None] + np.arange(-1, end - begin)[None, :]
        ragged = bool((lengths < end - begin).any())
        if ragged or begin == 0:
            np.clip(places, 0, len(tokens) - 1, out=places)
        window = tokens[places]
        inputs, targets = window[:, :-1].astype(np.int64), window[:, 1:].astype(np.int64)
        if ragged:
            padding = np.arange(end - begin)[None, :] >= lengths[:, None]
            inputs[padding] = 0
            targets[padding] = 0
        reset = self._resets(first, lengths, inputs.shape)
        if reset is not None:
            inputs[reset] = self._eos_index
        return Batch(
            Sequences(
                torch.from_numpy(inputs),
                torch.from_numpy(lengths) if ragged else None,
                None if reset is None else torch.from_numpy(reset),
            ),
            torch.from_numpy(targets),
        )

    def _resets(self, first: np.ndarray, lengths: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
        """(B, T) bool, True where a document starts; None where none does."""
        starts = self._starts
        low = np.searchsorted(starts, first)
        high = np.searchsorted(starts, first + lengths)
        found = high - low
        total = int(found.sum())
        if total == 0:
            return None
        rows = np.repeat(np.arange(len(found)), found)
        which = np.arange(total) - np.repeat(np.cumsum(found) - found, found) + np.repeat(low, found)
        reset = np.zeros(shape, dtype=bool)
        reset[rows, starts[which] - first[rows]] = True
        return reset
