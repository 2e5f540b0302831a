"""Windows of forecasting: rows of values with their scales, the origins they are cut at, batches that know both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.baselines.forecasting import FORECAST_BASELINES
from recurra.core.batch import Batch
from recurra.data import Series, WindowBatches, WindowSeries, WindowSource
from recurra.metrics.forecasting import seasonal_scales
from recurra.tasks.base import StreamOptions
from recurra.tasks.forecast_fit import ForecastFit, Scale, without_holes
from recurra.tasks.forecast_results import ForecastTruth

_MOST_FOR_OWA = 5_000
"""Origins; beyond them, Naive2 is left to the baselines of the report."""


@dataclass(frozen=True)
class ForecastRow:
    """What one window is cut from: a series, or one column of it.

    Attributes:
        series: its `values` are the C columns that are forecast together, as in the file.
        scale: their units.
        calendar: (T + K, F) features of the date of each step.
        index: which of the training rows it is, -1 for a new one.
    """

    series: Series
    scale: Scale
    calendar: np.ndarray
    index: int

    def window_series(self, fit: ForecastFit, ahead: int) -> WindowSeries:
        """The same in the units of the model.

        Args:
            fit: scales of the covariates.
            ahead: steps after the end that windows may look at.
        """
        one, steps = self.series, len(self.series) + ahead
        known = [fit.scaled("known", one.known[:steps])] if fit.known else []
        if fit.calendar:
            known.append(self.calendar[: min(steps, *(len(part) for part in known), len(self.calendar))])
        return WindowSeries(
            values=(one.values - self.scale.shift) / self.scale.scale,
            past=fit.scaled("past", one.past) if fit.past else None,
            known=np.concatenate([part[: min(map(len, known))] for part in known], axis=1) if known else None,
            static=fit.scaled("static", one.static) if fit.static else None,
            index=self.index,
            name=one.name,
            last_line=0 if one.rows is None or not len(one.rows) else int(one.rows[-1]),
        )


@dataclass(frozen=True)
class ForecastSplit:
    """Rows, and the origins at which windows are cut.

    Attributes:
        rows: all that windows may be cut from.
        places: (N, 2) pairs (row, origin).
        horizon: H.
        context_length: steps of history that a window holds; None: all there are.
        fit: what was fitted.
        samples: windows that an epoch of training draws; None: all.
        asked: whether the steps ahead are asked for, and not known.
        trained_horizon: H of the training, whose covariates a model wants to see even where fewer steps are asked for.
        ends: (R,) where the training part of each row ends, for baselines; empty where none is known.
    """

    rows: tuple[ForecastRow, ...]
    places: np.ndarray
    horizon: int
    context_length: int | None
    fit: ForecastFit
    samples: int | None = None
    asked: bool = False
    trained_horizon: int = 0
    ends: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    def stream(self, options: StreamOptions) -> ForecastStream:
        """Batches; in training, decoders may read the targets shifted by one."""
        key, reach = "training" if options.shuffle else "evaluation", max(self.horizon, self.trained_horizon)
        if key not in self._kept:
            self._kept[key] = WindowSource(
                [row.window_series(self.fit, reach if self.asked else reach - self.horizon) for row in self.rows],
                self.context_length,
                self.horizon,
                indexed=True,
                teacher_forced=options.shuffle,
                reach=reach,
            )
        return ForecastStream(self, self._kept[key], options)

    def truths(self, chosen: np.ndarray) -> list[ForecastTruth]:
        """What came after some of the origins, given by their numbers (B,)."""
        naive = self._naive2()
        found = []
        for number in chosen.tolist():
            row, origin = self.rows[int(self.places[number, 0])], int(self.places[number, 1])
            one, stop = row.series, origin + self.horizon
            found.append(
                ForecastTruth(
                    series=one.name,
                    values=one.values[origin:stop],
                    spread=row.scale.spread,
                    seasonal=self._seasonal(int(self.places[number, 0]))[origin],
                    naive=None if naive is None else naive[number],
                    history=one.values[:origin],
                    stamps=one.stamps[:origin],
                )
            )
        return found

    def histories(self) -> list[np.ndarray]:
        """What was known at each origin, (T, C), holes filled with what stood before them."""
        whole = self.filled()
        return [whole[row][:origin] for row, origin in self.places.tolist()]

    def filled(self) -> list[np.ndarray]:
        """The values of each row without holes."""
        if "filled" not in self._kept:
            self._kept["filled"] = [without_holes(row.series.values) for row in self.rows]
        found: list[np.ndarray] = self._kept["filled"]
        return found

    def _seasonal(self, row: int) -> np.ndarray:
        key = f"seasonal-{row}"
        if key not in self._kept:
            self._kept[key] = seasonal_scales(self.rows[row].series.values, self.fit.season)
        found: np.ndarray = self._kept[key]
        return found

    def _naive2(self) -> np.ndarray | None:
        """(N, H, C) Naive2 from each origin, where there are not too many."""
        if len(self.places) > _MOST_FOR_OWA:
            return None
        if "naive2" not in self._kept:
            self._kept["naive2"] = FORECAST_BASELINES["naive2"](self.fit.season).forecast(
                self.histories(), self.horizon
            )
        found: np.ndarray = self._kept["naive2"]
        return found


@dataclass(frozen=True, slots=True)
class ForecastBatch(Batch):
    """A batch that knows where its windows come from.

    Attributes:
        split: where.
        chosen: (B,) numbers of its origins.
    """

    split: ForecastSplit | None = None
    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def rows(self) -> np.ndarray:
        """(B,) the row of each window."""
        return self.whole.places[self.chosen, 0]

    @property
    def whole(self) -> ForecastSplit:
        """The split."""
        assert self.split is not None, "a batch of forecasting comes from a split"
        return self.split


class ForecastStream:
    """Batches of a split that know their origins; satisfies `core.batch.BatchStream`."""

    carries_state = False

    def __init__(self, split: ForecastSplit, source: WindowSource, options: StreamOptions) -> None:
        """Cut the windows of `split` by `source`."""
        self._split = split
        self._batches = WindowBatches(
            source,
            split.places,
            options.batch_size,
            seed=options.seed,
            shuffle=options.shuffle,
            samples_per_epoch=split.samples,
            shard=options.shard,
        )

    def next_batch(self) -> ForecastBatch | None:
        """The next batch; None at the end of an epoch."""
        batch = self._batches.next_batch()
        if batch is None:
            return None
        chosen = np.array(self._batches.last_indices, np.int64)
        return ForecastBatch(
            inputs=batch.inputs,
            targets=batch.targets,
            ids=tuple(map(str, chosen.tolist())),
            weights=batch.weights,
            blank=batch.blank,
            split=self._split,
            chosen=chosen,
        )

    @property
    def last_indices(self) -> tuple[int, ...]:
        """Numbers of the last batch's origins."""
        return self._batches.last_indices

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return self._batches.batches_per_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values."""
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood."""
        self._batches.load_state_dict(state)


def training_starts(ends: np.ndarray, context_length: int, horizon: int) -> np.ndarray:
    """(R,) the first training origin of each row: after a whole context, or half of what there is room for."""
    room = (ends - horizon) // 2
    return np.maximum(np.minimum(context_length, room), 1)
