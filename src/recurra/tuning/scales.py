"""Where the values of an option lie on an axis: numbers by their size, choices one beside the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.runs.axes import Axis, format_number, format_tick, linear_span, log_span
from recurra.runs.tune_options import Range, Values

_MOST_MARKS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis for the values of one option.

    Attributes:
        axis: of numbers; None where values are choices.
        choices: as they are written, in their order.
        start, end: pixels at the ends.
    """

    axis: Axis | None
    choices: tuple[str, ...]
    start: float
    end: float

    def place(self, value: Any) -> float:
        """Pixels of a value."""
        if self.axis is not None:
            return self.axis.place(float(value))
        return self._at(self.choices.index(written(value)))

    def marks(self) -> list[tuple[float, str]]:
        """Pixels and labels along the axis."""
        if self.axis is not None:
            return [(self.axis.place(tick), format_tick(tick)) for tick in self.axis.ticks()]
        every = max(1, len(self.choices) // _MOST_MARKS)
        return [(self._at(index), choice) for index, choice in list(enumerate(self.choices))[::every]]

    def _at(self, index: int) -> float:
        step = (self.end - self.start) / len(self.choices)
        return round(self.start + (index + 0.5) * step, 1)


def scale_of(entry: Values, start: float, end: float) -> Scale:
    """The scale of an entry of a search space."""
    if not isinstance(entry, Range):
        return Scale(None, tuple(dict.fromkeys(map(written, entry))), start, end)
    span = log_span([entry.low, entry.high]) if entry.log else linear_span([entry.low, entry.high], 0.04)
    return Scale(Axis(*span, start, end, entry.log), (), start, end)


def value_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """The axis of the trials' figures."""
    return Axis(*linear_span(values, 0.06), start, end)


def written(value: Any) -> str:
    """An option's value for a person."""
    if isinstance(value, dict):
        rest = {key: given for key, given in value.items() if key != "kind"}
        return f"{value.get('kind', '')} {rest}".strip() if rest else str(value.get("kind", value))
    return format_number(value) if isinstance(value, float) else str(value)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each dotted name without its section, where that tells it from the others."""
    short = {name: name.partition(".")[2] or name for name in names}
    found = Counter(short.values())
    return {name: end if found[end] == 1 else name for name, end in short.items()}


def told(values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Options for a person, by their short names."""
    return " ".join(f"{names[name]}={written(value)}" for name, value in values.items())
