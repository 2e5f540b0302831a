"""Anomaly scores from prediction errors and values: short windows held against a long one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field, PositiveInt

from recurra.core.config import Config
from recurra.core.errors import ShapeError
from recurra.detection.statistics import LongMoments, LongRecords, ShortMeans

_LEAST_SPREAD = 1e-3
"""In training spreads: steadier errors than this do not make the next one more telling."""
_POWER = 8.0
"""Parts what is a little beyond the records from what lies inside."""
_LN_10 = float(np.log(10))


class ScoringConfig(Config):
    """How odd a step is, from 0 to 1."""

    statistic: Literal["tail", "record"] = Field(
        "tail",
        description="tail: chance of a short mean under the normal distribution of the long window, t / (1 + t) for a "
        "chance of 10^-t; record: distance d from the middle of what the long window holds, in halves of its range, as "
        "d^8 / (1 + d^8), so that 0.5 is the most extreme so far",
    )
    error: Literal["signed", "absolute", "surprise"] = Field(
        "absolute", description="value - forecast, its size, or -log of its predicted density"
    )
    short_windows: list[PositiveInt] = Field(
        [1, 10], description="errors are averaged over so many steps, each by itself"
    )
    value_windows: list[PositiveInt] = Field(
        [], description="the same of the values themselves; the oddest of all counts"
    )
    long_window: int | None = Field(None, ge=2, description="steps that a short mean is held against; none: all before")
    warmup: int = Field(30, ge=1, description="steps before the first score above 0, where no history is known")
    rest: int = Field(
        0, ge=0, description="a step counts only if it is odder than each of so many before it; 0: always"
    )

    @property
    def power(self) -> float:
        """The power to which a step's distance d, or the exponent t of its chance, is raised in s / (1 - s)."""
        return _POWER if self.statistic == "record" else 1.0


class Scorer:
    """Scores rows as they come, in blocks of any size.

    Args:
        config: the options.
        num_columns: C.
    """

    def __init__(self, config: ScoringConfig, num_columns: int) -> None:
        self._config, self._num_columns = config, num_columns
        self._errors = ShortMeans(config.short_windows, num_columns)
        self._values = ShortMeans(config.value_windows, num_columns)
        size = num_columns * (len(config.short_windows) + len(config.value_windows))
        self._long = (LongRecords if config.statistic == "record" else LongMoments)(config.long_window, size)
        signed = config.error == "signed"
        self._two_sided = np.repeat(
            [*[signed] * len(config.short_windows), *[True] * len(config.value_windows)], num_columns
        )
        self._last = np.zeros(config.rest)
        self._seen = 0

    def __call__(self, errors: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Score rows that follow those of the call before.

        Args:
            errors: (n, C), NaN where there was no forecast.
            values: (n, C), NaN where missing.
        Returns:
            (n,) from 0 to 1; 0 where nothing can be said.
        Raises:
            ShapeError: not C columns, or not as many rows.
        """
        if errors.shape != values.shape or errors.shape[1:] != (self._num_columns,):
            raise ShapeError(
                f"Scorer got errors of shape {errors.shape} and values of shape {values.shape}: (n, "
                f"{self._num_columns}) is wanted of both."
            )
        means = np.concatenate([self._errors(errors), self._values(values)], axis=1)
        found = self._record(means) if self._config.statistic == "record" else self._tail(means)
        scores = np.fmax.reduce(found, axis=1, initial=0.0)
        seen = self._seen + np.arange(len(scores))
        self._seen += len(scores)
        return self._rested(np.where(seen < self._config.warmup, 0.0, scores))

    def state(self) -> dict[str, Any]:
        """All that it has seen, as JSON values."""
        parts = {"errors": self._errors, "values": self._values, "long": self._long}
        states = {name: part.state() for name, part in parts.items()}
        return {**states, "last": self._last.tolist(), "seen": self._seen}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` stood."""
        self._errors.load_state(state["errors"])
        self._values.load_state(state["values"])
        self._long.load_state(state["long"])
        last = np.array(state["last"], dtype=np.float64)[max(len(state["last"]) - self._config.rest, 0) :]
        self._last, self._seen = np.pad(last, (self._config.rest - len(last), 0)), int(state["seen"])

    def _tail(self, means: np.ndarray) -> np.ndarray:
        mean, spread = self._long(means)
        z = (means - mean) / np.maximum(spread, _LEAST_SPREAD)
        z = np.where(self._two_sided, np.abs(z), z)
        chance = torch.special.log_ndtr(torch.from_numpy(-z)).numpy() + np.where(self._two_sided, np.log(2), 0.0)
        exponent = np.maximum(-chance / _LN_10, 0.0)
        return exponent / (1 + exponent)

    def _record(self, means: np.ndarray) -> np.ndarray:
        high, low = self._long(means)
        half = np.maximum((high - low) / 2, _LEAST_SPREAD)
        away = (means - (high + low) / 2) / half
        away = np.where(self._two_sided, np.abs(away), np.maximum(away, 0.0)) ** _POWER
        return away / (1 + away)

    def _rested(self, scores: np.ndarray) -> np.ndarray:
        rest = self._config.rest
        if not rest:
            return scores
        rows = np.concatenate([self._last, scores])
        self._last = rows[len(scores) :]
        before = sliding_window_view(rows[:-1], rest).max(axis=1)
        return np.where(scores > before, scores, 0.0)
