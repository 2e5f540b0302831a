"""Texts -> stamps: ISO dates, dates written otherwise, Unix times and plain step numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

_ISO = re.compile(r"\d{4}(-\d{2}(-\d{2}([ T]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?)?)?")
_ZONE = re.compile(r"(?:\s*(Z|UTC)|([+-])(\d{2}):?(\d{2}))$")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")
_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y年%m月%d日",
    "%d.%m.%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d %B %Y",
)
_AMBIGUOUS = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"), ("%d/%m/%y", "%m/%d/%y"))
_MONTHS = ("%Y/%m", "%Y年%m月", "%b %Y", "%B %Y", "%b-%Y", "%b-%y")
_SAMPLE = 200


class StampFault(Exception):
    """A text that is no stamp, with the row it stands in; the message goes on after "file:line: "."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def looks_like_stamps(texts: Sequence[str]) -> bool:
    """Whether the first of these texts are dates or times; plain numbers are not."""
    sample = [text for text in texts[:_SAMPLE] if text.strip()]
    if not sample or all(re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", text.strip()) for text in sample):
        return False
    try:
        return _guess_format(sample) is not None
    except StampFault:
        # dates whose day and month can't be told apart are dates
        return True


def parse_stamps(texts: Sequence[str], stamp_format: str | None = None) -> tuple[np.ndarray, str]:
    """Read stamps.

    Args:
        texts: one a row.
        stamp_format: as in strptime, `unix` or `unix-ms`; None: guessed.
    Returns:
        (T,) datetime64[s] ([ms] where there are fractions of a second), or int64 where the stamps are step numbers;
        and a sentence's end on how they were read, "" where there was nothing to guess.
    Raises:
        StampFault: a text is no stamp, or day and month can't be told apart.
    """
    if stamp_format is None and _are_plain_iso(texts):
        return _iso(texts), ""
    rows: dict[str, int] = {}
    codes = np.fromiter((rows.setdefault(text, len(rows)) for text in texts), np.int64, len(texts))
    distinct = [text.strip() for text in rows]
    firsts = np.full(len(rows), len(texts))
    np.minimum.at(firsts, codes, np.arange(len(texts)))
    empty = next((place for place, text in enumerate(distinct) if not text), None)
    if empty is not None:
        raise StampFault(int(firsts[empty]), "the stamp is empty. Drop the row, or fill in its time.")
    try:
        values, note = _parse_distinct(distinct, stamp_format)
    except StampFault as fault:
        raise StampFault(int(firsts[fault.row]), str(fault)) from None
    return values[codes], note


def _are_plain_iso(texts: Sequence[str]) -> bool:
    """Whether the first stamps are ISO dates, and none has a time zone or is empty: the quick road."""
    if not all("-" in text and _ISO.fullmatch(text) for text in texts[:_SAMPLE]) or "" in texts:
        return False
    everything = "".join(texts)
    return everything.count("-") <= 2 * len(texts) and not any(mark in everything for mark in "Z+U")


def _parse_distinct(texts: list[str], stamp_format: str | None) -> tuple[np.ndarray, str]:
    if stamp_format in ("unix", "unix-ms"):
        return _unix(_integers(texts), 1000 if stamp_format == "unix-ms" else 1), ""
    if stamp_format is not None:
        return _strptime(texts, stamp_format), ""
    texts, note = _without_zone(texts)
    sample = texts[:_SAMPLE]
    if sum(text.isdecimal() for text in sample) * 2 >= len(sample) and not _are_dates(texts):
        numbers = _integers(texts)
        for factor, name in ((1, "seconds"), (1000, "milliseconds")):
            # between 1990 and 2100
            if (numbers >= 631_152_000 * factor).all() and (numbers < 4_102_444_800 * factor).all():
                return _unix(numbers, factor), f"Unix times in {name}"
        return numbers, "plain step numbers"
    guess = _guess_format(texts)
    if guess is None:
        raise StampFault(
            0,
            f"{texts[0]!r} is no stamp that is known. Say how stamps are written: --data.series.stamp_format=%d.%m.%Y.",
        )
    if guess == "iso":
        return _iso(texts), note
    return _strptime(texts, guess), f"written as {guess}" + (f", {note}" if note else "")


def _are_dates(texts: list[str]) -> bool:
    """Whether numbers are years (1949), or dates without separators (19490131)."""
    if not all(text.isdecimal() for text in texts[:_SAMPLE]):
        return False
    lengths = {len(text) for text in texts}
    if lengths == {4}:
        return all("17" <= text[:2] <= "22" for text in texts)
    return lengths == {8} and all("17" <= text[:2] <= "22" and "01" <= text[4:6] <= "12" for text in texts[:_SAMPLE])


def _guess_format(texts: Sequence[str]) -> str | None:
    """How the texts are written; where one way fits most of them only, that one: the rest is at fault."""
    form = _common_format(texts)
    if form is None:
        sample = texts[:_SAMPLE]
        dates = [text for text in sample if _is_date(text)]
        form = _common_format(dates) if dates and len(dates) * 2 >= len(sample) else None
    return form


def _is_date(text: str) -> bool:
    if len(text) > 40 or not any(mark.isdigit() for mark in text):
        return False
    forms = (*_DATES, *_MONTHS, *(form for pair in _AMBIGUOUS for form in pair))
    return _fits([text], "iso") or any(_fits([text], date + clock) for date in forms for clock in _CLOCKS)


def _common_format(texts: Sequence[str]) -> str | None:
    sample = [_ZONE.sub("", text.strip()) if ":" in text else text.strip() for text in texts[:_SAMPLE]]
    if all(_ISO.fullmatch(text) for text in sample):
        return "iso"
    for date in (*_DATES, *_MONTHS):
        for clock in _CLOCKS:
            if _fits(sample, date + clock):
                return date + clock
    for day_first, month_first in _AMBIGUOUS:
        for clock in _CLOCKS:
            fitting = [form + clock for form in (day_first, month_first) if _fits(sample, form + clock)]
            if len(fitting) == 2:
                everything = [form for form in fitting if _fits(texts, form)]
                fitting = everything or fitting
            if len(fitting) == 2:
                return _by_spacing(texts, fitting)
            if fitting:
                return fitting[0]
    return None


def _by_spacing(texts: Sequence[str], forms: list[str]) -> str:
    """Of two readings, the one in which the stamps rise."""
    rising = [form for form in forms if (np.diff(_strptime(texts[:_SAMPLE], form)).astype(np.int64) > 0).all()]
    if len(rising) == 1 and len(texts) > 1:
        return rising[0]
    raise StampFault(
        0,
        f"{texts[0]!r} may be day/month or month/day. Say which: --data.series.stamp_format='{forms[0]}' or "
        f"'{forms[1]}'.",
    )


def _fits(texts: Sequence[str], form: str) -> bool:
    if form == "iso":
        return all(_ISO.fullmatch(text) for text in texts)
    try:
        for text in texts:
            datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _strptime(texts: Sequence[str], form: str) -> np.ndarray:
    values = np.empty(len(texts), "datetime64[ms]")
    for row, text in enumerate(texts):
        try:
            values[row] = datetime.strptime(text, form).replace(tzinfo=None)
        except ValueError:
            raise StampFault(
                row, f"{text!r} is no stamp written as {form}. Mend it, or pass --data.series.stamp_format."
            ) from None
    return _whole_seconds(values)


def _iso(texts: Sequence[str]) -> np.ndarray:
    try:
        return _whole_seconds(np.array(texts, dtype="datetime64[ms]"))
    except (ValueError, TypeError):
        pass
    for row, text in enumerate(texts):
        try:
            np.datetime64(text if _ISO.match(text) else "x", "ms")
        except (ValueError, TypeError):
            raise StampFault(row, f"{text!r} is no stamp, such as {texts[0]!r}. Mend it, or drop the row.") from None
    raise StampFault(0, "the stamps can't be read together. Pass --data.series.stamp_format.")


def _whole_seconds(values: np.ndarray) -> np.ndarray:
    seconds = values.astype("datetime64[s]")
    return seconds if (seconds.astype(values.dtype) == values).all() else values


def on_one_clock(local: np.ndarray, universal: np.ndarray) -> tuple[np.ndarray, str]:
    """Stamps with time zones on a clock that neither stands still nor jumps, and how.

    Local time is kept where its distance to UTC never changes, or where all stamps are midnights (days); otherwise
    summer time would repeat an hour and skip another, and UTC is taken.

    Args:
        local: (T,) datetime64, as the clock on the wall showed.
        universal: (T,) the same in UTC.
    """
    if len(np.unique(local - universal)) <= 1:
        return local, ""
    if (local == local.astype("datetime64[D]")).all():
        return local, "days of the local calendar"
    return universal, "brought to UTC, as the local time changes its distance to it"


def _without_zone(texts: list[str]) -> tuple[list[str], str]:
    """Texts without a time zone."""
    matches = [_ZONE.search(text) if ":" in text else None for text in texts]
    zones = {match.group(0).strip() if match else "" for match in matches}
    if zones == {""}:
        return texts, ""
    bare = [text[: match.start()] if match else text for text, match in zip(texts, matches, strict=True)]
    if len(zones) == 1:
        return bare, f"the time zone {zones.pop()} is left out"
    missing = next((row for row, match in enumerate(matches) if match is None), None)
    if missing is not None:
        raise StampFault(
            missing, f"{texts[missing]!r} has no time zone, and other stamps have one. Write it everywhere."
        )
    local = _iso(bare)
    stamps, note = on_one_clock(
        local, local - np.array([_offset_minutes(match) for match in matches], "timedelta64[m]")
    )
    return stamps.astype(str).tolist(), note


def _offset_minutes(match: re.Match[str] | None) -> int:
    if match is None or match.group(2) is None:
        return 0
    return int(match.group(2) + "1") * (int(match.group(3)) * 60 + int(match.group(4)))


def _integers(texts: list[str]) -> np.ndarray:
    values = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            values[row] = int(text)
        except ValueError:
            raise StampFault(row, f"{text!r} is no whole number, and the stamps before it are.") from None
    return values


def _unix(numbers: np.ndarray, factor: int) -> np.ndarray:
    return _whole_seconds(numbers.astype("datetime64[ms]" if factor == 1000 else "datetime64[s]"))
