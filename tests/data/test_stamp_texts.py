"""Texts -> stamps."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.stamp_texts import StampFault, looks_like_stamps, on_one_clock, parse_stamps

DAYS = [f"2020-01-{day:02d}" for day in range(1, 21)]
EXPECTED = np.array(DAYS, "datetime64[s]")


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%Y.%m.%d",
        "%Y%m%d",
        "%Y年%m月%d日",
        "%d.%m.%Y",
        "%d %b %Y",
        "%d-%b-%Y",
        "%b %d, %Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%m/%d/%Y %I:%M %p",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S+01:00",
        "%d.%m.%Y %H:%M:%S",
    ],
)
def test_usual_ways_to_write_a_date(form: str) -> None:
    texts = [stamp.item().strftime(form) for stamp in EXPECTED]
    assert form == "%Y%m%d" or looks_like_stamps(texts)
    stamps, _ = parse_stamps(texts)
    np.testing.assert_array_equal(stamps, EXPECTED)
    assert stamps.dtype == "datetime64[s]"


def test_a_day_that_settles_the_order_may_stand_far_below() -> None:
    texts = ["01/02/2020"] * 300 + ["13/02/2020"]
    assert parse_stamps(texts)[0][0] == np.datetime64("2020-02-01")


def test_a_rising_order_settles_day_and_month() -> None:
    texts = [f"{day:02d}/{month:02d}/2020" for month in (6, 7) for day in range(1, 12)]
    assert parse_stamps(texts)[0][-1] == np.datetime64("2020-07-11")


def test_day_and_month_that_nothing_tells_apart() -> None:
    texts = ["01/01/2020", "02/02/2020", "03/03/2020"]
    assert looks_like_stamps(texts)
    with pytest.raises(StampFault, match="day/month or month/day"):
        parse_stamps(texts)
    assert parse_stamps(texts, "%d/%m/%Y")[0][1] == np.datetime64("2020-02-02")


def test_numbers() -> None:
    hours = np.datetime64("2020-01-01", "s") + np.arange(5) * np.timedelta64(3600, "s")
    seconds = hours.astype(np.int64)
    for texts, form in (
        (seconds, None),
        (seconds * 1000, None),
        (seconds, "unix"),
        (seconds * 1000, "unix-ms"),
    ):
        np.testing.assert_array_equal(parse_stamps([str(text) for text in texts], form)[0], hours)
    steps, note = parse_stamps(["1", "2", "3"])
    assert steps.tolist() == [1, 2, 3] and note == "plain step numbers"
    assert parse_stamps(["1949", "1950"])[0].tolist() == np.array(["1949", "1950"], "datetime64[s]").tolist()
    assert (
        not looks_like_stamps(["1949", "1950"]) and not looks_like_stamps(["1.5", "-2"]) and not looks_like_stamps([""])
    )


def test_fractions_of_a_second() -> None:
    stamps, _ = parse_stamps(["2020-01-01 00:00:00.000", "2020-01-01 00:00:00.250"])
    assert stamps.dtype == "datetime64[ms]" and stamps[1] - stamps[0] == np.timedelta64(250, "ms")
    assert parse_stamps(["2020-01-01 00:00:00.000"])[0].dtype == "datetime64[s]"


def test_repeated_texts_keep_their_places() -> None:
    texts = ["02.01.2020", "01.01.2020", "02.01.2020"]
    assert parse_stamps(texts)[0].astype("datetime64[D]").astype(str).tolist() == [
        "2020-01-02",
        "2020-01-01",
        "2020-01-02",
    ]


@pytest.mark.parametrize(
    ("texts", "row", "words"),
    [
        ([*DAYS[:5], "2020-13-01"], 5, "no stamp, such as"),
        ([*DAYS[:5], "yesterday"], 5, "no stamp"),
        ([*DAYS * 20, "yesterday"], 400, "no stamp"),
        (["01.01.2020"] * 300 + ["31.02.2020"], 300, "no stamp written as"),
        ([*DAYS[:5], ""], 5, "is empty"),
        (["12", "13", "x"], 2, "no stamp that is known|no whole number"),
        (["1"] * 300 + ["x"], 300, "no whole number"),
        (["2020-01-01T00:00+01:00", "2020-01-01T01:00"], 1, "no time zone"),
        ([f"{day:02d}/06/2020" for day in range(1, 31)] + ["soon"], 30, "no stamp written as"),
        (["tomorrow"], 0, "no stamp that is known"),
    ],
)
def test_faults_name_the_row(texts: list[str], row: int, words: str) -> None:
    with pytest.raises(StampFault, match=words) as caught:
        parse_stamps(texts)
    assert caught.value.row in (row, 0) if "known" in words else caught.value.row == row


def test_summer_time() -> None:
    texts = ["2020-10-25T01:00+02:00", "2020-10-25T02:00+02:00", "2020-10-25T02:00+01:00", "2020-10-25T03:00+01:00"]
    stamps, note = parse_stamps(texts)
    np.testing.assert_array_equal(np.diff(stamps), np.timedelta64(3600, "s"))
    assert "UTC" in note
    days = ["2020-10-24T00:00+02:00", "2020-10-25T00:00+02:00", "2020-10-26T00:00+01:00"]
    np.testing.assert_array_equal(np.diff(parse_stamps(days)[0]), np.timedelta64(86400, "s"))
    local = np.array(["2020-01-01T05"], "datetime64[s]")
    assert on_one_clock(local, local - np.timedelta64(3600, "s"))[0] == local
