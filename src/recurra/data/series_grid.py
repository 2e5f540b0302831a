"""Series on an even grid of time: order, frequency, gaps, and missing values filled by the stated rule or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recurra.core.errors import DataError
from recurra.data.series_columns import SeriesColumns
from recurra.data.series_options import SeriesConfig
from recurra.data.series_types import Series, carried_forward
from recurra.data.stamps import Frequency, infer_frequency

_FILL = "Fill them with --data.series.missing=interpolate, forward or zero, or leave the rows as they are with keep."

_LINE = "by a straight line to the next value, which a forecast made within a gap can't know (forward looks back only)"


def settle(
    drafts: Sequence[Series],
    config: SeriesConfig,
    columns: SeriesColumns,
    where: Mapping[str, str],
    source: str,
    usual: Frequency | None = None,
) -> tuple[list[Series], Frequency | None, list[str]]:
    """Bring series to even steps without holes, or leave them as they are (`missing=keep`).

    Args:
        drafts: rows as read; `stamps`, `known` and `rows` may go on after the values.
        config: `frequency` and `missing`.
        columns: for names in messages.
        where: series -> its file.
        source: all files, where a series has no file of its own.
        usual: the frequency of series read before, taken where it fits.
    Returns:
        The series, their frequency, and sentences on what was filled.
    Raises:
        DataError: stamps unsorted, twice, irregular or of mixed frequencies; gaps or missing values that are not to be
            filled; a column without any value.
    """
    grid = _Grid(config, columns, where, source)
    frequency = grid.frequency(drafts, usual)
    series = [grid.settle(draft, frequency) for draft in drafts]
    return series, frequency, grid.notes()


class _Grid:
    def __init__(self, config: SeriesConfig, columns: SeriesColumns, where: Mapping[str, str], source: str) -> None:
        self._config = config
        self._columns = columns
        self._where = where
        self._source = source
        self._added: Counter[str] = Counter()
        self._filled: Counter[str] = Counter()
        self._averaged = 0

    def frequency(self, drafts: Sequence[Series], usual: Frequency | None) -> Frequency | None:
        """The one frequency of all series."""
        if self._config.frequency is not None:
            return Frequency.parse(self._config.frequency)
        if not drafts or drafts[0].stamps.dtype.kind != "M":
            return None
        if self._config.missing != "keep":
            for draft in drafts:
                self._require_order(draft)
        if usual is not None and all(_fits(draft.stamps, usual) for draft in drafts):
            return usual
        found = [(infer_frequency(draft.stamps), draft) for draft in drafts]
        counted = Counter(frequency for frequency, _ in found if frequency is not None).most_common(1)
        if not counted:
            longest = max(drafts, key=lambda draft: len(draft.stamps))
            if len(longest.stamps) > 2 and self._config.missing != "keep":
                raise DataError(
                    f"{self._place(longest, 1)}: the stamps of series {longest.name!r} follow no usual step "
                    f"({_spans(longest.stamps)}). Name one with --data.series.frequency=hours (rows of one hour are "
                    "then averaged, and empty hours filled by --data.series.missing), or pass "
                    "--data.series.missing=keep."
                )
            return None
        common = counted[0][0]
        other = next(
            ((own, draft) for own, draft in found if own not in (None, common) and len(draft.stamps) > 2), None
        )
        if other is not None and self._config.missing != "keep":
            first = next(draft for own, draft in found if own == common)
            raise DataError(
                f"{self._place(other[1], 0)}: mixed frequencies: series {other[1].name!r} has steps of {other[0]}, and "
                f"{first.name!r} of {common}. Read them apart, or bring all to one with "
                f"--data.series.frequency={_quoted(common)}."
            )
        return common

    def settle(self, draft: Series, frequency: Frequency | None) -> Series:
        """One series on the grid."""
        self._require_values(draft)
        if self._config.missing == "keep":
            return self._cut(draft)
        self._require_order(draft)
        empty = sum(int(np.isnan(part).sum()) for part in (draft.values, draft.past, draft.known))
        if empty and self._config.missing != "refuse":
            self._filled[draft.name] += empty
        if draft.stamps.dtype.kind == "M":
            if frequency is not None:
                draft, places = self._places(draft, frequency)
                draft = self._fill_gaps(draft, places, frequency)
        else:
            draft = self._fill_gaps(draft, self._numbered_places(draft), frequency)
        return self._cut(
            replace(
                draft,
                values=self._fill(draft, draft.values, self._columns.targets),
                past=self._fill(draft, draft.past, self._columns.past),
                known=self._fill(draft, draft.known, self._columns.known),
            )
        )

    def notes(self) -> list[str]:
        """What was done, for the program to print."""
        rule = {"interpolate": _LINE, "forward": "with the last value before"}
        by = rule.get(self._config.missing, "with 0")
        notes = []
        if self._averaged:
            notes.append(f"{self._source}: rows of one step are averaged ({self._averaged} rows fewer).")
        for what, counts in (("missing stamps added", self._added), ("missing values", self._filled)):
            if counts:
                notes.append(f"{self._source}: {what}: {counts.total()}, in {len(counts)} series; filled {by}.")
        return notes

    def _place(self, draft: Series, row: int) -> str:
        file = self._where.get(draft.name, self._source)
        if draft.rows is not None and row < len(draft.rows) and draft.rows[row]:
            return f"{file}:{draft.rows[row]}"
        return f"{file}: step {row}"

    def _require_values(self, draft: Series) -> None:
        for column, name in enumerate(self._columns.targets):
            if np.isnan(draft.values[:, column]).all():
                raise DataError(
                    f"{self._place(draft, 0)}: series {draft.name!r}: column {name!r} has no value at all. Leave it "
                    "out with --data.series.targets, or drop the series."
                )

    def _require_order(self, draft: Series) -> None:
        steps = np.diff(draft.stamps).astype(np.int64)
        wrong = np.flatnonzero(steps <= 0)
        if not len(wrong):
            return
        row = int(wrong[0]) + 1
        earlier, stamp = draft.stamps[row - 1], draft.stamps[row]
        if steps[row - 1] == 0:
            raise DataError(
                f"{self._place(draft, row)}: the stamp {_text(stamp)} stands twice in series "
                f"{draft.name!r}{_more(wrong, 'row')}. Drop one of the rows; or, where several series stand below each "
                "other, name the column that tells them apart with --data.series.id."
            )
        raise DataError(
            f"{self._place(draft, row)}: the stamps are not in order: {_text(stamp)} comes after {_text(earlier)} in "
            f"series {draft.name!r}{_more(wrong, 'row')}. Sort the rows by time, oldest first; or, where several "
            "series stand below each other, name the column that tells them apart with --data.series.id."
        )

    def _places(self, draft: Series, frequency: Frequency) -> tuple[Series, np.ndarray]:
        """Each row's step from the first one, rows of one step averaged where the frequency was asked for."""
        places = frequency.places(draft.stamps)
        wrong = np.flatnonzero(frequency.at(draft.stamps[:1], places) != draft.stamps)
        if not len(wrong):
            return draft, places
        if self._config.frequency is None:
            row = int(wrong[0])
            raise DataError(
                f"{self._place(draft, row)}: the stamp {_text(draft.stamps[row])} of series {draft.name!r} does not "
                f"fit the usual step of {frequency} (it comes after "
                f"{_text(draft.stamps[row - 1])}){_more(wrong, 'row')}. Name the step with "
                f"--data.series.frequency={_quoted(frequency)} (rows of one step are then averaged), or leave the rows "
                "as they are with --data.series.missing=keep."
            )
        length = len(draft)
        floors = frequency.floor(draft.stamps)
        firsts = np.flatnonzero(np.diff(floors, prepend=floors[:1] - 1).astype(np.int64) != 0)
        last = int(np.searchsorted(firsts, length))
        self._averaged += len(floors) - len(firsts)
        averaged = replace(
            draft,
            stamps=floors[firsts],
            values=_means(draft.values, firsts[:last]),
            past=_means(draft.past, firsts[:last]),
            known=_means(draft.known, firsts),
            rows=None if draft.rows is None else draft.rows[firsts],
        )
        return averaged, frequency.places(averaged.stamps)

    def _numbered_places(self, draft: Series) -> np.ndarray:
        """Each row's step from the first one, where stamps are numbers."""
        steps = np.diff(draft.stamps)
        usual = Counter(steps.tolist()).most_common(1)[0][0] if len(steps) else 1
        wrong = np.flatnonzero((draft.stamps - draft.stamps[0]) % usual)
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{self._place(draft, row)}: the stamp {draft.stamps[row]} of series {draft.name!r} does not fit the "
                f"usual step of {usual}{_more(wrong, 'row')}. Mend it, or leave the rows as they are with "
                "--data.series.missing=keep."
            )
        return (draft.stamps - draft.stamps[0]) // usual

    def _fill_gaps(self, draft: Series, places: np.ndarray, frequency: Frequency | None) -> Series:
        """The series with a row for every step; rows that were missing hold NaN."""
        total = int(places[-1]) + 1
        if total == len(places):
            return draft
        holes = np.flatnonzero(np.diff(places) > 1)
        if self._config.missing == "refuse":
            row = int(holes[0]) + 1
            first = int(places[row] - places[row - 1]) - 1
            step = f"steps of {frequency}" if frequency is not None else "even steps"
            raise DataError(
                f"{self._place(draft, row)}: {first} stamp{'s are' if first > 1 else ' is'} missing between "
                f"{_text(draft.stamps[row - 1])} and {_text(draft.stamps[row])} of series {draft.name!r}, which has "
                f"{step}; {total - len(places)} are missing in all. {_FILL}"
            )
        if total > 100 * len(places):
            raise DataError(
                f"{self._place(draft, 0)}: series {draft.name!r} has {len(places)} rows in {total:,} steps of "
                f"{frequency}: too few to fill the rest. Name a longer step with --data.series.frequency."
            )
        self._added[draft.name] += total - len(places)
        length = len(draft)
        if draft.stamps.dtype.kind == "M" and frequency is not None:
            stamps = frequency.at(draft.stamps[:1], np.arange(total))
        else:
            stamps = np.interp(np.arange(total), places, draft.stamps).round().astype(np.int64)
        rows = None if draft.rows is None else _spread(draft.rows, places, total, 0)
        until = int(places[length - 1]) + 1
        return replace(
            draft,
            stamps=stamps,
            values=_spread(draft.values, places[:length], until, np.nan),
            past=_spread(draft.past, places[:length], until, np.nan),
            known=_spread(draft.known, places, total, np.nan),
            rows=rows,
        )

    def _fill(self, draft: Series, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The columns without NaN."""
        empty = np.isnan(values)
        if not empty.any():
            return values
        if self._config.missing == "refuse":
            row, column = (int(place) for place in np.argwhere(empty)[0])
            raise DataError(
                f"{self._place(draft, row)}: column {names[column]!r} of series {draft.name!r} has no value "
                f"({_text(draft.stamps[row])}); {int(empty.sum())} are missing in all. {_FILL}"
            )
        whole = np.flatnonzero(empty.all(axis=0))
        if len(whole):
            raise DataError(
                f"{self._place(draft, 0)}: series {draft.name!r}: column {names[whole[0]]!r} has no value at all. "
                "Leave it out."
            )
        return np.stack([_FILLED[self._config.missing](column) for column in values.T], axis=1)

    def _cut(self, draft: Series) -> Series:
        """Stamps and rows of the values alone; covariates known ahead go on."""
        length = len(draft)
        return replace(draft, stamps=draft.stamps[:length], rows=None if draft.rows is None else draft.rows[:length])


def _fits(stamps: np.ndarray, frequency: Frequency) -> bool:
    """Whether stamps lie on the grid of a frequency, most of them one step apart."""
    places = frequency.places(stamps)
    steps = np.diff(places)
    on_grid = bool((frequency.at(stamps[:1], places) == stamps).all())
    return on_grid and bool((steps == 1).sum() * 2 >= len(steps))


def _interpolated(column: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(column))
    return np.interp(np.arange(len(column)), known, column[known])


def _forward(column: np.ndarray) -> np.ndarray:
    carried = carried_forward(column)
    return np.where(np.isnan(carried), column[np.argmax(~np.isnan(column))], carried)


def _zero(column: np.ndarray) -> np.ndarray:
    return np.nan_to_num(column)


_FILLED = {"interpolate": _interpolated, "forward": _forward, "zero": _zero}


def _spread(values: np.ndarray, places: np.ndarray, total: int, empty: float) -> np.ndarray:
    spread = np.full((total, *values.shape[1:]), empty, values.dtype)
    spread[places] = values
    return spread


def _means(values: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Means of the rows from each first one to the next, NaN left out."""
    if not values.shape[1]:
        return values[firsts]
    counts = np.add.reduceat(~np.isnan(values), firsts, axis=0, dtype=np.float64)
    sums = np.add.reduceat(np.nan_to_num(values), firsts, axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _quoted(frequency: Frequency) -> str:
    """As it is written on a command line."""
    return f"'{frequency}'" if " " in str(frequency) else str(frequency)


def _text(stamp: np.generic) -> str:
    return str(stamp).replace("T", " ").removesuffix(" 00:00:00")


def _more(wrong: np.ndarray, what: str) -> str:
    return f" (and {len(wrong) - 1} more such {what}s)" if len(wrong) > 1 else ""


def _spans(stamps: np.ndarray) -> str:
    spans = Counter(np.diff(stamps).tolist()).most_common(3)
    return "most often " + ", ".join(str(span) for span, _ in spans) + " apart"
