"""The tail of a distribution: the generalised Pareto distribution of what exceeds a high level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_GRID = 400
_ROUNDS = 6
_NO_SHAPE = 1e-6
"""Below this shape the distribution is the exponential one, to all digits that matter."""


class ParetoTail(NamedTuple):
    """A generalised Pareto distribution of excesses y >= 0: P(Y > y) = (1 + shape * y / scale)^(-1 / shape).

    Attributes:
        shape: 0 is the exponential distribution; above it tails are heavy, below it they end.
        scale: above 0.
    """

    shape: float
    scale: float

    def exceeded(self, share: float) -> float:
        """The excess that is passed with a chance of `share`."""
        if abs(self.shape) < _NO_SHAPE:
            return -self.scale * float(np.log(share))
        return self.scale / self.shape * (share**-self.shape - 1)


def fit_pareto(excesses: np.ndarray) -> ParetoTail:
    """The likeliest generalised Pareto distribution.

    With x = shape / scale, the best shape for a given x is the mean of log(1 + x y), so that one number is searched
    for: Grimshaw (1993), Technometrics 35(2).

    Args:
        excesses: (k,) above 0, at least one.
    """
    unit = float(excesses.mean())
    excesses = excesses / unit
    # the likelihood has no upper bound for shapes below -1, where the tail ends at the largest excess
    low, high = -(1 - 1e-6) / float(excesses.max()), 100.0
    # log-likelihood of a value, shape, scale: the exponential distribution to start from
    best = (-1.0, 0.0, 1.0)
    grid = np.concatenate([np.linspace(low, 0, _GRID // 2, endpoint=False), np.geomspace(1e-4, high, _GRID // 2)])
    for _ in range(_ROUNDS):
        grid = grid[np.abs(grid) > 1e-9]
        shapes = np.log1p(grid[:, None] * excesses).mean(axis=1)
        fitting = shapes > -1
        grid, shapes = grid[fitting], shapes[fitting]
        if not len(grid):
            break
        scales = shapes / grid
        likelihood = -np.log(scales) - 1 - shapes
        place = int(np.argmax(likelihood))
        if likelihood[place] > best[0]:
            best = (float(likelihood[place]), float(shapes[place]), float(scales[place]))
        grid = np.linspace(grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)], 50)
    return ParetoTail(best[1], best[2] * unit)
