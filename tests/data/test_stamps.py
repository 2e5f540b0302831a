"""Frequencies: inferred, continued, placed on their grid; pandas is the independent calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recurra.data import Frequency, infer_frequency

CASES = [
    ("250ms", "250 milliseconds"),
    ("10s", "10 seconds"),
    ("15min", "15 minutes"),
    ("h", "hours"),
    ("6h", "6 hours"),
    ("D", "days"),
    ("2D", "2 days"),
    ("B", "business days"),
    ("W-SUN", "weeks"),
    ("2W-MON", "2 weeks"),
    ("MS", "months"),
    ("ME", "month ends"),
    ("2MS", "2 months"),
    ("QS", "quarters"),
    ("QE", "quarter ends"),
    ("YS", "years"),
    ("YE", "year ends"),
]


def stamps_of(rule: str, number: int = 60) -> np.ndarray:
    stamps = pd.date_range("2019-12-30 00:00", periods=number, freq=rule).to_numpy()
    return stamps.astype("datetime64[ms]" if "ms" in rule else "datetime64[s]")


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_as_pandas_has_it(rule: str, name: str) -> None:
    stamps = stamps_of(rule)
    frequency = infer_frequency(stamps[:40])
    assert frequency is not None and str(frequency) == name
    assert Frequency.parse(name) == frequency
    np.testing.assert_array_equal(frequency.step(stamps[:40], 20), stamps[40:])
    np.testing.assert_array_equal(frequency.places(stamps), np.arange(60))
    np.testing.assert_array_equal(frequency.at(stamps[5:6], np.arange(-5, 0)), stamps[:5])
    np.testing.assert_array_equal(frequency.places(stamps[[0, 3, 4, 9]]), [0, 3, 4, 9])


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_gaps_do_not_hide_the_frequency(rule: str, name: str) -> None:
    stamps = stamps_of(rule)
    frequency = infer_frequency(np.delete(stamps, [7, 20, 21]))
    assert str(frequency) == name


def test_days_of_the_month_that_not_every_month_has() -> None:
    stamps = np.array(["2020-01-28", "2020-02-28", "2020-03-28"], "datetime64[s]")
    frequency = infer_frequency(stamps)
    assert frequency is not None and str(frequency) == "months"
    assert frequency.step(stamps, 1)[0] == np.datetime64("2020-04-28")
    odd = np.array(["2020-01-30", "2020-02-29", "2020-03-30", "2020-05-01"], "datetime64[s]")
    assert str(infer_frequency(odd)) == "30 days"


def test_a_week_of_days_is_not_of_business_days() -> None:
    stamps = np.datetime64("2020-01-06", "s") + np.arange(5) * np.timedelta64(86400, "s")
    assert str(infer_frequency(stamps)) == "days"


def test_no_usual_step() -> None:
    assert infer_frequency(np.array([], "datetime64[s]")) is None
    assert infer_frequency(np.array(["2020-01-01"], "datetime64[s]")) is None
    growing = np.datetime64("2020-01-01", "s") + np.cumsum(np.arange(1, 30)).astype("timedelta64[s]")
    assert infer_frequency(growing) is None


@pytest.mark.parametrize(
    ("name", "periods"),
    [
        ("10 seconds", (6, 360, 8640)),
        ("minutes", (1440, 10080)),
        ("5 minutes", (288, 2016)),
        ("30 minutes", (48, 336)),
        ("hours", (24, 168)),
        ("2 hours", (12, 84)),
        ("7 hours", (24,)),
        ("days", (7, 365)),
        ("business days", (5, 260)),
        ("weeks", (52,)),
        ("months", (12,)),
        ("month ends", (12,)),
        ("quarters", (4,)),
        ("years", ()),
        ("2 days", ()),
    ],
)
def test_natural_periods(name: str, periods: tuple[int, ...]) -> None:
    frequency = Frequency.parse(name)
    assert frequency.periods == periods
    assert frequency.season == (periods[0] if periods else 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("H", "hours"),
        ("15min", "15 minutes"),
        ("D", "days"),
        ("B", "business days"),
        ("1 hour", "hours"),
        ("M", "months"),
        ("MS", "months"),
        ("ME", "month ends"),
        ("W", "weeks"),
        ("daily", "days"),
        ("ms", "milliseconds"),
        ("Q", "quarters"),
    ],
)
def test_other_ways_to_write_it(text: str, name: str) -> None:
    assert str(Frequency.parse(text)) == name


@pytest.mark.parametrize("text", ["", "0 hours", "fortnights", "-1 days", "hours 2"])
def test_no_frequency(text: str) -> None:
    with pytest.raises(ValueError, match="no frequency"):
        Frequency.parse(text)


@pytest.mark.parametrize(("name", "rule"), [("hours", "h"), ("15 minutes", "15min"), ("days", "D"), ("months", "MS")])
def test_beginnings_of_periods(name: str, rule: str) -> None:
    rng = np.random.default_rng(0)
    stamps = np.sort(np.datetime64("2020-01-01", "s") + rng.integers(0, 40_000_000, 50).astype("timedelta64[s]"))
    begins = Frequency.parse(name).floor(stamps)
    series = pd.Series(stamps)
    expected = series.dt.to_period("M").dt.start_time if rule == "MS" else series.dt.floor(rule)
    np.testing.assert_array_equal(begins, expected.to_numpy().astype("datetime64[s]"))


def test_weeks_begin_on_mondays() -> None:
    begins = Frequency.parse("weeks").floor(np.array(["2020-01-05", "2020-01-06", "2020-01-12"], "datetime64[s]"))
    assert begins.astype("datetime64[D]").astype(str).tolist() == ["2019-12-30", "2020-01-06", "2020-01-06"]
