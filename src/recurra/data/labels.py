"""The names of classes, in order."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from recurra.core.errors import DataError, did_you_mean


class Labels:
    """Class names <-> class indices.

    Args:
        names: distinct, in the order of their indices.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._index = {name: index for index, name in enumerate(self.names)}
        if len(self._index) < len(self.names):
            raise DataError(f"labels are not distinct: {', '.join(self.names)}.")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str, where: str) -> int:
        """The index of `name`.

        Raises:
            DataError: the model does not know this label.
        """
        found = self._index.get(name)
        if found is None:
            raise DataError(
                f"{where}: label {name!r} is not one that the model was trained on."
                f"{did_you_mean(name, self.names)} Correct the row, or train with rows of this label."
            )
        return found


def fit_labels(given: Iterable[str]) -> Labels:
    """The distinct labels, sorted; as numbers where all of them are numbers.

    Raises:
        DataError: fewer than two.
    """
    names = set(given)
    if len(names) < 2:
        only = f"only {next(iter(names))!r}" if names else "none"
        raise DataError(f"a classifier needs at least two labels to tell apart, and the training rows hold {only}.")
    numbers = {name: _as_number(name) for name in names}
    if None in numbers.values():
        return Labels(sorted(names))
    return Labels(sorted(names, key=lambda name: (numbers[name], name)))


def smoothed_shares(counts: np.ndarray) -> np.ndarray:
    """Share of each label among all rows, half a row added to each, so that none is 0."""
    shares: np.ndarray = (counts + 0.5) / (counts + 0.5).sum()
    return shares


def _as_number(name: str) -> float | None:
    try:
        number = float(name)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
