"""Forecasts and anomaly scores drawn as inline SVG, in the colours of the report page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from recurra.runs.axes import LARGEST, Axis, escape, format_tick, linear_span, thin
from recurra.tasks import ForecastPicture, ScorePicture

WIDTH, HEIGHT = 980, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 8, 26
SCORES = 90
"""Height of the strip of scores below the values."""
PAST_OF_A_STEP_AHEAD = 5
MAX_CHANNELS = 4

Legend = list[tuple[str, str]]


def forecast_chart(forecast: ForecastPicture, words: Mapping[str, str]) -> tuple[str, Legend]:
    """The end of the history, the forecast in its bands, and what came: an <svg> and its legend."""
    kept = forecast.history[-max(PAST_OF_A_STEP_AHEAD * len(forecast.mean), 48) :]
    start = len(kept)
    stamps = np.concatenate([forecast.history_stamps[len(forecast.history) - start :], forecast.stamps])
    bands = [forecast.bands[level] for level in sorted(forecast.bands, reverse=True)]
    truth = np.zeros(0) if forecast.truth is None else forecast.truth
    drawn = [kept, forecast.mean, truth, *(edge for band in bands for edge in band)]
    if (axes := _Axes.over(len(stamps), drawn, HEIGHT - BOTTOM)) is None:
        return "", []
    parts = [axes.frame(stamps)]
    parts += [axes.band(start, low, high) for low, high in bands]
    parts.append(axes.line(0, kept, "s4 thin"))
    legend = [(words["history"], "s4 thin")]
    if len(truth):
        parts.append(axes.line(start, truth, "s2 thin"))
        legend.append((words["came"], "s2 thin"))
    parts.append(axes.line(start, forecast.mean, "s1"))
    legend.append((words["forecast"], "s1"))
    levels = ", ".join(f"{level:g} %" for level in sorted(forecast.bands))
    legend += [(levels, "band")] if levels else []
    return _svg(parts, HEIGHT, forecast.name), legend


def score_chart(scored: ScorePicture, words: Mapping[str, str]) -> tuple[str, Legend]:
    """Values above, scores below, known anomalies shaded and flagged steps marked: an <svg> and its legend."""
    channels = list(np.asarray(scored.values, dtype=float).T[:MAX_CHANNELS])
    axes = _Axes.over(len(scored.stamps), channels, HEIGHT - BOTTOM)
    if axes is None:
        return "", []
    bottom = HEIGHT + SCORES
    below = _Axes(axes.x, Axis(0.0, 1.0, bottom - BOTTOM, HEIGHT + 4))
    parts = [
        f'<rect class="window" x="{axes.x.place(first)}" y="{TOP}" '
        f'width="{max(1.5, axes.x.place(last) - axes.x.place(first)):g}" height="{bottom - BOTTOM - TOP}"/>'
        for first, last in scored.windows
    ]
    parts.append(axes.frame(scored.stamps))
    parts += [axes.line(0, values, f"s{4 if len(channels) == 1 else i + 1} thin") for i, values in enumerate(channels)]
    parts.append(below.frame(None))
    parts.append(below.line(0, np.clip(scored.scores, 0, 1), "s1 thin"))
    at = below.y.place(min(1.0, scored.threshold))
    parts.append(f'<line class="mark" x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}"/>')
    for step in _first_of_each_run(np.asarray(scored.flagged, dtype=bool)):
        parts.append(f'<circle class="flag" cx="{axes.x.place(step)}" cy="{_seen(channels[0], step, axes)}" r="3.5"/>')
    legend = [(words["score"], "s1 thin"), (words["threshold"], "mark"), (words["flagged"], "flag")]
    legend += [(words["windows"], "window")] if scored.windows else []
    return _svg(parts, bottom, scored.name), legend


class _Axes:
    """A pair of axes: steps to the right, values upward."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y

    @classmethod
    def over(cls, steps: int, values: Iterable[np.ndarray], floor: int) -> _Axes | None:
        """Axes that hold all values; None where there is no finite one."""
        known = [part[np.abs(part) < LARGEST] for part in values]
        heights = [float(end) for part in known if len(part) for end in (part.min(), part.max())]
        if not heights or steps < 1:
            return None
        return cls(
            Axis(0.0, float(max(steps - 1, 1)), LEFT, WIDTH - RIGHT), Axis(*linear_span(heights, 0.06), floor, TOP)
        )

    def frame(self, stamps: np.ndarray | None) -> str:
        """Grid and labels; of the steps, where stamps are given."""
        right, floor = WIDTH - RIGHT, self.y.start
        parts = []
        for value in self.y.ticks(5 if stamps is not None else 2):
            at = self.y.place(value)
            parts.append(f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}"/>')
            parts.append(
                f'<text class="tick" x="{LEFT - 7}" y="{at + 4:g}" text-anchor="end">{format_tick(value)}</text>'
            )
        parts.append(f'<line class="base" x1="{LEFT}" y1="{floor:g}" x2="{right}" y2="{floor:g}"/>')
        for step, text in [] if stamps is None else stamp_ticks(stamps):
            at = self.x.place(step)
            parts.append(f'<line class="base" x1="{at}" y1="{floor:g}" x2="{at}" y2="{floor + 4:g}"/>')
            parts.append(f'<text class="tick" x="{at}" y="{floor + 16:g}" text-anchor="middle">{escape(text)}</text>')
        return "".join(parts)

    def line(self, start: int, values: np.ndarray, classes: str) -> str:
        """A line that breaks where a value is missing."""
        parts = []
        for run in _runs(values):
            points = thin([(float(start + step), float(values[step])) for step in run])
            placed = [f"{self.x.place(x):g} {self.y.place(y):g}" for x, y in points]
            if len(placed) == 1:
                left, top = placed[0].split()
                parts.append(f'<circle class="dot {classes}" cx="{left}" cy="{top}" r="2.5"/>')
            else:
                parts.append(f'<path class="line {classes}" d="M{"L".join(placed)}"/>')
        return "".join(parts)

    def band(self, start: int, low: np.ndarray, high: np.ndarray) -> str:
        """The area between two lines."""
        steps = [step for step in range(len(low)) if np.isfinite(low[step]) and np.isfinite(high[step])]
        edge = [(step, high[step]) for step in steps] + [(step, low[step]) for step in reversed(steps)]
        placed = [f"{self.x.place(start + step):g} {self.y.place(float(value)):g}" for step, value in edge]
        return f'<path class="band" d="M{"L".join(placed)}Z"/>' if len(steps) > 1 else ""


def stamp_ticks(stamps: np.ndarray, count: int = 6) -> list[tuple[int, str]]:
    """About `count` steps with a short label each, as exact as their distance asks for."""
    steps = np.unique(np.linspace(0, len(stamps) - 1, min(count + 2, len(stamps))).astype(int))
    steps = steps[1:-1] if len(steps) > 3 else steps
    if not np.issubdtype(stamps.dtype, np.datetime64):
        return [(int(step), str(stamps[step])) for step in steps]
    days = (stamps[-1] - stamps[0]) / np.timedelta64(1, "D")
    texts = [str(stamps[step].astype("datetime64[m]")).replace("T", " ") for step in steps]
    cut = slice(0, 4) if days > 3650 else slice(0, 7) if days > 150 else slice(0, 10) if days > 6 else slice(5, 16)
    return [(int(step), text[cut]) for step, text in zip(steps, texts, strict=True)]


def _runs(values: np.ndarray) -> list[range]:
    """Stretches of finite values."""
    known = np.flatnonzero(np.abs(values) < LARGEST)
    if not len(known):
        return []
    cuts = [0, *(np.flatnonzero(np.diff(known) > 1) + 1).tolist(), len(known)]
    return [range(int(known[a]), int(known[b - 1]) + 1) for a, b in pairwise(cuts)]


def _first_of_each_run(flags: np.ndarray) -> list[int]:
    return np.flatnonzero(flags & ~np.concatenate([[False], flags[:-1]])).tolist()


def _seen(values: np.ndarray, step: int, axes: _Axes) -> float:
    """Height of a step's value; the floor where it is missing."""
    return axes.y.place(float(values[step])) if abs(values[step]) < LARGEST else axes.y.start


def _svg(parts: Sequence[str], height: int, name: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>'
