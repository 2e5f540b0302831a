"""The tables: a new one is one file, with `measure` and `render`, and one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..cases import Settings
from ..peers import PEERS
from . import options, padding, scan, shapes, step, sweep, user_cell

Measure = Callable[[str, Settings, str], list[dict]]
Render = Callable[[dict[str, list[dict]], dict], str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        measure: (peer, settings, clock) -> rows; runs in the peer's process.
        render: (peer -> rows, environment) -> Markdown.
        peers: each gets a process.
        cells: kinds, where the command names none.
    """

    measure: Measure
    render: Render
    peers: Sequence[str] = ("torch",)
    cells: Sequence[str] = ("lstm", "gru", "elman")


TABLES = {
    "shapes": Table(shapes.measure, shapes.render, tuple(PEERS), ("lstm", "gru")),
    "elman": Table(shapes.measure, shapes.render, tuple(PEERS), ("elman",)),
    "options": Table(options.measure, options.render, cells=("lstm", "gru")),
    "padding": Table(padding.measure, padding.render),
    "scan": Table(scan.measure, scan.render),
    "sweep": Table(sweep.measure, sweep.render),
    "step": Table(step.measure, step.render, ("torch", "onnxruntime"), ("lstm", "gru")),
    "user-cell": Table(user_cell.measure, user_cell.render, cells=("lstm",)),
}
