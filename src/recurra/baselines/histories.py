"""What the cheap forecasters share: histories of unequal length, taken a length at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from recurra.core.errors import DataError

Histories = np.ndarray | Sequence[np.ndarray]


def groups_of_length(histories: Histories, reach: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The last `reach` steps of each history, those of one length together.

    Args:
        histories: N of (T, C), or (N, T, C).
        reach: at least 1; shorter histories are taken whole.
    Returns:
        Pairs of indices (n,) and tails (n, t, C) float64; the indices are 0..N-1 in all.
    Raises:
        DataError: a history without a step.
    """
    if isinstance(histories, np.ndarray):
        if histories.shape[1] == 0:
            raise DataError("The histories to forecast from are empty: a forecast needs one value at least.")
        return [(np.arange(len(histories)), np.asarray(histories[:, -reach:], np.float64))]
    members: dict[int, list[int]] = defaultdict(list)
    for index, history in enumerate(histories):
        if len(history) == 0:
            raise DataError(f"History {index} to forecast from is empty: a forecast needs one value at least.")
        members[min(len(history), reach)].append(index)
    return [
        (np.array(indices), np.stack([np.asarray(histories[index][-reach:], np.float64) for index in indices]))
        for indices in members.values()
    ]


def by_length(histories: Histories, reach: int, forecast: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`forecast` of the tails (n, t, C) of each length of `groups_of_length`, put together as (N, H, C)."""
    found = [(indices, forecast(tails)) for indices, tails in groups_of_length(histories, reach)]
    if len(found) == 1:
        return found[0][1]
    joined = np.empty((len(histories), *found[0][1].shape[1:])) if found else np.empty((0, 0, 0))
    for indices, part in found:
        joined[indices] = part
    return joined


def repeat_season(season: np.ndarray, horizon: int) -> np.ndarray:
    """(N, H, C): a season (N, period, C) again and again."""
    return season[:, np.arange(horizon) % season.shape[1]]
