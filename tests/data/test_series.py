"""Files and frames -> series: layouts, guesses, gaps filled."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig, SeriesConfig, SeriesSet, read_series, series_from_frame

DAYS = [f"2020-01-{day:02d}" for day in range(1, 31)]
HOURS = pd.date_range("2020-01-01", periods=50, freq="h")
NUMBERS = np.arange(50.0)


def table(rows: list[tuple[object, ...]], header: str = "date,y") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def read(folder: Path, text: str, name: str = "shop.csv", **options: object) -> SeriesSet:
    (folder / name).write_text(text, encoding="utf-8")
    return read_series(folder / name, parse(DataConfig, {"series": options}))


def test_wide(tmp_path: Path) -> None:
    rows = [(day, step, step * 2, "rain") for step, day in enumerate(DAYS)]
    found = read(tmp_path, table(rows, "date,a,b,weather"))
    (series,) = found.series
    assert (series.name, found.targets, str(found.frequency), found.stamped) == ("shop", ("a", "b"), "days", True)
    assert series.values[3].tolist() == [3, 6] and len(series) == 30
    assert str(series.stamps[3]) == "2020-01-04T00:00:00" and series.rows is not None and series.rows[3] == 5
    assert series.past.shape == (30, 0) and series.known.shape == (30, 0) and series.static.shape == (0,)
    notes = " ".join(found.notes)
    assert all(part in notes for part in ("stamps from column 'date'", "weather", "columns to model: a, b"))


@pytest.mark.parametrize("name", ["what", "unique_id"])
@pytest.mark.parametrize("interleaved", [False, True])
def test_long(tmp_path: Path, name: str, interleaved: bool) -> None:
    rows = [(own, day, step * (1 if own == "a" else -1)) for own in "ab" for step, day in enumerate(DAYS)]
    rows = sorted(rows, key=lambda row: row[1]) if interleaved else rows
    found = read(tmp_path, table(rows, f"{name},ds,y"))
    assert [one.name for one in found.series] == ["a", "b"] and found.targets == ("y",)
    assert found.series[1].values[:, 0].tolist() == [-step for step in range(30)]
    assert any(f"told apart by column {name!r}" in note for note in found.notes)


def test_long_with_numbers_for_names_covariates_and_static_features(tmp_path: Path) -> None:
    rows = [(own, day, step if step < 25 else "", step % 7, step / 2 if step < 25 else "", own * 10)
            for own in (1, 2) for step, day in enumerate(DAYS)]  # fmt: skip
    text = table(rows, "store,ds,y,promo,visitors,size")
    found = read(tmp_path, text, known="promo", past=["visitors"], static=["size"], targets="y")
    series = found.series[1]
    assert series.name == "2" and series.static.tolist() == [20]
    assert (len(series), len(series.known), len(series.past), len(series.stamps)) == (25, 30, 25, 25)
    assert series.known[:, 0].tolist() == [step % 7 for step in range(30)]
    assert (found.targets, found.known, found.past, found.static) == (("y",), ("promo",), ("visitors",), ("size",))


def test_a_series_a_row(tmp_path: Path) -> None:
    even = read(tmp_path, 'id,V1,V2,V3,V4\n"a",1,2,3,\n"b",4,,6,7\n"c",9,,,\n', missing="keep")
    assert [len(one) for one in even.series] == [3, 4, 1] and not even.stamped
    assert np.isnan(even.series[1].values[1, 0])
    ragged = read(tmp_path, "V1,V2,V3\na,1,2,3,4,5\nb,6,7\nc,8\n", frequency="hours")
    assert [len(one) for one in ragged.series] == [5, 2, 1]
    assert ragged.frequency is not None and ragged.frequency.season == 24
    assert ragged.series[0].rows is not None and ragged.series[1].rows.tolist() == [3, 3]
    asked = read(tmp_path, "1,2,3\n4,5\n", layout="rows")
    assert [one.name for one in asked.series] == ["1", "4"]


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_numbers_without_header_or_stamps(tmp_path: Path, separator: str) -> None:
    text = "".join(f"{step * 0.5}{separator}{step}\n" for step in range(20))
    found = read(tmp_path, text, name="rates.txt")
    assert found.targets == ("0", "1") and found.frequency is None
    assert found.series[0].stamps.tolist() == list(range(20)) and found.series[0].values[3].tolist() == [1.5, 3]


def test_quotes_packing_and_decimal_commas(tmp_path: Path) -> None:
    text = '"date";"y"\n' + "".join(f'"{day}";"{step},5"\n' for step, day in enumerate(DAYS))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    found = read_series(tmp_path / "a.csv.gz", DataConfig())
    assert found.series[0].name == "a" and found.series[0].values[:2, 0].tolist() == [0.5, 1.5]
    inner = "date,place,y\n" + "".join(f'{day},"Bath, UK",{step}\n' for step, day in enumerate(DAYS))
    assert read(tmp_path, inner).targets == ("y",)


def test_a_header_that_is_taken_for_a_row(tmp_path: Path) -> None:
    text = table([(day, step, step) for step, day in enumerate(DAYS)], "date,y,y")
    with pytest.raises(DataError, match=r"shop\.csv:1: .*pass --data\.header=yes"):
        read(tmp_path, text)
    with pytest.raises(DataError, match=r"shop\.csv:1: two columns are named 'y'"):
        read_series(tmp_path / "shop.csv", DataConfig(header="yes"))


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        f'{{"unique_id": "a", "ds": "{day}", "y": {step if step != 4 else "null"}}}' for step, day in enumerate(DAYS)
    ]
    found = read(tmp_path, "\n".join(lines), name="a.jsonl", missing="forward")
    assert found.series[0].name == "a" and found.series[0].values[3:6, 0].tolist() == [3, 3, 5]
    (tmp_path / "b.jsonl").write_text("\n".join([*lines[:4], *lines[5:], '{"unique_id": "a", "d']))
    skipping = DataConfig(skip_bad_rows=True, series=SeriesConfig(missing="forward"))
    assert "1 bad rows were skipped" in " ".join(read_series(tmp_path / "b.jsonl", skipping).notes)


def test_folders_and_several_files(tmp_path: Path) -> None:
    for name, low in (("x/one.csv", 0), ("y/one.csv", 100)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(table([(day, low + step) for step, day in enumerate(DAYS)]))
    found = read_series(tmp_path, DataConfig())
    assert [one.name for one in found.series] == ["x/one", "y/one"] and found.series[1].values[0, 0] == 100
    long = [table([("a", day, 1) for day in days], "unique_id,ds,y") for days in (DAYS[:9], DAYS[9:])]
    for number, text in enumerate(long):
        (tmp_path / f"{number}.csv").write_text(text)
    joined = read_series([tmp_path / "0.csv", tmp_path / "1.csv"], DataConfig())
    assert len(joined.series) == 1 and len(joined.series[0]) == 30


HOLED = [(day, step) for step, day in enumerate(DAYS) if step not in (5, 6)]


@pytest.mark.parametrize(
    ("rule", "expected"), [("interpolate", [4, 5, 6, 7]), ("forward", [4, 4, 4, 7]), ("zero", [4, 0, 0, 7])]
)
def test_gaps_are_filled_by_the_rule(tmp_path: Path, rule: str, expected: list[float]) -> None:
    found = read(tmp_path, table(HOLED), missing=rule)
    series = found.series[0]
    assert series.values[4:8, 0].tolist() == expected and len(series) == 30
    assert series.rows is not None and series.rows[4:8].tolist() == [6, 0, 0, 7]
    assert series.stamps.astype("datetime64[D]").astype(str).tolist() == DAYS
    assert any("missing stamps added: 2, in 1 series" in note for note in found.notes)


def test_missing_values_are_filled_or_kept(tmp_path: Path) -> None:
    cells = ["", 1, "NA", 3, "null", *range(5, 30)]
    text = table(list(zip(DAYS, cells, strict=True)))
    for rule, expected in (("interpolate", [1, 1, 2, 3, 4]), ("forward", [1, 1, 1, 3, 3]), ("zero", [0, 1, 0, 3, 0])):
        assert read(tmp_path, text, missing=rule).series[0].values[:5, 0].tolist() == expected
    kept = read(tmp_path, text, missing="keep").series[0].values[:5, 0]
    assert np.isnan(kept).tolist() == [True, False, True, False, True]


def test_kept_rows_may_be_in_any_order(tmp_path: Path) -> None:
    rows = [("2020-01-01 00:00", 1), ("2020-01-01 01:00", 2), ("2020-01-01 01:00", 3), ("2020-01-01 00:30", 4)]
    found = read(tmp_path, table(rows), missing="keep")
    assert found.series[0].values[:, 0].tolist() == [1, 2, 3, 4]


def test_rows_of_one_step_are_averaged(tmp_path: Path) -> None:
    rows = [(f"2020-01-{1 + step // 24:02d} {step % 24:02d}:00", step, step % 24) for step in range(24 * 5)]
    text = table(rows, "date,y,hour_of_day")
    found = read(tmp_path, text, frequency="days", known="hour_of_day", targets="y")
    assert str(found.frequency) == "days"
    assert found.series[0].values[:, 0].tolist() == [11.5 + 24 * day for day in range(5)]
    assert found.series[0].known[:, 0].tolist() == [11.5] * 5
    assert any("averaged (115 rows fewer)" in note for note in found.notes)


def test_uneven_rows_with_a_step_that_is_asked_for(tmp_path: Path) -> None:
    rows = [
        (f"2020-01-01 {minute // 60:02d}:{minute % 60:02d}:{minute * 7 % 60:02d}", minute)
        for minute in range(0, 300, 7)
    ]
    frame = pd.DataFrame(rows, columns=["date", "y"]).set_index("date")
    frame.index = pd.to_datetime(frame.index)
    expected = frame["y"].resample("30min").mean().to_numpy()
    np.testing.assert_allclose(read(tmp_path, table(rows), frequency="30 minutes").series[0].values[:, 0], expected)


FRAMES = {
    "index": pd.DataFrame({"y": NUMBERS}, index=HOURS),
    "series": pd.Series(NUMBERS, index=HOURS, name="y"),
    "zone": pd.DataFrame({"ds": pd.date_range("2020-10-24", periods=50, freq="h", tz="Europe/Berlin"), "y": NUMBERS}),
    "arrow": pd.DataFrame({"ds": HOURS, "y": NUMBERS}).convert_dtypes(dtype_backend="pyarrow"),
    "texts": pd.DataFrame({"ds": HOURS.astype(str), "y": NUMBERS}),
    "polars": pl.DataFrame({"ds": HOURS.to_numpy(), "y": NUMBERS}),
    "polars zone": pl.DataFrame({"ds": HOURS.to_numpy(), "y": NUMBERS}).with_columns(
        pl.col("ds").dt.replace_time_zone("Asia/Shanghai")
    ),
    "polars lazy": pl.LazyFrame({"ds": HOURS.to_numpy(), "y": NUMBERS}),
    "arrow table": pl.DataFrame({"ds": HOURS.to_numpy(), "y": NUMBERS}).to_arrow(),
    "dict": {"ds": HOURS.to_numpy(), "y": NUMBERS},
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames(kind: str) -> None:
    found = series_from_frame(FRAMES[kind])
    assert str(found.frequency) == "hours" and found.targets == ("y",) and found.series[0].name == "y"
    np.testing.assert_array_equal(found.series[0].values[:, 0], NUMBERS)


def test_long_frames_and_missing_values() -> None:
    frame = pd.concat([pd.DataFrame({"unique_id": own, "ds": HOURS, "y": NUMBERS}) for own in "ab"])
    for given in (
        frame,
        frame.astype({"unique_id": "category"}),
        frame.set_index(["unique_id", "ds"]),
        pl.from_pandas(frame),
    ):
        assert [one.name for one in series_from_frame(given).series] == ["a", "b"]
    holed = pd.DataFrame({"ds": HOURS, "y": pd.array([None, 2] * 25, dtype="Int64")})
    assert series_from_frame(holed, SeriesConfig(missing="zero")).series[0].values[:4, 0].tolist() == [0, 2, 0, 2]


def test_arrays() -> None:
    assert series_from_frame([1, 2, 3.5]).series[0].values.tolist() == [[1], [2], [3.5]]
    assert series_from_frame(np.ones((4, 2)), SeriesConfig(targets=[1])).targets == ("1",)
    for given, words in (
        (np.ones((2, 2, 2)), "shape"),
        ({"a": [1], "b": [1, 2]}, "different lengths"),
        ("a.csv", "a str"),
    ):
        with pytest.raises(DataError, match=words):
            series_from_frame(given)


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"unique_id": ["a"] * 50, "ds": HOURS.tz_localize("UTC"), "y": NUMBERS})
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_series(tmp_path / "a.parquet", DataConfig())
    assert found.series[0].name == "a" and str(found.frequency) == "hours"
    assert found.series[0].stamps[0] == HOURS[0].to_datetime64()
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="no Parquet table"):
        read_series(tmp_path / "b.parquet", DataConfig())


def test_options() -> None:
    config = parse(DataConfig, {"series": {"targets": "y", "frequency": "H"}}).series
    assert config.targets == ["y"] and config.frequency == "hours"
    for wrong in ({"split": [5]}, {"frequency": "fortnights"}, {"missing": "guess"}):
        with pytest.raises(ConfigError, match="series"):
            parse(DataConfig, {"series": wrong})
