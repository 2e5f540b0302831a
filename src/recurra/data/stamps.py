"""Time steps: the frequency of a series, its stamps continued, and its natural seasons."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from recurra.core.errors import did_you_mean

Unit = Literal[
    "milliseconds", "seconds", "minutes", "hours", "days", "business days", "weeks", "months", "quarters", "years"
]

_MILLISECONDS: dict[Unit, int] = {
    "milliseconds": 1,
    "seconds": 1000,
    "minutes": 60_000,
    "hours": 3_600_000,
    "days": 86_400_000,
    "weeks": 604_800_000,
}
_MONTHS: dict[Unit, int] = {"months": 1, "quarters": 3, "years": 12}
_ALIASES = {
    "ms": "milliseconds", "s": "seconds", "sec": "seconds", "t": "minutes", "min": "minutes", "h": "hours",
    "hr": "hours", "d": "days", "b": "business days", "bd": "business days", "business day": "business days",
    "w": "weeks", "m": "months", "q": "quarters", "y": "years", "a": "years",
    "hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months", "quarterly": "quarters",
    "yearly": "years", "annual": "years",
    "me": "month ends", "qe": "quarter ends", "ye": "year ends", "qs": "quarters", "ys": "years",
}  # fmt: skip
_ENDS = {"month ends": "months", "quarter ends": "quarters", "year ends": "years"}
_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Frequency:
    """The time between two rows of a series: `count` of a `unit`.

    Attributes:
        unit: a fixed span of time, business days (Monday to Friday), or a span of the calendar.
        count: how many of it.
        at_end: for months, quarters and years: stamps stand on the last day of a month.
    """

    unit: Unit
    count: int = 1
    at_end: bool = False

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Read "hours", "15 minutes", "15min", "business days", "month ends", or a letter such as H, D, B, W, M.

        Raises:
            ValueError: none of these.
        """
        match = re.fullmatch(r"\s*(\d*)\s*([A-Za-z][A-Za-z ]*?)\s*", text)
        word = match.group(2).lower() if match else ""
        known = [*_MILLISECONDS, *_MONTHS, "business days", *_ENDS]
        if word == "ms" and match and match.group(2) == "MS":
            word = "months"
        unit = next((name for name in (word, f"{word}s", _ALIASES.get(word, "")) if name in known), None)
        count = int(match.group(1) or 1) if match else 0
        if unit is None or count < 1:
            raise ValueError(f"no frequency `{text}`, such as `hours` or `15 minutes`.{did_you_mean(word, known)}")
        return cls(cast(Unit, _ENDS.get(unit, unit)), count, unit in _ENDS)

    def __str__(self) -> str:
        unit = f"{self.unit[:-1]} ends" if self.at_end else self.unit
        return unit if self.count == 1 else f"{self.count} {unit}"

    @property
    def periods(self) -> tuple[int, ...]:
        """Natural seasonal periods in steps, shortest first: (24, 168) for hours; () where there are none."""
        if self.unit in _MONTHS:
            months = _MONTHS[self.unit] * self.count
            return (12 // months,) if months < 12 and 12 % months == 0 else ()
        if self.unit == "business days":
            return (5, 260) if self.count == 1 else ()
        if self.unit == "weeks":
            return (52,) if self.count == 1 else ()
        if self.unit == "days":
            return (7, 365) if self.count == 1 else ()
        step = _MILLISECONDS[self.unit] * self.count
        cycles = (60_000, 3_600_000, _DAY) if step < 60_000 else (_DAY, 7 * _DAY)
        return tuple(cycle // step for cycle in cycles if cycle % step == 0 and cycle >= 2 * step)

    @property
    def season(self) -> int:
        """The shortest natural period, in steps; 1 where there is none."""
        return next(iter(self.periods), 1)

    @property
    def days(self) -> float:
        """About how many days a step is."""
        if self.unit in _MONTHS:
            return 365.25 / 12 * self._months
        return 1.4 * self.count if self.unit == "business days" else _MILLISECONDS[self.unit] * self.count / _DAY

    def step(self, stamps: np.ndarray, n: int) -> np.ndarray:
        """The n stamps that follow the last of `stamps`, (n,)."""
        return self.at(stamps[-1:], np.arange(1, n + 1))

    def at(self, origin: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The stamps `steps` of this frequency after `origin`.

        Args:
            origin: (1,) datetime64.
            steps: (n,) int64, may be negative.
        Returns:
            (n,), in the unit of `origin`.
        """
        if self.unit in _MILLISECONDS:
            span = steps * (_MILLISECONDS[self.unit] * self.count)
            return (origin.astype("datetime64[ms]") + span.astype("timedelta64[ms]")).astype(origin.dtype)
        days = origin.astype("datetime64[D]")
        clock = origin - days.astype(origin.dtype)
        if self.unit == "business days":
            moved = np.busday_offset(days, steps * self.count, roll="backward")
            return moved.astype(origin.dtype) + clock
        months = origin.astype("datetime64[M]") + (steps * self._months).astype("timedelta64[M]")
        last = (months + 1).astype("datetime64[D]") - 1
        within = days - origin.astype("datetime64[M]").astype("datetime64[D]")
        placed = last if self.at_end else np.minimum(months.astype("datetime64[D]") + within, last)
        return placed.astype(origin.dtype) + clock

    def places(self, stamps: np.ndarray) -> np.ndarray:
        """How many steps each stamp stands after the first: whole where it falls on the grid that the first one sets.

        Returns:
            (T,) int64; where `at(first, places)` is not the stamp itself, the period it falls in.
        """
        if self.unit in _MILLISECONDS:
            span = (stamps - stamps[0]).astype("timedelta64[ms]").astype(np.int64)
            return span // (_MILLISECONDS[self.unit] * self.count)
        if self.unit == "business days":
            days = stamps.astype("datetime64[D]")
            first = np.busday_offset(days[:1], 0, roll="backward")[0]
            return (np.busday_count(first, days + 1) - 1) // self.count
        months = stamps.astype("datetime64[M]").astype(np.int64)
        return (months - months[0]) // self._months

    def floor(self, stamps: np.ndarray) -> np.ndarray:
        """The beginning of the period that each stamp falls in, counted from the beginnings of hours, days "
        "or months."""
        if self.unit in _MILLISECONDS:
            span = _MILLISECONDS[self.unit] * self.count
            # 1970-01-01 was a Thursday; weeks begin on Mondays
            shift = 3 * _DAY if self.unit == "weeks" else 0
            since = stamps.astype("datetime64[ms]").astype(np.int64) + shift
            return (since // span * span - shift).astype("datetime64[ms]").astype(stamps.dtype)
        if self.unit == "business days":
            return np.busday_offset(stamps.astype("datetime64[D]"), 0, roll="backward").astype(stamps.dtype)
        months = stamps.astype("datetime64[M]").astype(np.int64) // self._months * self._months
        begun = months.astype("datetime64[M]")
        if self.at_end:
            return ((begun + self._months).astype("datetime64[D]") - 1).astype(stamps.dtype)
        return begun.astype(stamps.dtype)

    @property
    def _months(self) -> int:
        return _MONTHS[self.unit] * self.count


def infer_frequency(stamps: np.ndarray) -> Frequency | None:
    """The most usual time between stamps, as far as possible in a unit of the calendar.

    Args:
        stamps: (T,) datetime64, strictly rising.
    Returns:
        None where there are fewer than 2 stamps, or no time between most of them is usual.
    """
    if len(stamps) < 2:
        return None
    found = _calendar_frequency(stamps) or _business_days(stamps)
    if found is not None:
        return found
    spans = (stamps[1:] - stamps[:-1]).astype("timedelta64[ms]").astype(np.int64)
    usual, times = np.unique(spans, return_counts=True)
    best = int(np.argmax(times))
    if len(spans) > 2 and times[best] * 2 <= len(spans):
        return None
    for unit in reversed(_MILLISECONDS):
        count, rest = divmod(int(usual[best]), _MILLISECONDS[unit])
        if count and not rest:
            return Frequency(unit, count)
    return None


def _calendar_frequency(stamps: np.ndarray) -> Frequency | None:
    """Months, quarters or years: one stamp in a month, always on the same day or always on the last."""
    days = stamps.astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    clocks = stamps - days.astype(stamps.dtype)
    spans = np.diff(months.astype(np.int64))
    if (spans < 1).any() or (clocks != clocks[0]).any():
        return None
    within = (days - months.astype("datetime64[D]")).astype(np.int64)
    at_end = bool((days + 1 == (months + 1).astype("datetime64[D]")).all())
    if not at_end and ((within != within[0]).any() or within[0] > 27):
        return None
    usual = Counter(spans.tolist()).most_common(1)[0][0]
    if len(spans) == 1 and usual == 1 and not at_end and within[0]:
        return None
    for unit in reversed(_MONTHS):
        count, rest = divmod(usual, _MONTHS[unit])
        if count and not rest:
            return Frequency(unit, count, at_end)
    return None


def _business_days(stamps: np.ndarray) -> Frequency | None:
    """Business days: a day apart over more than a week, and never a Saturday or Sunday."""
    days = stamps.astype("datetime64[D]")
    spans = np.diff(days.astype(np.int64))
    clocks = stamps - days.astype(stamps.dtype)
    usual = (spans == 1).sum() * 2 > len(spans)
    if not usual or (clocks != clocks[0]).any() or not np.is_busday(days).all():
        return None
    return Frequency("business days") if days[-1] - days[0] >= np.timedelta64(7, "D") else None
