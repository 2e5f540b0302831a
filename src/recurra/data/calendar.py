"""Features of stamps that are known ahead: hour, weekday, month, ... and holidays that the user names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from recurra.core.errors import ConfigError, DataError, did_you_mean
from recurra.data.readers.decoding import read_lines
from recurra.data.stamp_texts import StampFault, parse_stamps
from recurra.data.stamps import Frequency


def _cycle(part: np.ndarray, length: float | np.ndarray) -> list[np.ndarray]:
    """A place in a cycle as sine and cosine, so that its end lies beside its beginning."""
    angle = 2 * np.pi * part / length
    return [np.sin(angle), np.cos(angle)]


def _since(stamps: np.ndarray, unit: str) -> np.ndarray:
    """Seconds since the beginning of the unit (D, M, Y) that each stamp lies in."""
    begin = stamps.astype(f"datetime64[{unit}]")
    return (stamps.astype("datetime64[s]") - begin.astype("datetime64[s]")).astype(np.float64)


def _length(stamps: np.ndarray, unit: str) -> np.ndarray:
    """Seconds of the unit that each stamp lies in."""
    begin = stamps.astype(f"datetime64[{unit}]")
    return ((begin + 1).astype("datetime64[s]") - begin.astype("datetime64[s]")).astype(np.float64)


def _weekday(stamps: np.ndarray) -> np.ndarray:
    """Days since Monday, with the part of the day."""
    # 1970-01-01 was a Thursday
    seconds = stamps.astype("datetime64[s]").astype(np.int64) + 3 * 86400
    return seconds % (7 * 86400) / 86400


def _weekend(stamps: np.ndarray) -> list[np.ndarray]:
    return [(_weekday(stamps) >= 5).astype(np.float64)]


def _year(stamps: np.ndarray) -> list[np.ndarray]:
    """Years since 2000 in tens: a slow trend."""
    years = stamps.astype("datetime64[Y]").astype(np.int64) - 30
    return [(years + _since(stamps, "Y") / _length(stamps, "Y")) / 10]


CALENDAR: dict[str, Callable[[np.ndarray], list[np.ndarray]]] = {
    "minute": lambda stamps: _cycle(_since(stamps, "h"), 3600),
    "hour": lambda stamps: _cycle(_since(stamps, "D"), 86400),
    "weekday": lambda stamps: _cycle(_weekday(stamps), 7),
    "weekend": _weekend,
    "day": lambda stamps: _cycle(_since(stamps, "M"), _length(stamps, "M")),
    "month": lambda stamps: _cycle(stamps.astype("datetime64[M]").astype(np.int64) % 12, 12),
    "yearday": lambda stamps: _cycle(_since(stamps, "Y"), _length(stamps, "Y")),
    "year": _year,
}
"""Name -> stamps (T,) -> columns (T,): sine and cosine of a cycle, or one number."""


def calendar_features(stamps: np.ndarray, names: Sequence[str], holidays: np.ndarray | None = None) -> np.ndarray:
    """Features of stamps.

    Args:
        stamps: (T,) datetime64.
        names: keys of `CALENDAR`, or `holiday`: 1 on the days of `holidays`.
        holidays: (D,) datetime64[D], as from `read_holidays`.
    Returns:
        (T, k) float64, within -1..1 but for `year`; columns are named by `calendar_columns`.
    Raises:
        ConfigError: no such feature, stamps that are no dates, or `holiday` without holidays.
    """
    columns: list[np.ndarray] = []
    if names and stamps.dtype.kind != "M":
        raise ConfigError(
            f"calendar features ({', '.join(names)}) need dates, and the data has none. Name the column of dates with "
            "--data.series.stamp, give a file where numbers came from stdin, or train with task.calendar.features=[]."
        )
    for name in names:
        if name == "holiday":
            if holidays is None:
                raise ConfigError("the calendar feature `holiday` needs holidays: a list of dates, or a file of them.")
            columns.append(np.isin(stamps.astype("datetime64[D]"), holidays).astype(np.float64))
        elif name in CALENDAR:
            columns += CALENDAR[name](stamps)
        else:
            raise ConfigError(f"no calendar feature `{name}`.{did_you_mean(name, [*CALENDAR, 'holiday'])}")
    return np.stack(columns, axis=1) if columns else np.empty((len(stamps), 0))


def calendar_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of `calendar_features`."""
    single = ("weekend", "year", "holiday")
    return tuple(column for name in names for column in ([name] if name in single else [f"{name} sin", f"{name} cos"]))


def usual_calendar(frequency: Frequency | None, span: np.timedelta64) -> tuple[str, ...]:
    """The calendar features that can matter at a frequency, over stamps that span so long.

    A feature whose cycle the data does not hold twice is left out: a model can't learn it, and would learn by it which
    part of the data it sees.
    """
    if frequency is None:
        return ()
    days = float(span / np.timedelta64(1, "s")) / 86400
    step = frequency.days
    wanted = (("hour", 1.0), ("weekday", 7.0), ("yearday", 365.25))
    names = [name for name, cycle in wanted if step * 2 <= cycle <= days / 2]
    return tuple("month" if name == "yearday" and step >= 28 else name for name in names)


def read_holidays(given: str | Path | Iterable[str]) -> np.ndarray:
    """Holidays from a list of dates, or a file with a date a line (after a comma, a name may follow).

    Returns:
        (D,) datetime64[D], sorted.
    Raises:
        DataError: a date can't be read; names file and line.
    """
    if isinstance(given, (str, Path)):
        lines = list(enumerate(read_lines(Path(given).expanduser()), start=1))
        cells = [(number, line.split(",")[0].strip().strip('"')) for number, line in lines]
        rows = [(f"{given}:{number}", cell) for number, cell in cells if cell and not cell.startswith("#")]
        if rows and not any(mark.isdigit() for mark in rows[0][1]):
            rows = rows[1:]
    else:
        rows = [(f"holiday {number}", str(cell)) for number, cell in enumerate(given)]
    if not rows:
        raise DataError(f"{given if isinstance(given, (str, Path)) else 'holidays'}: no dates. Give a date a line.")
    try:
        stamps, _ = parse_stamps([cell for _, cell in rows])
    except StampFault as fault:
        raise DataError(f"{rows[fault.row][0]}: {fault}") from None
    if stamps.dtype.kind != "M":
        raise DataError(f"{rows[0][0]}: {rows[0][1]!r} is no date, such as 2026-12-25.")
    return np.unique(stamps.astype("datetime64[D]"))
