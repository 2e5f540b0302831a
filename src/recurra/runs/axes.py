"""Numbers on paper: axes, ticks, smoothing, thinning, and how a number or a text is written in HTML."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Point = tuple[float, float]

MAX_POINTS = 600
LOG_RATIO = 50.0
LARGEST = 1e100  # beyond it the arithmetic of an axis would overflow


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels.

    Attributes:
        low, high: the values at the ends; both positive when `log`.
        start, end: the pixels there.
        log: logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Pixels of a value, one decimal."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the axis."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high, count)


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten from `low` to `high`."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, at most about 8; with 2 and 5 between them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    stride = max(1, (last - first) // 6)
    values = [float(f"{factor}e{power}") for power in range(first, last + 1, stride) for factor in factors]
    inside = [value for value in values if low <= value <= high]
    return inside if len(inside) > 1 else linear_ticks(low, high, 4)


def drawable(points: Iterable[Point], log: bool = False) -> list[Point]:
    """The points that an axis can hold; NaN is dropped too, as no comparison with it holds."""
    return [(x, y) for x, y in points if abs(x) < LARGEST and abs(y) < LARGEST and (y > 1 / LARGEST or not log)]


def linear_span(values: Sequence[float], margin: float) -> tuple[float, float]:
    """The ends of an axis that holds all values, with a margin; it does not cross zero for the margin's sake."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        gap = abs(low) * 0.1
        return (low - gap, high + gap) if gap else (0.0, 1.0)
    gap = (high - low) * margin
    return low - gap if low < 0 or low - gap >= 0 else 0.0, high + gap


def log_span(values: Sequence[float]) -> tuple[float, float]:
    """The same for a logarithmic axis; all values are positive."""
    low, high = min(values), max(values)
    gap = max((high / low) ** 0.06, 1.05)
    return low / gap, high * gap


def wants_log(values: Iterable[float]) -> bool:
    """Whether positive values spread so far that a linear axis would hide most of them."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / min(known) > LOG_RATIO


def smooth(points: Sequence[Point], window: int) -> list[Point]:
    """Centred moving mean of y over about `window` points, cut off at both ends: it doesn't lag behind the points."""
    if window < 2 or len(points) < 3:
        return list(points)
    half = window // 2
    sums = np.concatenate([[0.0], np.cumsum([y for _, y in points])])
    at = np.arange(len(points))
    first, last = np.maximum(at - half, 0), np.minimum(at + half, len(points) - 1)
    means = (sums[last + 1] - sums[first]) / (last + 1 - first)
    return [(x, float(mean)) for (x, _), mean in zip(points, means, strict=True)]


def thin(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """At most about `limit` points: the lowest and the highest of each bin, so that no spike is lost; ends are kept."""
    if len(points) <= limit:
        return list(points)
    edges = np.linspace(0, len(points), limit // 2 + 1).astype(int).tolist()
    kept = {0, len(points) - 1}
    for start, stop in pairwise(edges):
        values = [y for _, y in points[start:stop]]
        kept |= {start + values.index(min(values)), start + values.index(max(values))}
    return [points[index] for index in sorted(kept)]


def format_number(value: float) -> str:
    """Four significant digits, as a person would write them; a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:,.0f}" if size >= 1e4 else f"{value:.4g}"


def format_tick(value: float) -> str:
    """Short form for an axis: 1e-4, 0.25, 20k, 3M."""
    size = abs(value)
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= max(unit, 1e4):
            return f"{value / unit:.4g}{suffix}"
    return format_number(value)


def format_column(values: Sequence[float | None]) -> list[str]:
    """One metric of several systems or classes, with as many decimals in each row."""
    known = [value for value in values if value is not None]
    whole = all(float(value).is_integer() for value in known)
    largest = max(map(abs, known), default=0.0)
    decimals = 0 if (whole and largest > 1) or largest >= 1e4 else 4 if largest <= 1 else 2
    return ["–" if value is None else f"{value:,.{decimals}f}" for value in values]


def escape(text: object) -> str:
    """HTML-escaped; what HTML or UTF-8 can't hold (control characters, lone surrogates) becomes U+FFFD."""
    raw = str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    clean = "".join("\N{REPLACEMENT CHARACTER}" if _is_control(character) else character for character in raw)
    return html.escape(clean)


def display_width(text: str) -> int:
    """Columns that a text takes: wide characters (Chinese) count two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def shorten(text: str, columns: int) -> str:
    """The text cut to `columns` with an ellipsis."""
    if display_width(text) <= columns:
        return text
    while display_width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\n\t"
