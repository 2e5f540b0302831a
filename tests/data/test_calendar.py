"""Features of the calendar, and holidays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recurra.core.errors import ConfigError, DataError
from recurra.data import CALENDAR, Frequency, calendar_columns, calendar_features, read_holidays, usual_calendar

STAMPS = pd.date_range("2019-12-29 05:30", periods=900, freq="11h37min")
NUMPY = STAMPS.to_numpy().astype("datetime64[s]")


def angle(pair: np.ndarray) -> np.ndarray:
    return np.arctan2(pair[:, 0], pair[:, 1]) % (2 * np.pi) / (2 * np.pi)


def test_as_pandas_has_them() -> None:
    day = (STAMPS.hour * 3600 + STAMPS.minute * 60 + STAMPS.second) / 86400
    expected = {
        "minute": (STAMPS.minute * 60 + STAMPS.second) / 3600,
        "hour": day,
        "weekday": (STAMPS.day_of_week + day) / 7,
        "day": (STAMPS.day - 1 + day) / STAMPS.days_in_month,
        "month": (STAMPS.month - 1) / 12,
        "yearday": (STAMPS.day_of_year - 1 + day) / np.where(STAMPS.is_leap_year, 366, 365),
    }
    for name, places in expected.items():
        apart = angle(calendar_features(NUMPY, [name])) - places.to_numpy() if hasattr(places, "to_numpy") else None
        assert apart is not None
        np.testing.assert_allclose((apart + 0.5) % 1 - 0.5, 0, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(calendar_features(NUMPY, ["weekend"])[:, 0], STAMPS.day_of_week >= 5)
    year = calendar_features(np.array(["2000-01-01", "2010-01-01"], "datetime64[s]"), ["year"])
    np.testing.assert_allclose(year[:, 0], [0, 1])


def test_columns_have_names() -> None:
    names = [*CALENDAR, "holiday"]
    features = calendar_features(NUMPY, names, read_holidays(["2020-01-01"]))
    assert features.shape == (900, len(calendar_columns(names)))
    assert calendar_columns(["hour", "weekend"]) == ("hour sin", "hour cos", "weekend")
    assert calendar_features(NUMPY, []).shape == (900, 0)


def test_holidays(tmp_path: Path) -> None:
    days = read_holidays(["25.12.2020", "26.12.2020", "01.01.2020"])
    assert days.astype(str).tolist() == ["2020-01-01", "2020-12-25", "2020-12-26"]
    flags = calendar_features(
        np.array(["2020-12-24T23", "2020-12-25T00", "2020-12-25T13"], "datetime64[s]"), ["holiday"], days
    )
    assert flags[:, 0].tolist() == [0, 1, 1]
    (tmp_path / "h.csv").write_text('date,name\n# moved\n2020-12-25,Christmas\n\n"2020-01-01","New Year"\n')
    assert read_holidays(tmp_path / "h.csv").astype(str).tolist() == ["2020-01-01", "2020-12-25"]
    (tmp_path / "h.csv").write_text("2020-12-25\nlater\n")
    with pytest.raises(DataError, match=r"h\.csv:2"):
        read_holidays(tmp_path / "h.csv")
    for wrong in ([], ["12"], ["soon"]):
        with pytest.raises(DataError):
            read_holidays(wrong)


def test_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean `weekday`"):
        calendar_features(NUMPY, ["weekdy"])
    with pytest.raises(ConfigError, match="need dates"):
        calendar_features(np.arange(4), ["hour"])
    with pytest.raises(ConfigError, match="needs holidays"):
        calendar_features(NUMPY, ["holiday"])


@pytest.mark.parametrize(
    ("frequency", "days", "names"),
    [
        ("hours", 60, ("hour", "weekday")),
        ("hours", 1000, ("hour", "weekday", "yearday")),
        ("hours", 3, ("hour",)),
        ("15 minutes", 60, ("hour", "weekday")),
        ("days", 1000, ("weekday", "yearday")),
        ("business days", 1000, ("weekday", "yearday")),
        ("weeks", 1000, ("yearday",)),
        ("months", 1000, ("month",)),
        ("years", 10000, ()),
    ],
)
def test_what_is_told_unasked(frequency: str, days: int, names: tuple[str, ...]) -> None:
    assert usual_calendar(Frequency.parse(frequency), np.timedelta64(days, "D")) == names
    assert usual_calendar(None, np.timedelta64(days, "D")) == ()
