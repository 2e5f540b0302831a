"""Bad series: one message each that names file, row and mend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.core.config import parse
from recurra.core.errors import DataError
from recurra.data import DataConfig, read_series, read_series_splits, require_variation

DAYS = [f"2020-01-{day:02d}" for day in range(1, 21)]
GOOD = [(day, step) for step, day in enumerate(DAYS)]
HOURS = [(f"2020-01-01 {hour:02d}:00", hour) for hour in range(20)]


def table(rows: list[tuple[object, ...]], header: str = "date,y") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def changed(row: int, *cells: object) -> str:
    return table([*GOOD[:row], cells, *GOOD[row + 1 :]])


LONG = [("a", *row) for row in GOOD]
CASES = {
    "unsorted": (
        table([*GOOD[:5], GOOD[7], *GOOD[5:7], *GOOD[8:]]),
        {},
        r"a.csv:8: .*not in order: "
        "2020-01-06 comes after 2020-01-08",
    ),
    "newest first": (table(GOOD[::-1]), {}, r"a.csv:3: .*not in order.*18 more"),
    "twice": (table([*GOOD[:5], *GOOD[4:]]), {}, r"a.csv:7: the stamp 2020-01-05 stands twice"),
    "gap": (
        table([*GOOD[:5], *GOOD[8:]]),
        {},
        r"a.csv:7: 3 stamps are missing between 2020-01-05 and "
        "2020-01-09.*missing=interp",
    ),
    "uneven": (
        table([*HOURS[:3], ("2020-01-01 03:20", 3), *HOURS[4:]]),
        {},
        r"a.csv:5: .*03:20:00.*does not "
        "fit.* hours",
    ),
    "no usual step": (
        table([(str(np.datetime64("2020-01-01") + step * step), step) for step in range(20)]),
        {},
        r"a.csv:3: .*no usual step",
    ),
    "mixed": (
        table([*LONG, *(("b", *row) for row in HOURS)], "unique_id,ds,y"),
        {},
        r"a.csv:22: mixed frequencies.*'b'.*hours.*'a' of days",
    ),
    "empty cell": (changed(5, DAYS[5], ""), {}, r"a.csv:7: column 'y' .*no value \(2020-01-06\); 1 are missing"),
    "all empty": (table([(day, "") for day in DAYS]), {}, r"a.csv: column 'y' has no value at all"),
    "all empty of two": (
        table([(day, "", 1) for day in DAYS], "date,y,z"),
        {"targets": ["y"]},
        r"a.csv:2: .*column 'y' has no value at all",
    ),
    "one series empty": (
        table([*LONG, *(("b", day, "") for day in DAYS)], "unique_id,ds,y"),
        {},
        r"a.csv:22: series 'b': column 'y' has no value",
    ),
    "constant": (
        table([(day, 3) for day in DAYS]),
        {},
        r"column 'y' is 3 in all 18 rows.*lines 2 to "
        "19.*nothing to learn",
    ),
    "text": (changed(5, DAYS[5], "ten"), {}, r"a.csv:7: column 'y': 'ten' is no number"),
    "only text": (table([(day, "ten") for day in DAYS]), {}, r"a.csv: no column of numbers"),
    "infinite": (changed(5, DAYS[5], "-inf"), {}, r"a.csv:7: column 'y' is infinite"),
    "too large": (changed(5, DAYS[5], "1e999"), {}, r"a.csv:7: column 'y' is infinite"),
    "bad stamp": (changed(5, "2020-13-45", 5), {}, r"a.csv:7: column 'date': '2020-13-45' is no stamp"),
    "empty stamp": (changed(5, "", 5), {}, r"a.csv:7: column 'date': the stamp is empty"),
    "short row": (changed(5, DAYS[5]), {}, r"a.csv:7: 1 fields where 2 are wanted"),
    "empty file": ("", {}, r"a.csv: the file is empty"),
    "blank lines": ("\n\n", {}, r"a.csv: the file holds blank lines only"),
    "header alone": ("date,y\n", {}, r"a.csv: one line only, and it is the header \(date, y\)"),
    "no such column": (table(GOOD), {"targets": ["z"]}, r"a.csv: no column 'z' \(data.series.targets\)"),
    "column twice": (table(GOOD), {"targets": ["y"], "known": ["y"]}, r"column 'y' is given two parts"),
    "known ends": (
        table([(day, step, step if step < 15 else "") for step, day in enumerate(DAYS)], "date,y,promo"),
        {"targets": ["y"], "known": ["promo"]},
        r"a.csv:17: column 'promo' .*no value",
    ),
    "static changes": (
        table([(*row, number) for number, row in enumerate(LONG)], "unique_id,ds,y,size"),
        {"static": ["size"]},
        r"a.csv:3: a static column \(size\).*'a'",
    ),
    "no id": (table(GOOD), {"layout": "long"}, r"a.csv: no column names the series"),
    "empty id": (
        table([("a", *GOOD[0]), ("", *GOOD[1]), *LONG[2:]], "unique_id,ds,y"),
        {},
        r"a.csv:3: the id "
        "column 'unique_id' is empty",
    ),
    "step numbers": (
        table([(step, step) for step in (1, 2, 3, 5, 6)], "ds,y"),
        {},
        r"a.csv:5: 1 stamp is "
        "missing between 3 and 5",
    ),
    "row without values": ("id,1,2,3\na,1,2,3\nb,,,\n", {"layout": "rows"}, r"a.csv:3: series 'b' has no values"),
    "row twice": ("id,1,2,3\na,1,2,3\na,4,5,6\n", {"layout": "rows"}, r"a.csv:3: series 'a' stands in line 2 already"),
    "text in a row": ("id,1,2,3\na,1,2,3\nb,4,x,6\n", {"layout": "rows"}, r"a.csv:3.*'x' is no number"),
    "day or month": (
        table([(f"0{day}/0{day}/2020", day) for day in range(1, 9)]),
        {},
        r"a.csv:2: column 'date': .*day/month or month/day",
    ),
    "wrong format": (
        table(GOOD),
        {"stamp_format": "%d.%m.%Y"},
        r"a.csv:2: column 'date': '2020-01-01' is no "
        "stamp written as",
    ),
    "far too fine": (
        table([("2020-01-01", 1), ("2021-01-01", 2)]),
        {"frequency": "minutes", "missing": "zero"},
        r"too few to fill",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(tmp_path: Path, case: str) -> None:
    text, options, words = CASES[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        require_variation(read_series_splits(parse(DataConfig, {"train": str(tmp_path / "a.csv"), "series": options})))
    assert "\n" not in str(caught.value)


def test_horizon_longer_than_the_history(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(GOOD))
    data = parse(DataConfig, {"train": str(tmp_path / "a.csv")})
    with pytest.raises(DataError, match=r"horizon of 24 steps is longer than the history: .* 20 rows"):
        read_series_splits(data, 24)
    with pytest.raises(DataError, match=r"no series is long enough to train on with 12 steps held out"):
        read_series_splits(data, 12)


def test_files_that_differ(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(GOOD))
    (tmp_path / "b.csv").write_text(table(GOOD, "date,z"))
    with pytest.raises(DataError, match=r"b.csv: has no column 'y'"):
        read_series([tmp_path / "a.csv", tmp_path / "b.csv"], DataConfig())
    with pytest.raises(DataError, match="no such file"):
        read_series(tmp_path / "c.csv", DataConfig())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files of series"):
        read_series(tmp_path / "empty", DataConfig())


def test_bad_rows_are_skipped_where_asked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table([*GOOD, ("2020-01-21",), ("2020-01-21", 7)]))
    found = read_series(tmp_path / "a.csv", parse(DataConfig, {"skip_bad_rows": True}))
    assert len(found.series[0]) == 21 and any("1 bad rows were skipped" in note for note in found.notes)
