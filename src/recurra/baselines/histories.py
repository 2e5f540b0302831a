"""What the cheap forecasters share: histories of unequal length, taken a length at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from recurra.core.errors import DataError

Histories = np.ndarray | Sequence[np.ndarray]

# values of histories that are copied and looked at together
_CHUNK = 4_000_000


def groups_of_length(histories: Histories, reach: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The last `reach` steps of histories, those of one length together, in portions that fit into memory.

    Args:
        histories: N of (T, C), or (N, T, C).
        reach: at least 1; shorter histories are taken whole.
    Yields:
        Pairs of indices (n,) and tails (n, t, C) float64; the indices are 0..N-1 in all.
    Raises:
        DataError: a history without a step.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, history in enumerate(histories):
        if len(history) == 0:
            raise DataError(f"History {index} to forecast from is empty: a forecast needs one value at least.")
        members[min(len(history), reach)].append(index)
    for length, indices in members.items():
        size = max(1, _CHUNK // (length * histories[0].shape[1]))
        for start in range(0, len(indices), size):
            chosen = np.array(indices[start : start + size])
            tails = [np.asarray(histories[index][-reach:], np.float64) for index in chosen.tolist()]
            yield chosen, np.stack(tails)


def by_length(histories: Histories, reach: int, forecast: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """`forecast` of the indices (n,) and tails (n, t, C) of `groups_of_length`, put together as (N, H, C)."""
    found = [(indices, forecast(indices, tails)) for indices, tails in groups_of_length(histories, reach)]
    joined = np.empty((len(histories), *found[0][1].shape[1:])) if found else np.empty((0, 0, 0))
    for indices, part in found:
        joined[indices] = part
    return joined


def repeat_season(season: np.ndarray, horizon: int) -> np.ndarray:
    """(N, H, C): a season (N, period, C) again and again."""
    return season[:, np.arange(horizon) % season.shape[1]]
