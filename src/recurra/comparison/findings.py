"""What a comparison finds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from recurra.comparison.significance import Interval


class Spread(NamedTuple):
    """A figure over seeds: mean, and the standard deviation where there are several."""

    mean: float
    deviation: float | None


class Difference(NamedTuple):
    """Of a row from the reference: by how much; interval and p-value of the paired bootstrap; McNemar's p-value.

    What there are too few items for, or no right and wrong, is None.
    """

    mean: float
    interval: Interval | None
    p: float | None
    mcnemar: float | None


class Cost(NamedTuple):
    """Means over the runs of a row: training, that of what it started from, size in memory and on disk, time an item.

    What was not noted is None.
    """

    core_seconds: float | None
    pretraining: float | None
    parameters: int
    num_bytes: int
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """Runs that differ in their seed alone.

    Attributes:
        name: short, for tables.
        runs: their folders.
        figure: by which rows are compared.
        interval: of the mean over the seeds, by drawing items; None of too few.
        difference: from the reference; None for the reference itself.
        cost: what it took.
        metrics: all figures by tag.
    """

    name: str
    runs: tuple[str, ...]
    figure: Spread
    interval: Interval | None
    difference: Difference | None
    cost: Cost
    metrics: dict[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `compare` finds.

    Attributes:
        task: kind of all runs.
        tag: of the compared figure.
        wanted: whether less or more of it is better.
        split: what was measured.
        num_items: how many there are.
        rows: the best first.
        reference: name of the row that others are held against.
        baselines: figures of cheap models by name, and tag.
    """

    task: str
    tag: str
    wanted: Literal["min", "max"]
    split: str
    num_items: int
    rows: tuple[Row, ...]
    reference: str
    baselines: dict[str, dict[str, float]]

    def better(self, first: float, second: float) -> bool:
        """Whether the first figure is the better one."""
        return first > second if self.wanted == "max" else first < second
