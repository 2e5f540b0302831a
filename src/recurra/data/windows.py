"""Windows of series: a history and what comes after it, cut for a whole batch at once; resumable streams of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from recurra.core.batch import Batch
from recurra.core.errors import DataError
from recurra.core.inputs import Window
from recurra.core.sequences import Sequences
from recurra.data.sampling import EpochBatches, in_chunks
from recurra.data.series_types import carried_forward
from recurra.data.sharding import ONE_PROCESS, Shard


@dataclass(frozen=True, slots=True)
class WindowSeries:
    """One series in the units of the task.

    Attributes:
        values: (T, C), NaN where missing.
        past: (T, P) covariates that end with the values, or None.
        known: (T + K, F) covariates known ahead, K >= 0, or None.
        static: (S,) features of the series as a whole, or None.
        index: which of the training series it is, -1 for a new one.
        name: for `Batch.ids` and messages.
        weight: what the loss of its windows is multiplied by.
        last_line: of its values in the file, for messages; 0 where there is none.
    """

    values: np.ndarray
    past: np.ndarray | None = None
    known: np.ndarray | None = None
    static: np.ndarray | None = None
    index: int = -1
    name: str = ""
    weight: float = 1.0
    last_line: int = 0


class WindowSource:
    """Cuts windows of series: origin o of a series means history [..o) and targets [o..o + H).

    Missing values are filled with the last value before (0 where there is none) and marked in `Window.observed`;
    targets that are missing, or lie beyond the end of the series, are NaN: they do not count.

    Args:
        series: at least one, all of the same sizes.
        context_length: L, steps of history of each window; a shorter history is right-padded. None: all there is.
        horizon: H.
        indexed: whether models may know which series a row is.
        teacher_forced: whether `Window.shifted` is wanted.
        reach: steps of covariates known ahead that a window holds, where these are more than H: those of a model that
            gives more steps than are asked for. What is not known beyond H is as it was last.
    Raises:
        DataError: no series, or sizes that differ.
    """

    def __init__(
        self,
        series: Sequence[WindowSeries],
        context_length: int | None,
        horizon: int,
        *,
        indexed: bool = False,
        teacher_forced: bool = False,
        reach: int = 0,
    ) -> None:
        if not series:
            raise DataError("no series to make windows of.")
        self.horizon = horizon
        self.context_length = context_length
        self.lengths = np.array([len(one.values) for one in series], np.int64)
        self.names = tuple(one.name for one in series)
        self._last_lines = tuple(one.last_line for one in series)
        self._indexed = indexed
        self._teacher_forced = teacher_forced
        longest = max(1, int(self.lengths.max()) if context_length is None else context_length)
        values = [_float(one.values) for one in series]
        has_holes = any(np.isnan(one).any() for one in values)
        filled = [_filled(one) for one in values] if has_holes else values
        # each series is followed by `horizon` rows that are no targets, and the last one by room for a whole window
        self._values = _Flat(filled, horizon, 0.0, longest + horizon)
        self._targets = _Flat(values, horizon, np.nan, longest + horizon)
        self._observed = _Flat([~np.isnan(one) for one in values], horizon, False, longest) if has_holes else None
        self._past = _flat_covariates([one.past for one in series], longest)
        self._reach = max(horizon, reach)
        known = [one.known for one in series]
        self._known_lengths = np.array([0 if one is None else len(one) for one in known], np.int64)
        if self._reach > horizon:
            extra = ((0, self._reach - horizon), (0, 0))
            known = [one if one is None or not len(one) else np.pad(one, extra, mode="edge") for one in known]
        self._known = _flat_covariates(known, longest + self._reach)
        static = [one.static for one in series]
        self._static = None if static[0] is None or not len(static[0]) else torch.from_numpy(_float(np.stack(static)))  # type: ignore[arg-type]
        self._indices = torch.tensor([one.index for one in series])
        weights = np.array([one.weight for one in series], np.float32)
        self._weights = None if (weights == 1).all() else torch.from_numpy(weights)

    def require_known(self, origins: np.ndarray) -> None:
        """Check that the covariates known ahead reach to the end of each window.

        Raises:
            DataError: they end too early; names the series, and how many rows are wanted.
        """
        if self._known is None or not len(origins):
            return
        wanted = origins[:, 1] + self.horizon
        short = np.flatnonzero(wanted > self._known_lengths[origins[:, 0]])
        if len(short):
            series, origin = (int(part) for part in origins[short[0]])
            given = int(self._known_lengths[series]) - origin
            line = self._last_lines[series]
            after = f" after line {line} (the last with values)" if line else ""
            raise DataError(
                f"series {self.names[series]!r}: its covariates that are known ahead (data.series.known) end too "
                f"early: {self.horizon} steps ahead are forecast, and they are given for {max(given, 0)}. Give "
                f"rows{after} for the steps to come, with the values to forecast left empty, or a shorter horizon."
            )

    def collate(self, indices: np.ndarray) -> Batch:
        """The windows of these (series, origin) pairs.

        Args:
            indices: (B, 2) int64; an origin is at least 1 and at most the length of its series.
        Returns:
            inputs `Window`, targets (B, H, C) with NaN where nothing is known, ids `name@origin`.
        """
        which, origins = indices[:, 0], indices[:, 1]
        context = int(origins.max()) if self.context_length is None else self.context_length
        lengths = np.minimum(origins, context)
        begin = origins - lengths
        padding = None if (lengths == context).all() else np.arange(context) >= lengths[:, None]

        def history(flat: _Flat | None) -> Tensor | None:
            return None if flat is None else torch.from_numpy(flat.cut(which, begin, context, padding))

        past = history(self._values)
        assert past is not None
        window = Window(
            past=Sequences(past, None if padding is None else torch.from_numpy(lengths)),
            observed=history(self._observed),
            past_covariates=history(self._past),
            past_known=history(self._known),
            future_known=None
            if self._known is None
            else torch.from_numpy(self._known.cut(which, origins, self._reach)),
            static=None if self._static is None else self._static[which],
            series=self._indices[which] if self._indexed else None,
            shifted=torch.from_numpy(self._values.cut(which, origins - 1, self.horizon))
            if self._teacher_forced
            else None,
        )
        return Batch(
            inputs=window,
            targets=torch.from_numpy(self._targets.cut(which, origins, self.horizon)),
            ids=tuple(
                f"{self.names[series]}@{origin}"
                for series, origin in zip(which.tolist(), origins.tolist(), strict=True)
            ),
            weights=None if self._weights is None else self._weights[which],
        )


class WindowBatches(EpochBatches):
    """A stream of batches of windows.

    With `shuffle`, each epoch permutes the origins and takes the first `samples_per_epoch` of them. Without it, origins
    come in the order given.

    Args:
        source: cuts the windows.
        origins: (n, 2) pairs (series, origin), as from `window_origins`.
        batch_size: rows of a global batch; the last batch of an epoch may have fewer.
        seed: of the shuffling.
        shuffle: True for training, False for evaluation.
        samples_per_epoch: how many windows an epoch holds; None: all.
        shard: which rows of each global batch this process takes.
    Raises:
        DataError: no origins, or covariates known ahead that end too early.
        ConfigError: a batch size below 1, or below the number of processes.
    """

    def __init__(
        self,
        source: WindowSource,
        origins: np.ndarray,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        samples_per_epoch: int | None = None,
        shard: Shard = ONE_PROCESS,
    ) -> None:
        if not len(origins):
            raise DataError(
                f"no window of {source.horizon} steps ahead fits into the data: the series, or this part of them, are "
                "too short. Give longer series, or a shorter horizon."
            )
        size = len(origins) if samples_per_epoch is None or not shuffle else min(samples_per_epoch, len(origins))
        setting = {"windows": len(origins), "samples_per_epoch": size, "shuffle": shuffle}
        super().__init__(size, batch_size, seed, shard, setting)
        source.require_known(origins)
        self._source = source
        self._origins = origins
        self._shuffle = shuffle

    def _rows(self, indices: np.ndarray) -> Batch:
        return self._source.collate(self._origins[indices])

    def _plan_epoch(self) -> list[np.ndarray]:
        count = len(self._origins)
        order = self._rng().permutation(count) if self._shuffle else np.arange(count)
        return in_chunks(order[: self._num_rows], self._batch_size)


def window_origins(
    starts: np.ndarray | Sequence[int], stops: np.ndarray | Sequence[int], horizon: int, stride: int = 1
) -> np.ndarray:
    """All origins whose targets lie in a part of their series.

    Args:
        starts: (N,) where each series' part starts: its first origin, at least 1, as a window needs a history.
        stops: (N,) where it ends: no target lies at or after it.
        horizon: targets of a window.
        stride: steps from one origin to the next.
    Returns:
        (n, 2) int64 pairs (series, origin), series after series.
    """
    pairs = [
        np.stack([np.full(len(own), number), own], axis=1)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
        if len(own := np.arange(max(int(start), 1), int(stop) - horizon + 1, stride))
    ]
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


class _Flat:
    """Series of different lengths behind each other in one array, from which blocks of rows are copied."""

    def __init__(self, series: Sequence[np.ndarray], gap: int, empty: float, tail: int) -> None:
        self.lengths = np.array([len(one) for one in series], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths + gap)[:-1]])
        shape = (int((self.lengths + gap).sum()) + tail, *series[0].shape[1:])
        self._rows = np.full(shape, empty, series[0].dtype)
        for start, one in zip(self._starts.tolist(), series, strict=True):
            self._rows[start : start + len(one)] = one

    def cut(self, which: np.ndarray, begin: np.ndarray, length: int, padding: np.ndarray | None = None) -> np.ndarray:
        """(B, length, C) rows begin.. of each series, 0 where `padding` is True."""
        rows, starts = self._rows, self._starts[which] + begin
        if len(starts) == 1:
            cut = rows[starts[0] : starts[0] + length][None].copy()
        else:
            shape = (len(rows) - length + 1, length, *rows.shape[1:])
            cut = as_strided(rows, shape, (rows.strides[0], *rows.strides), writeable=False)[starts]
        if padding is not None:
            cut[padding] = 0
        return cut


def _flat_covariates(series: Sequence[np.ndarray | None], tail: int) -> _Flat | None:
    if series[0] is None or not series[0].shape[1]:
        return None
    return _Flat([_filled(_float(one)) for one in series if one is not None], 0, 0.0, tail)


def _filled(values: np.ndarray) -> np.ndarray:
    """Without NaN, and without a look at what comes later."""
    return np.nan_to_num(carried_forward(values)) if np.isnan(values).any() else values


def _float(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)
