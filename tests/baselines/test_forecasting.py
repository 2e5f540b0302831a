"""Cheap forecasts against loops over steps, statsmodels, and published figures of ETTh1, exchange rates and M4."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from recurra.baselines import forecasting, linear_forecast, smoothing
from recurra.baselines.forecasting import FORECAST_BASELINES, fitted_baselines
from recurra.baselines.linear_forecast import RidgeForecast
from recurra.baselines.naive2 import Naive2, is_seasonal, seasonal_figure
from recurra.baselines.smoothing import Constants, ExponentialSmoothing, smooth
from recurra.core.errors import DataError


def wavy(length: int, period: int = 12, seed: int = 0) -> np.ndarray:
    """(T, 2): a season on a trend, and the same with more noise, both above zero."""
    rng, steps = np.random.default_rng(seed), np.arange(length)
    clean = 20 + 0.05 * steps + 4 * np.sin(2 * np.pi * steps / period)
    return np.stack([clean + rng.normal(0, 0.2, length), clean + rng.normal(0, 1.0, length)], axis=1)


@pytest.mark.parametrize("name", FORECAST_BASELINES)
def test_every_baseline_keeps_to_shapes_rows_and_the_past(name: str) -> None:
    pytest.importorskip("statsmodels")
    series = [wavy(90), wavy(60, seed=1)]
    baseline = FORECAST_BASELINES[name](12).fit(series, 6, 24)
    histories = [series[0][:origin] for origin in (1, 11, 30, 70)] + [series[1][:40]]
    found = baseline.forecast(histories, 8, [0, 0, 0, 0, 1])
    assert found.shape == (5, 8, 2)
    assert np.isfinite(found).all()
    for row, (history, owner) in enumerate(zip(histories, [0, 0, 0, 0, 1], strict=True)):
        alone = baseline.forecast(np.array(history)[None], 8, [owner])
        np.testing.assert_allclose(alone[0], found[row], rtol=1e-9)
    np.testing.assert_allclose(baseline.forecast(histories, 3, [0, 0, 0, 0, 1]), found[:, :3])
    with pytest.raises(DataError, match="empty"):
        baseline.forecast([series[0][:0]], 8)


def test_naive_forecasts_by_hand() -> None:
    history = np.array([[1.0], [2.0], [3.0], [4.0], [8.0], [6.0], [7.0]])
    made = {name: build(3).fit([history], 4, 3) for name, build in FORECAST_BASELINES.items() if name[0] in "lds"}
    found = {name: baseline.forecast([history], 4)[0, :, 0].tolist() for name, baseline in made.items()}
    assert found == {
        "last-value": [7, 7, 7, 7],
        "drift": [8, 9, 10, 11],
        "seasonal-naive": [8, 6, 7, 8],
        "season-mean": [5, 4.5, 5.5, 5],
    }
    short = FORECAST_BASELINES["seasonal-naive"](9).forecast([history], 2)
    assert short[0, :, 0].tolist() == [7, 7]


def test_naive2_is_the_recipe_step_by_step() -> None:
    series = wavy(61, period=4)[:, 0]
    period, half = 4, 2
    ratios: dict[int, list[float]] = {place: [] for place in range(period)}
    for step in range(half, len(series) - half):
        window = series[step - half : step + half + 1]
        trend = (window.sum() - (window[0] + window[-1]) / 2) / period
        ratios[step % period].append(series[step] / trend)
    season = np.array([np.mean(ratios[place]) for place in range(period)])
    season /= season.mean()
    wanted = [series[-1] / season[60 % period] * season[(61 + ahead) % period] for ahead in range(6)]
    found = Naive2(4).forecast([series[:, None]], 6)[0, :, 0]
    np.testing.assert_allclose(found, wanted)
    # differences, where ratios mean nothing
    np.testing.assert_allclose(Naive2(4).forecast([series[:, None] - 100], 6)[0, :, 0], found - 100, atol=0.5)


@pytest.mark.parametrize("period", [4, 5])
def test_the_season_is_that_of_statsmodels(period: int) -> None:
    seasonal = pytest.importorskip("statsmodels.tsa.seasonal")
    series = wavy(58, period)[:, 0]
    for ratios, name in ((True, "multiplicative"), (False, "additive")):
        wanted = seasonal.seasonal_decompose(series, name, period=period).seasonal
        figure = seasonal_figure(series[None], period, ratios=ratios)[0]
        np.testing.assert_allclose(figure[(np.arange(58) - 58) % period], wanted, rtol=1e-10)


def test_noise_has_no_season() -> None:
    noise = np.random.default_rng(0).normal(size=(200, 120))
    assert is_seasonal(noise, 12).mean() < 0.2
    assert is_seasonal(wavy(120).T, 12).all()
    assert not is_seasonal(wavy(35).T, 12).any()
    assert not is_seasonal(np.ones((1, 40)), 4).any()


def test_ridge_finds_a_recurrence_in_any_unit() -> None:
    steps = np.arange(200)
    series = np.stack([np.sin(steps / 3) + np.cos(steps / 7), 1e6 * (np.sin(steps / 3 + 1) + 5)], axis=1)
    model = RidgeForecast().fit([series[:150]], 6, 24)
    found = model.forecast([series[:origin] for origin in (170, 180, 190)], 10)
    wanted = np.stack([series[origin : origin + 10] for origin in (170, 180, 190)])
    assert np.abs(found - wanted)[..., 0].max() < 0.02
    assert np.abs(found - wanted)[..., 1].max() < 2e4


def test_ridge_is_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    series = wavy(80)[:, :1]
    model = RidgeForecast().fit([series], 3, 5)
    windows = np.stack([series[start : start + 8, 0] for start in range(73)]) / series.std()
    inputs, wanted = windows[:, :4] - windows[:, 4:5], windows[:, 5:] - windows[:, 4:5]
    size = np.sqrt(model.penalty * np.square(inputs).sum() / 4)
    weights = np.linalg.lstsq(np.vstack([inputs, size * np.eye(4)]), np.vstack([wanted, np.zeros((4, 3))]), rcond=None)[
        0
    ]
    ahead = (series[-5:-1, 0] - series[-1, 0]) @ weights + series[-1, 0]
    np.testing.assert_allclose(model.forecast([series], 3)[0, :, 0], ahead)
    monkeypatch.setattr(linear_forecast, "BUDGET", 1000)
    fewer = RidgeForecast().fit([series], 3, 5).forecast([series], 3)[0, :, 0]
    np.testing.assert_allclose(fewer, ahead, rtol=0.1)
    assert RidgeForecast().fit([series[:4]], 3, 5).context_length == 0


def test_smoothing_is_that_of_statsmodels() -> None:
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    series = wavy(100)[:, 1]
    level, trend, season = smoothing._start(series[None], 12)
    start = {"initial_level": level[0, 0], "initial_trend": trend[0, 0], "initial_seasonal": season[0]}
    chosen = {"smoothing_level": 0.3, "smoothing_trend": 0.2, "smoothing_seasonal": 0.4, "damping_trend": 0.9}
    model = holtwinters.ExponentialSmoothing(
        series,
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=12,
        initialization_method="known",
        **start,
    )
    wanted = model.fit(**chosen, optimized=False)
    constants = Constants(*[np.array([[value]]) for value in (0.3, 0.2, 0.4, 0.9, 0.0)])
    found = smooth(series[None], constants, 12, 24)[0]
    # statsmodels leaves the last step's update out of the season that it repeats
    others = np.arange(24) % 12 != 11
    np.testing.assert_allclose(found[others], wanted.forecast(24)[others], rtol=1e-10)
    before = smooth(series[None, :-1], constants, 12, 1)[0, 0]
    np.testing.assert_allclose(before, wanted.fittedvalues[-1], rtol=1e-10)


def test_smoothing_takes_logarithms_where_the_season_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsmodels")
    steps = np.arange(120)
    grows = np.exp(0.02 * steps + 0.4 * np.sin(2 * np.pi * steps / 12))[:, None]
    model = ExponentialSmoothing(12).fit([grows[:96]], 12, 24)
    found = model.forecast([grows[:96]], 12, [0])[0]
    np.testing.assert_allclose(found, grows[96:108], rtol=0.05)
    assert np.isfinite(model.forecast([-grows[:96]], 12)).all()
    monkeypatch.setattr(smoothing, "FITS", 1)
    other = ExponentialSmoothing(12).fit([grows[:96], grows[:80] * 3], 12, 24)
    np.testing.assert_allclose(other.forecast([grows[:96] * 3], 12, [1])[0], grows[96:108] * 3, rtol=0.05)


def test_smoothing_leaves_out_a_trend_that_does_harm() -> None:
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(0)
    wave = 20 * np.sin(2 * np.pi * np.arange(400) / 40)[:, None] + rng.normal(0, 0.1, (400, 1))
    # without a season, each slope of the wave looks like a trend
    found = ExponentialSmoothing(1).fit([wave[:300]], 40, 24).forecast([wave[:300]], 40, [0])[0]
    assert np.ptp(found) < 1e-9
    line = np.arange(300.0)[:, None] + rng.normal(0, 0.1, (300, 1))
    found = ExponentialSmoothing(1).fit([line], 20, 24).forecast([line], 20, [0])[0]
    assert found[-1, 0] > 312
    assert np.isfinite(ExponentialSmoothing(1).fit([line[:8]], 6, 4).forecast([line[:8]], 6)).all()


def test_what_makes_no_sense_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(fitted_baselines([wavy(100)], 6, 24, (12, 24)))
    seasonal = {f"{kind}-{period}" for kind in ("seasonal-naive", "season-mean") for period in (12, 24)}
    assert names - {"exponential-smoothing"} == {"last-value", "drift", "ridge", "naive2"} | seasonal
    monkeypatch.setattr(forecasting, "find_spec", lambda name: None)
    assert set(fitted_baselines([wavy(8)], 6, 24, (12,))) == {"last-value", "drift"}


def scores(baseline: str, series: np.ndarray, first: int, horizon: int, trained: int) -> tuple[float, float]:
    """MSE and MAE of every window whose targets begin at `first` or later, in units of the training part's spread."""
    scaled = (series - series[:trained].mean(axis=0)) / series[:trained].std(axis=0)
    origins = range(first, len(series) - horizon + 1)
    model = FORECAST_BASELINES[baseline](24).fit([scaled[:trained]], horizon, 336)
    found = model.forecast([scaled[:origin] for origin in origins], horizon)
    error = found - np.lib.stride_tricks.sliding_window_view(scaled[first:], horizon, axis=0).transpose(0, 2, 1)
    return float(np.square(error).mean()), float(np.abs(error).mean())


def read_columns(path: Path, skip: int, columns: range) -> np.ndarray:
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=skip, usecols=columns)


def test_published_figures_of_etth1(data_folder: Path) -> None:
    path = data_folder / "forecasting/etth1/ETTh1.csv.gz"
    if not path.exists():
        pytest.skip("no ETTh1")
    series = read_columns(path, 1, range(1, 8))[:14400]
    # Repeat and NLinear: table 2 of https://arxiv.org/abs/2205.13504; the seasonal ones: a loop over plain NumPy
    for name, mse, mae, tolerance in (
        ("last-value", 1.294, 0.713, 6e-4),
        ("season-mean", 0.400, 0.400, 6e-4),
        ("seasonal-naive", 0.512, 0.433, 6e-4),
        ("ridge", 0.374, 0.394, 3e-3),
    ):
        assert scores(name, series, 11520, 96, 8640) == pytest.approx((mse, mae), abs=tolerance)
    assert scores("last-value", series[:, 6:], 11520, 24, 8640)[0] == pytest.approx(0.0343, abs=6e-5)


def test_published_figures_of_exchange_rates(data_folder: Path) -> None:
    path = data_folder / "forecasting/exchange_rate/exchange_rate.txt.gz"
    if not path.exists():
        pytest.skip("no exchange rates")
    series = read_columns(path, 0, range(8))
    found = scores("last-value", series, len(series) - int(len(series) * 0.2), 96, int(len(series) * 0.7))
    assert found == pytest.approx((0.0811, 0.1963), abs=1e-4)


def test_published_figures_of_m4(data_folder: Path) -> None:
    folder = data_folder / "forecasting/m4_hourly"
    if not folder.is_dir():
        pytest.skip("no M4")
    with gzip.open(folder / "Hourly-train.csv.gz", "rt") as file:
        known = [np.array([float(cell) for cell in row[1:] if cell]) for row in list(csv.reader(file))[1:]]
    truth = np.loadtxt(folder / "Hourly-test.csv", delimiter=",", skiprows=1, usecols=range(1, 49), quotechar='"')
    scales = np.array([np.abs(series[24:] - series[:-24]).mean() for series in known])
    # the competition's table, hourly: Naive2 18.383 / 2.395, sNaive 13.912 / 1.193
    for name, smape, mase in (("naive2", 18.383, 2.395), ("seasonal-naive", 13.912, 1.193)):
        found = FORECAST_BASELINES[name](24).forecast([series[:, None] for series in known], 48)[..., 0]
        assert 200 * np.mean(np.abs(found - truth) / (found + truth)) == pytest.approx(smape, abs=6e-4)
        assert np.mean(np.abs(found - truth).mean(axis=1) / scales) == pytest.approx(mase, abs=6e-4)
