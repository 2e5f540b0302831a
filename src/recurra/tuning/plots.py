"""The plots of a search as inline SVG: history, importance, parallel coordinates, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.runs.axes import Axis, escape, format_number, format_tick, shorten
from recurra.runs.tune_options import Values
from recurra.tuning.scales import scale_of, value_axis, written

WIDTH, HEIGHT = 480, 236
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 10, 38
_BAR, _NAME = 26, 200
_LANE, _TALL = 130, 330
_FAINTEST = 0.12


@dataclass(frozen=True, slots=True)
class Point:
    """A trial that came to its end.

    Attributes:
        number: of the trial.
        value: its figure.
        options: by dotted name, as far as they applied.
    """

    number: int
    value: float
    options: Mapping[str, Any]


def history(points: Sequence[Point], less_is_better: bool, tag: str) -> str:
    """The figure of each trial, and the best so far."""
    across = Axis(-0.5, max(point.number for point in points) + 0.5, LEFT, WIDTH - RIGHT)
    up = value_axis([point.value for point in points], HEIGHT - BOTTOM, TOP)
    best, steps = points[0].value, [f"{across.place(points[0].number)} {up.place(points[0].value)}"]
    for point in points[1:]:
        x = across.place(point.number)
        steps.append(f"{x} {up.place(best)}")
        best = min(best, point.value) if less_is_better else max(best, point.value)
        steps.append(f"{x} {up.place(best)}")
    marks = [(across.place(tick), format_tick(tick)) for tick in across.ticks() if tick.is_integer() and tick >= 0]
    dots = "".join(_dot(across.place(point.number), up, point, tag) for point in points)
    path = f'<path class="line s2" d="M{"L".join(steps)}"/>' if len(points) > 1 else ""
    return _svg(WIDTH, HEIGHT, "history", _frame(up, marks) + path + dots)


def slices(name: str, entry: Values, points: Sequence[Point], tag: str) -> str:
    """The figure of each trial against one of its options; "" where no trial has it."""
    shown = [point for point in points if name in point.options]
    if not shown:
        return ""
    across = scale_of(entry, LEFT + 8, WIDTH - RIGHT)
    up = value_axis([point.value for point in points], HEIGHT - BOTTOM, TOP)
    dots = "".join(_dot(across.place(point.options[name]), up, point, tag) for point in shown)
    return _svg(WIDTH, HEIGHT, name, _frame(up, across.marks()) + dots)


def importance(shares: Mapping[str, float]) -> str:
    """A bar for each option, the most important first."""
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    widest = WIDTH - _NAME - 60
    parts = []
    for row, (name, share) in enumerate(ranked):
        y, width = row * _BAR, round(share * widest, 1)
        parts.append(
            f'<text class="label" x="{_NAME - 8}" y="{y + 17}" text-anchor="end">{escape(shorten(name, 28))}</text>'
            f'<rect class="heat" x="{_NAME}" y="{y + 5}" width="{max(width, 1)}" height="16" rx="2"/>'
            f'<text class="tick" x="{_NAME + max(width, 1) + 6}" y="{y + 17}">{share:.1%}</text>'
        )
    return _svg(WIDTH, len(ranked) * _BAR + 6, "importance", "".join(parts))


def parallel(space: Mapping[str, Values], points: Sequence[Point], less_is_better: bool, tag: str) -> str:
    """A line for each trial across all options to its figure; the better, the darker, the best one in colour."""
    names = [name for name in space if any(name in point.options for point in points)]
    width, floor = _LANE * (len(names) + 1), _TALL - 30
    lanes = {name: (_LANE * (index + 0.5), scale_of(space[name], floor, 46)) for index, name in enumerate(names)}
    last, up = _LANE * (len(names) + 0.5), value_axis([point.value for point in points], floor, 46)
    ranked = sorted(points, key=lambda point: point.value, reverse=less_is_better)
    parts = []
    for rank, point in enumerate(ranked):
        at = [(x, scale.place(point.options[name])) for name, (x, scale) in lanes.items() if name in point.options]
        path = "L".join(f"{x:g} {y:g}" for x, y in [*at, (last, up.place(point.value))])
        strength = _FAINTEST + (1 - _FAINTEST) * (rank / max(1, len(ranked) - 1)) ** 2
        look = 'class="line s2"' if point is ranked[-1] else f'class="line thin s1" stroke-opacity="{strength:.2f}"'
        parts.append(f'<path {look} d="M{path}"><title>{escape(_tip(point, tag))}</title></path>')
    marks = [(x, scale.marks(), name) for name, (x, scale) in lanes.items()]
    marks.append((last, [(up.place(tick), format_tick(tick)) for tick in up.ticks()], tag))
    poles = "".join(_pole(x, ticks, name, floor) for x, ticks, name in marks)
    drawn = _svg(width, _TALL, "parallel coordinates", "".join(parts) + poles, f' style="min-width:{width * 3 // 4}px"')
    return f'<div class="scroll">{drawn}</div>'


def _pole(x: float, marks: Sequence[tuple[float, str]], name: str, floor: float) -> str:
    section, _, option = name.rpartition(".")
    head = f'<text class="label" x="{x:g}" y="30" text-anchor="middle">{escape(shorten(option, 19))}</text>'
    above = f'<text class="tick" x="{x:g}" y="14" text-anchor="middle">{escape(shorten(section, 20))}</text>'
    line = f'<line class="base" x1="{x:g}" y1="40" x2="{x:g}" y2="{floor + 6:g}"/>'
    ticks = "".join(
        f'<line class="base" x1="{x - 3:g}" y1="{y:g}" x2="{x + 3:g}" y2="{y:g}"/>'
        f'<text class="tick" x="{x + 7:g}" y="{y + 4:g}">{escape(shorten(text, 14))}</text>'
        for y, text in marks
    )
    return head + (above if section else "") + line + ticks


def _frame(up: Axis, marks: Sequence[tuple[float, str]]) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>'
            f'<text class="tick" x="{LEFT - 7}" y="{y + 4:g}" text-anchor="end">{escape(format_tick(tick))}</text>'
        )
    for x, text in marks:
        parts.append(
            f'<line class="base" x1="{x}" y1="{floor}" x2="{x}" y2="{floor + 4}"/>'
            f'<text class="tick" x="{x}" y="{floor + 17}" text-anchor="middle">{escape(shorten(text, 14))}</text>'
        )
    return "".join(parts) + f'<line class="base" x1="{LEFT}" y1="{floor}" x2="{right}" y2="{floor}"/>'


def _dot(x: float, up: Axis, point: Point, tag: str) -> str:
    tip = escape(_tip(point, tag))
    return f'<circle class="dot s1" cx="{x}" cy="{up.place(point.value)}" r="4"><title>{tip}</title></circle>'


def _tip(point: Point, tag: str) -> str:
    options = ", ".join(f"{name}={written(value)}" for name, value in point.options.items())
    return f"{point.number}: {tag} {format_number(point.value)} ({options})"


def _svg(width: float, height: float, name: str, content: str, more: str = "") -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}"{more}>{content}</svg>'
