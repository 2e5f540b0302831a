"""Charts drawn as inline SVG; the colours come from the page's CSS, so that light and dark are one drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recurra.runs.axes import (
    Axis,
    Point,
    display_width,
    drawable,
    escape,
    format_number,
    format_tick,
    linear_span,
    log_span,
    shorten,
    thin,
)

WIDTH, HEIGHT = 480, 236
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 8, 38
MAX_MARKS = 60


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        label: for the legend and the tool tips.
        points: (x, y), x ascending.
        colour: 1 to 4, an entry of the page's palette.
        style: "faint" for raw values behind a smoothed line, "dots" for a line with a mark at each point.
    """

    label: str
    points: Sequence[Point]
    colour: int = 1
    style: Literal["line", "faint", "dots"] = "line"


def line_chart(
    series: Sequence[Series],
    x_label: str,
    name: str,
    log: bool = False,
    mark: float | None = None,
    *,
    log_x: bool = False,
) -> str:
    """Lines over one pair of axes, as an <svg>; "" when no series has a point that can be drawn.

    Args:
        x_label: shown at the end of the x axis.
        name: what the y axis shows, for a screen reader; the page prints it as the heading.
        log: logarithmic y axis; values that are not positive are left out.
        mark: x of a dashed vertical line.
        log_x: logarithmic x axis; all x are positive.
    """
    shown = [replace(line, points=drawable(line.points, log)) for line in series]
    points = [point for line in shown for point in line.points]
    if not points:
        return ""
    heights = [y for _, y in points]
    places = [x for x, _ in points]
    span = log_span(places) if log_x else linear_span(places, 0.0)
    x_axis = Axis(*span, LEFT, WIDTH - RIGHT, log_x)
    y_axis = Axis(*(log_span(heights) if log else linear_span(heights, 0.06)), HEIGHT - BOTTOM, TOP, log)
    parts = [_frame(x_axis, y_axis, x_label)]
    if mark is not None and x_axis.low <= mark <= x_axis.high:
        at = x_axis.place(mark)
        parts.append(f'<line class="mark" x1="{at}" y1="{TOP}" x2="{at}" y2="{HEIGHT - BOTTOM}"/>')
    parts += [_line(line, x_axis, y_axis) for line in shown if line.points]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>'


def heat_map(labels: Sequence[str], counts: Sequence[Sequence[int]], truth: str, predicted: str) -> str:
    """A confusion matrix with its counts, as an <svg>; the colour is the share of the row (of the true class).

    Args:
        counts: counts[i][j] rows of true class i that were called class j.
        truth, predicted: names of the two axes.
    """
    side = max(30, min(72, 600 // len(labels)))
    names = [shorten(label, 18) for label in labels]
    widest = max(display_width(name) for name in names)
    left, top, size = round(42 + 6.6 * widest), round(40 + 5 * widest), side * len(labels)
    parts = [
        f'<text class="axis" transform="translate(12 {top + size / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(truth)}</text>",
        f'<text class="axis" x="{left + size / 2:g}" y="12" text-anchor="middle">{escape(predicted)}</text>',
    ]
    for i, row in enumerate(counts):
        x, y = f"{left + (i + 0.5) * side:g}", f"{top + (i + 0.5) * side + 4:g}"
        parts.append(f'<text class="label" x="{left - 8}" y="{y}" text-anchor="end">{escape(names[i])}</text>')
        parts.append(f'<text class="label" transform="translate({x} {top - 8}) rotate(-45)">{escape(names[i])}</text>')
        for j, count in enumerate(row):
            share = count / max(sum(row), 1)
            tip = f"{labels[i]} → {labels[j]}: {count} ({share:.1%})"
            parts.append(_cell(left + j * side, top + i * side, side, count, share, tip))
    width, height = left + size + round(5.2 * display_width(names[-1])) + 8, top + size + 6
    return (
        f'<svg class="matrix" viewBox="0 0 {width} {height}" style="max-width:{width}px;min-width:{width * 3 // 5}px" '
        f'role="img" aria-label="{escape(truth)} / {escape(predicted)}">{"".join(parts)}</svg>'
    )


def _cell(x: int, y: int, side: int, count: int, share: float, tip: str) -> str:
    box = f'x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" rx="3"'
    heat = f'<rect class="heat" {box} fill-opacity="{share:.3f}"/>' if count else ""
    look = "cell none" if not count else "cell strong" if share > 0.5 else "cell"
    return (
        f'<g><title>{escape(tip)}</title><rect class="blank" {box}/>{heat}<text class="{look}" x="{x + side / 2:g}" '
        f'y="{y + side / 2 + 4:g}" text-anchor="middle">{format_tick(count)}</text></g>'
    )


def _frame(x_axis: Axis, y_axis: Axis, x_label: str) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in y_axis.ticks():
        at, text = y_axis.place(value), escape(format_tick(value))
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:g}" text-anchor="end">{text}</text>')
    for value in x_axis.ticks():
        if value.is_integer() or x_axis.log:
            at, text = x_axis.place(value), escape(format_tick(value))
            parts.append(f'<line class="base" x1="{at}" y1="{floor}" x2="{at}" y2="{floor + 4}"/>')
            parts.append(f'<text class="tick" x="{at}" y="{floor + 16}" text-anchor="middle">{text}</text>')
    parts.append(f'<line class="base" x1="{LEFT}" y1="{floor}" x2="{right}" y2="{floor}"/>')
    parts.append(f'<text class="axis" x="{right}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>')
    return "".join(parts)


def _line(line: Series, x_axis: Axis, y_axis: Axis) -> str:
    points = thin(line.points)
    placed = [(f"{x_axis.place(x):g}", f"{y_axis.place(y):g}") for x, y in points]
    path = "L".join(f"{x} {y}" for x, y in placed)
    parts = [f'<path class="line {line.style} s{line.colour}" d="M{path}"/>'] if len(placed) > 1 else []
    if len(placed) == 1 or (line.style == "dots" and len(placed) <= MAX_MARKS):
        for (x, y), (left, top) in zip(points, placed, strict=True):
            tip = escape(f"{line.label}: {format_number(y)} @ {format_number(x)}")
            parts.append(
                f'<circle class="dot s{line.colour}" cx="{left}" cy="{top}" r="3"><title>{tip}</title></circle>'
            )
    return "".join(parts)
