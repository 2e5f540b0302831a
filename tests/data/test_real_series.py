"""The real files of forecasting and anomaly detection; skipped where RECURRA_DATA names none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recurra.core.config import parse
from recurra.core.errors import DataError
from recurra.data import DataConfig, SeriesSet, read_series, read_series_splits

DATA = Path(os.environ.get("RECURRA_DATA", "")) / "forecasting"
pytestmark = pytest.mark.skipif(
    "RECURRA_DATA" not in os.environ, reason="RECURRA_DATA is not set: it names the folder of real data sets"
)


def read(name: str, **options: object) -> SeriesSet:
    return read_series(DATA / name, parse(DataConfig, {"series": options}))


@pytest.mark.parametrize(
    ("name", "shape", "frequency"),
    [
        ("etth1/ETTh1.csv.gz", (17_420, 7), "hours"),
        ("exchange_rate/exchange_rate.txt.gz", (7_588, 8), "None"),
        ("airline_passengers/airline-passengers.csv", (144, 1), "months"),
        ("seattle_weather/seattle-weather.csv", (1_461, 4), "days"),
    ],
)
def test_one_series(name: str, shape: tuple[int, int], frequency: str) -> None:
    found = read(name)
    assert found.series[0].values.shape == shape and str(found.frequency) == frequency
    assert np.isfinite(found.series[0].values).all()


def test_trading_days() -> None:
    name = "sp500_daily/sp500-2000.csv"
    with pytest.raises(DataError, match=r"csv:12: 1 stamp is missing between 2000-01-14 and 2000-01-18"):
        read(name)
    assert len(read(name, missing="forward").series[0]) == 5_295
    assert len(read(name, missing="keep").series[0]) == 5_105


def test_m4() -> None:
    files = {"train": str(DATA / "m4_hourly/Hourly-train.csv.gz"), "test": str(DATA / "m4_hourly/Hourly-test.csv")}
    found = read_series_splits(parse(DataConfig, {**files, "series": {"frequency": "hours"}}), 48)
    lengths = found.ends[:, 1]
    assert len(found.whole) == 414 and (lengths.min(), lengths.max()) == (700, 960)
    assert (found.ends[:, 2] - lengths == 48).all() and len(found.origins("test", 48)) == 414
    assert found.whole.series[0].values[[0, 699, 700, 747], 0].tolist() == [605, 684, 619, 659]


def test_nab() -> None:
    found = read_series(DATA.parent / "anomaly_detection/nab/data", parse(DataConfig, {"series": {"missing": "keep"}}))
    lengths = {one.name: len(one) for one in found.series}
    assert len(lengths) == 35 and lengths["realKnownCause/nyc_taxi"] == 10_320
