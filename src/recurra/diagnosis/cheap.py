"""Whether targets have anything to do with inputs: what cheap models make of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_MOST, _FOLDS = 3000, 3
_SURE = 2.0
"""Standard errors beyond which a cheap model is better than always the same answer."""
_PLAIN = ("majority", "mean")


@dataclass(frozen=True, slots=True)
class Cheap:
    """Figures of cheap models by cross-validation.

    Attributes:
        rows: how many they were measured on.
        plain: of always the same answer.
        name, best: the best of the models that look at the input, and its figure.
        telling: whether it is better than that.
    """

    rows: int
    plain: float
    name: str
    best: float
    telling: bool


def cheap_models(task: Any, rows: Sequence[Any]) -> Cheap | None:
    """Train the task's baselines on two thirds of the rows and measure them on the rest, three times.

    Args:
        task: with `baselines` among which one looks at no input.
        rows: encoded, with their targets; of many, some are taken.
    Returns:
        None where the task has no such baselines.
    """
    rows = rows[:: max(1, len(rows) // _MOST)]
    tag, wanted = task.compared
    sums: dict[str, float] = {}
    for fold in range(_FOLDS):
        held = rows[fold::_FOLDS]
        known = [row for place, row in enumerate(rows) if place % _FOLDS != fold]
        for name, figures in task.baselines(known, held).items():
            if tag in figures:
                kind = name.split(" (")[0]
                sums[kind] = sums.get(kind, 0.0) + figures[tag] * len(held) / len(rows)
    plain = next((sums[name] for name in _PLAIN if name in sums), None)
    others = {name: value for name, value in sums.items() if name not in _PLAIN}
    if plain is None or not others:
        return None
    name = (max if wanted == "max" else min)(others, key=lambda name: others[name])
    if wanted == "min":
        return Cheap(len(rows), plain, name, others[name], others[name] < 0.95 * plain)
    # a fold that holds more of a class leaves less of it to learn from, so that the mean is below the share of all rows
    plain = max(plain, _largest_share(rows))
    spread = math.sqrt(max(plain * (1 - plain), 1e-4) / len(rows)) if 0 <= plain <= 1 else 0.05
    return Cheap(len(rows), plain, name, others[name], others[name] > plain + _SURE * spread)


def _largest_share(rows: Sequence[Any]) -> float:
    """Of the commonest class; 0 where targets are no classes."""
    targets = [row.target for row in rows]
    if not all(isinstance(target, int | np.integer) for target in targets):
        return 0.0
    return Counter(map(int, targets)).most_common(1)[0][1] / len(rows)
