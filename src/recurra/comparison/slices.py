"""A model on the parts of its data: by length, by label, by what else is known of an item; the weakest are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from recurra.comparison.significance import Interval, bootstrap, interval
from recurra.core.batch import Metrics
from recurra.core.errors import ConfigError, did_you_mean
from recurra.tasks.judging import Judged
from recurra.training.evaluation import defined

_NUM_BINS = 5
_MOST_PARTS = 50
_FEW_ITEMS = 10
_DRAWS = 500


class Slice(NamedTuple):
    """A part of the items.

    Attributes:
        name: such as "8-12", or a label.
        items: how many.
        figure: the compared one.
        interval: of it, by drawing items; None where items can't be drawn one by one, or are too few.
        loss: mean over the items.
        metrics: all figures by tag.
    """

    name: str
    items: int
    figure: float
    interval: Interval | None
    loss: float
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """Items told apart by one thing.

    Attributes:
        by: "length", "label", or a column.
        tag: of the compared figure.
        whole: the figure over all items.
        parts: in their order; of many the largest.
        weak: names of those that are clearly worse than the whole, the worst first.
        left_out: how many more parts there are.
    """

    by: str
    tag: str
    whole: float
    parts: tuple[Slice, ...]
    weak: tuple[str, ...]
    left_out: int


def slice_by(
    by: str,
    judged: Judged,
    metrics: Callable[[], Metrics],
    compared: tuple[str, Literal["min", "max"]],
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Slicing:
    """Figures of the parts that items fall into.

    Args:
        by: "length", a name among `judged.marks`, or of a column.
        judged: the items.
        metrics: a fresh collector.
        compared: tag of the figure by which parts are compared, and whether less or more of it is better.
        columns: by name, the value of each item.
    Raises:
        ConfigError: nothing of that name is known.
    """
    parts = _places(by, judged, columns or {})
    largest = sorted(parts, key=lambda name: -len(parts[name]))[:_MOST_PARTS]
    tag, wanted = compared
    whole = float(judged.figure(judged.terms.sum(axis=0)))
    found = tuple(_slice(name, places, judged, metrics, tag) for name, places in parts.items() if name in largest)
    sign = 1.0 if wanted == "min" else -1.0
    weak = sorted((one for one in found if _is_weak(one, whole, sign)), key=lambda one: -sign * one.figure)
    return Slicing(
        by=by,
        tag=tag,
        whole=whole,
        parts=found,
        weak=tuple(one.name for one in weak),
        left_out=len(parts) - len(found),
    )


def _places(by: str, judged: Judged, columns: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Numbers of the items of each part."""
    if by == "length":
        return _binned(judged.lengths.astype(np.float64))
    if by in judged.marks:
        return _named(judged.marks[by])
    if by in columns:
        numbers = _numbers(columns[by])
        return _named([(value,) for value in columns[by]]) if numbers is None else _binned(numbers)
    known = ["length", *judged.marks, *columns]
    raise ConfigError(f"--slices {by}: nothing by that name is known of the items.{did_you_mean(by, known)}")


def _named(values: Sequence[tuple[str, ...]]) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {}
    for place, names in enumerate(values):
        for name in names:
            parts.setdefault(name or "(empty)", []).append(place)
    return dict(sorted(parts.items()))


def _binned(values: np.ndarray) -> dict[str, list[int]]:
    """About as many items in each of five bins; equal values are never parted."""
    tops = np.unique(np.quantile(values, np.linspace(0, 1, _NUM_BINS + 1)[1:], method="higher"))
    bins = np.searchsorted(tops, values)
    parts = {}
    for number in np.unique(bins):
        places = np.flatnonzero(bins == number)
        low, high = values[places].min(), values[places].max()
        parts[f"{low:g}" if low == high else f"{low:g}-{high:g}"] = places.tolist()
    return parts


def _numbers(values: Sequence[str]) -> np.ndarray | None:
    """A column of numbers that has more different ones than there are bins."""
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and len(np.unique(numbers)) > 2 * _NUM_BINS else None


def _slice(name: str, places: list[int], judged: Judged, metrics: Callable[[], Metrics], tag: str) -> Slice:
    collector = metrics()
    collector.update([judged.predictions[p] for p in places], [judged.references[p] for p in places])
    figures: dict[str, Any] = defined(collector.compute())
    drawn = None
    if len(judged.terms) == len(judged) and len(places) >= _FEW_ITEMS:
        drawn = interval(bootstrap([judged.terms[places]], judged.figure, num_draws=_DRAWS)[0])
    return Slice(name, len(places), figures.get(tag, float("nan")), drawn, float(judged.losses[places].mean()), figures)


def _is_weak(part: Slice, whole: float, sign: float) -> bool:
    """Clearly worse than all items together: its whole interval is."""
    if part.interval is None:
        return part.items >= _FEW_ITEMS and sign * part.figure > sign * whole
    return sign * whole < min(sign * part.interval.low, sign * part.interval.high)
