"""A forecast that goes on: one new observation at a time, the model's state carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recurra.core.errors import ConfigError, DataError
from recurra.core.inputs import Window
from recurra.core.outputs import Foreseen
from recurra.core.sequences import Sequences
from recurra.data import Series
from recurra.tasks.base import StreamOptions
from recurra.tasks.forecast_paths import forecast_onward
from recurra.tasks.forecast_results import ForecastResult

_ONE = StreamOptions(batch_size=1, length=1, seed=0, shuffle=False)


class LiveForecast:
    """Forecasts a series that grows.

    After any number of updates, `forecast` gives what the model says of the whole history (of a series that was not in
    training, in the units of the history that this was made with).

    Args:
        task: fitted `tasks.Forecasting`.
        model: its trained model.
        series: the history so far, a `Series` or an array (T,) or (T, C).
    Raises:
        ConfigError: the model can't go on from where it stood.
        DataError: the series does not fit the task.
    """

    def __init__(self, task: Any, model: Any, series: Any) -> None:
        if not hasattr(model, "observe"):
            raise ConfigError("this model reads whole histories alone, so that it can't go on with each observation.")
        self._task, self._model = task, model.eval()
        given = task.reader.as_series(series, 0)
        # What lies ahead is not looked at here, but a window wants something to stand there.
        ahead = (
            np.pad(given.known[: len(given)], ((0, task.horizon), (0, 0)), mode="edge") if len(given) else given.known
        )
        split = task.encode([replace(given, known=ahead)])
        self._row = split.rows[0]
        self._device = next(model.parameters()).device
        self._stamps: np.ndarray = self._row.series.stamps[-2:]
        batch = split.stream(_ONE).next_batch()
        assert batch is not None, "one series is one window"
        window = batch.inputs.to(self._device)
        self._last = window.past.data[0, -1]
        with torch.no_grad():
            self._state = model.observe(window)

    @property
    def series(self) -> Series:
        """The history that this was made with."""
        series: Series = self._row.series
        return series

    @property
    def stamp(self) -> Any:
        """Of the last observation."""
        return self._stamps[-1]

    @torch.no_grad()
    def update(
        self, values: ArrayLike, *, past: Sequence[float] = (), known: Sequence[float] = (), stamp: Any = None
    ) -> None:
        """Take in the next observation.

        Args:
            values: a number, or (C,); NaN is a missing value.
            past: (P,) covariates of this step.
            known: (F,) covariates of this step that were known ahead.
            stamp: of this step; None: the one that follows.
        Raises:
            DataError: other sizes than those of the task, an infinite value, or a stamp that does not come later.
        """
        given = self._sized("values", np.atleast_1d(np.asarray(values, np.float64)), len(self._row.scale.shift))
        stamps = self._task.fit.continued(self._stamps, 1)
        if stamp is not None:
            stamps = np.array([stamp]).astype(self._stamps.dtype)
            if stamps[0] <= self._stamps[-1]:
                raise DataError(f"the stamp {stamps[0]} does not come after {self._stamps[-1]}, the last one.")
        scaled = torch.from_numpy((given - self._row.scale.shift) / self._row.scale.scale).float().to(self._device)
        seen = ~scaled.isnan()
        self._last = torch.where(seen, scaled, self._last)
        window = Window(
            past=Sequences(self._last[None, None]),
            observed=None if bool(seen.all()) else seen[None, None],
            past_covariates=self._covariates("past", past, None),
            past_known=self._covariates("known", known, stamps),
        )
        self._stamps = np.concatenate([self._stamps, stamps])[-2:]
        self._state = self._model.observe(window, self._state)

    @torch.no_grad()
    def forecast(self, horizon: int | None = None, known: ArrayLike | None = None) -> ForecastResult:
        """The steps ahead.

        Args:
            horizon: how many; None: those of the task.
            known: (H, F) covariates known ahead, where the task has some.
        Raises:
            ConfigError: more steps than the model gives.
            DataError: covariates are missing.
        """
        task = self._task.asked_for(horizon, None)
        # a model that gives all steps of its training wants to see the covariates of all
        reach = max(task.horizon, task.config.horizon)
        stamps = task.fit.continued(self._stamps, reach)
        ahead = np.zeros((reach, 0))
        if known is not None:
            given = np.asarray(known, np.float64).reshape(task.horizon, -1)
            ahead = np.pad(given, ((0, reach - task.horizon), (0, 0)), mode="edge")
        found = self._ahead(task, self._covariates("known", ahead, stamps))
        result: ForecastResult = task.results(found, self._row, stamps[: task.horizon])
        return result

    def _ahead(self, task: Any, known: Tensor | None) -> Foreseen:
        nothing = None if known is None else known[:, :0]
        past = torch.zeros(1, 0, len(task.fit.past), device=self._device) if task.fit.past else None
        window = Window(Sequences(self._last[None, None][:, :0]), None, past, nothing, future_known=known)
        return forecast_onward(self._model, self._state, window, task.walk(task.horizon))

    def _covariates(self, kind: str, given: Any, stamps: np.ndarray | None) -> Tensor | None:
        """(1, L, F) in the model's units, those of the calendar behind them; None where the task has none."""
        names = getattr(self._task.fit, kind)
        rows = np.asarray(given, np.float64).reshape(1 if stamps is None else len(stamps), -1)
        parts = [self._task.fit.scaled(kind, self._sized(kind, rows, len(names)))] if names else []
        if not names:
            self._sized(kind, rows, 0)
        if stamps is not None and self._task.fit.calendar:
            parts.append(self._task.fit.dated(stamps))
        if not parts:
            return None
        return torch.from_numpy(np.concatenate(parts, axis=1)).float().to(self._device)[None]

    def _sized(self, name: str, given: np.ndarray, size: int) -> np.ndarray:
        if given.shape[-1] != size or np.isinf(given).any():
            raise DataError(
                f"{name} {given.tolist()} of series {self.series.name!r}: {size} finite numbers a step are wanted."
            )
        return given
