"""Whole series with a label (or a number to be estimated) each: .ts, UCR text, and tables with a series a row or long.

Worked example: the line `0.1,0.4,?:1.5,1.2,1.1:wave` of a .ts file of two dimensions becomes values [[0.1, 1.5],
[0.4, 1.2], [NaN, 1.1]] and the label "wave". Steps at the end in which nothing is known are cut off, as the UCR archive
fills up its shorter series so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from recurra.data.frames import LARGEST

MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_NESTED = re.compile(r"\]\s*,\s*\[")


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series.

    Attributes:
        values: (T, C) float64, NaN where missing; T at least 1.
        label: as in the file; several numbers to be estimated with commas between; "" where there is none.
        id: of the series in the file, or its line.
        where: file and line, for messages.
    """

    values: np.ndarray
    label: str
    id: str
    where: str


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """Which columns of a table hold what; a file of the same kind is read in the same way.

    Attributes:
        label: the label, several joined by "+" for several numbers; None where a file has none.
        channels: the values of a step, for tables with a row a step; empty for others.
    """

    label: str | None = None
    channels: tuple[str, ...] = ()


class RowFaultError(Exception):
    """A series that can't be used; the message is a whole one."""


def parse_values(text: str, where: str) -> np.ndarray:
    """The values of a series (T, C) from text: numbers with commas (or blanks) between, dimensions with colons.

    Lists within a list, as JSON writes them, are dimensions too. A missing value is ?, NaN, or nothing between commas.

    Raises:
        RowFaultError: a value is no finite number, or the dimensions have different lengths.
    """
    text = _NESTED.sub(":", text).strip("[] \t\n")
    parts = text.split(":")
    dimensions = [_numbers(part, where, number if len(parts) > 1 else 0) for number, part in enumerate(parts, start=1)]
    for number, dimension in enumerate(dimensions, start=1):
        if len(dimension) != len(dimensions[0]):
            raise RowFaultError(
                f"{where}: dimension {number} has {len(dimension)} values, and dimension 1 has {len(dimensions[0])}: "
                f"all dimensions of a series have the same steps; a missing value is written as ?. {MEND}"
            )
    return np.stack(dimensions, axis=1)


def usable(values: np.ndarray, where: str) -> np.ndarray:
    """(T, C) without the steps at the end in which nothing is known.

    Raises:
        RowFaultError: nothing is known at all, or a value is infinite.
    """
    known = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(known):
        raise RowFaultError(f"{where}: the series holds no value: all are missing. {MEND}")
    values = values[: known[-1] + 1]
    infinite = np.argwhere(np.abs(values) > LARGEST)
    if len(infinite):
        step, channel = infinite[0]
        place = f"value {step + 1}" + (f" of dimension {channel + 1}" if values.shape[1] > 1 else "")
        what = "infinite" if np.isinf(values[step, channel]) else f"{values[step, channel]:g}, beyond {LARGEST:g}"
        raise RowFaultError(f"{where}: {place} is {what}: a number or ? is wanted. {MEND}")
    return values


def _numbers(text: str, where: str, dimension: int) -> np.ndarray:
    """(T,) float64; `dimension` is 0 where there is only one."""
    cells = text.split(",") if "," in text else text.split() or [""]
    try:
        return np.array([float(cell) if cell not in ("?", "") else np.nan for cell in cells])
    except ValueError:
        values = []
        for number, cell in enumerate(cells, start=1):
            word = cell.strip()
            try:
                values.append(np.nan if word.lower() in ("", "?", "na", "null", "none") else float(word))
            except ValueError as error:
                place = f"dimension {dimension}, value {number}" if dimension else f"value {number}"
                raise RowFaultError(f"{where}: {place}: {word[:40]!r} is no number. {MEND}") from error
        return np.array(values)
