"""Series of numbers -> what a model reads: missing values filled, each dimension on a common scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recurra.core.errors import DataError

Normalisation = Literal["training", "series", "none"]
Filling = Literal["interpolate", "mask"]


@dataclass(frozen=True, slots=True)
class SeriesCoding:
    """How values become steps; fitted on the training split.

    Attributes:
        normalisation: `training`, each dimension by its mean and deviation over the training split; `series`, by those
            of the series itself; `none`.
        missing: `interpolate`, straight lines between known values; `mask`, the same, and a feature for each dimension
            that is 1 where the value was known.
        mean: (C,) of the training split.
        scale: (C,) standard deviation there; 1 where a dimension never changes.
    """

    normalisation: Normalisation
    missing: Filling
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, rows: Sequence[np.ndarray], normalisation: Normalisation, missing: Filling) -> SeriesCoding:
        """Take mean and deviation of (T, C) arrays; each known value counts the same.

        Raises:
            DataError: a dimension is missing throughout.
        """
        values = np.concatenate(rows)
        empty = np.flatnonzero(np.isnan(values).all(axis=0))
        if len(empty):
            raise DataError(f"dimension {empty[0] + 1} has no value in any training series. Leave it out.")
        deviation = np.nanstd(values, axis=0)
        return cls(normalisation, missing, np.nanmean(values, axis=0), np.where(deviation > 0, deviation, 1.0))

    @property
    def size(self) -> int:
        """F, features of a step."""
        return len(self.mean) * (2 if self.missing == "mask" else 1)

    def encode(self, values: np.ndarray, where: str) -> np.ndarray:
        """(T, C) values, NaN where missing -> (T, F) float32.

        Raises:
            DataError: another number of dimensions than in training; or the series never changes and is to be
                normalised by itself.
        """
        if values.shape[1] != len(self.mean):
            raise DataError(
                f"{where}: {values.shape[1]} dimensions, and the model was trained on {len(self.mean)}. Give series of "
                "the same kind."
            )
        known = ~np.isnan(values)
        filled = values if known.all() else _interpolated(values, known, self.mean)
        if self.normalisation == "training":
            filled = (filled - self.mean) / self.scale
        elif self.normalisation == "series":
            filled = self._by_itself(filled, where)
        steps = np.concatenate([filled, known], axis=1) if self.missing == "mask" else filled
        return steps.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What a saved model keeps; how to normalise is among the task's options."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], normalisation: Normalisation, missing: Filling) -> SeriesCoding:
        """What `to_json` gave."""
        return cls(normalisation, missing, np.array(stored["mean"]), np.array(stored["scale"]))

    def _by_itself(self, filled: np.ndarray, where: str) -> np.ndarray:
        deviation = filled.std(axis=0)
        # what rounding leaves of a constant is no deviation
        moves = deviation > 1e-12 * np.abs(filled).max(axis=0, initial=0)
        if not moves.any():
            raise DataError(
                f"{where}: all values of the series are the same ({filled[0, 0]:g}), and normalised by itself nothing "
                "is left of it. Drop the row, or pass task.normalisation=training."
            )
        normalised: np.ndarray = (filled - filled.mean(axis=0)) / np.where(moves, deviation, 1.0)
        return normalised


def _interpolated(values: np.ndarray, known: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Gaps filled by straight lines, ends by the nearest value, a dimension without any value by the training mean."""
    filled = values.copy()
    places = np.arange(len(values))
    for channel in np.flatnonzero(~known.all(axis=0)):
        there = known[:, channel]
        if there.any():
            filled[~there, channel] = np.interp(places[~there], places[there], values[there, channel])
        else:
            filled[:, channel] = mean[channel]
    return filled
