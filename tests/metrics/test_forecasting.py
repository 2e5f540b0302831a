"""Errors of forecasts against scikit-learn, closed forms and sums; Naive2 of M4 against its published figures."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as other

from recurra.baselines.forecasting import FORECAST_BASELINES
from recurra.metrics import Forecasted, ForecastMetrics, Outcome
from recurra.metrics.forecasting import (
    crps_of_quantiles,
    crps_of_samples,
    overall_weighted_average,
    percentage_errors,
    pinball_losses,
    seasonal_scale,
    seasonal_scales,
    symmetric_percentage_errors,
)

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, shape)


def test_errors_of_points_are_scikit_learns() -> None:
    found, truth = drawn(0, 9, 6, 2), drawn(1, 9, 6, 2)
    rows = [Outcome("a", row, np.full(2, 2.0), np.full(2, 4.0)) for row in truth]
    metrics = ForecastMetrics()
    metrics.update([Forecasted(row) for row in found], rows)
    figures = metrics.compute()
    flat = truth.ravel(), found.ravel()
    assert figures["mae"] == pytest.approx(other.mean_absolute_error(*flat))
    assert figures["mse"] == pytest.approx(other.mean_squared_error(*flat))
    assert figures["rmse"] == pytest.approx(other.root_mean_squared_error(*flat))
    assert figures["mape"] == pytest.approx(100 * other.mean_absolute_percentage_error(*flat))
    assert figures["mae_scaled"] == pytest.approx(figures["mae"] / 2)
    assert figures["mse_scaled"] == pytest.approx(figures["mse"] / 4)
    assert figures["mase"] == pytest.approx(figures["mae"] / 4)
    assert metrics.per_series() == {"a": pytest.approx(figures)}


def test_missing_values_and_zeros_are_not_counted() -> None:
    truth = np.array([[1.0, np.nan], [0.0, 4.0], [2.0, 0.0]])
    found = np.array([[2.0, 7.0], [0.0, 2.0], [1.0, 0.0]])
    metrics = ForecastMetrics()
    metrics.update([Forecasted(found)], [Outcome("a", truth, np.ones(2), np.array([1.0, np.nan]))])
    figures = metrics.compute()
    assert figures["mae"] == pytest.approx((1 + 0 + 2 + 1 + 0) / 5)
    assert figures["mape"] == pytest.approx((100 + 50 + 50) / 3)
    assert figures["mase"] == pytest.approx((1 + 0 + 1) / 3)
    assert figures["smape"] == pytest.approx(
        (200 / 3 + 0 + 2 * 200 / 6 + 200 / 3 + 0) / 5 - (200 / 6 * 2 - 200 / 3) / 5
    )
    np.testing.assert_array_equal(np.isnan(percentage_errors(found, truth)), np.isnan(truth) | (truth == 0))
    np.testing.assert_array_equal(np.isnan(symmetric_percentage_errors(found, truth)), np.isnan(truth))


def test_pinball_loss_is_scikit_learns_and_coverage_a_count() -> None:
    quantiles, truth = np.sort(drawn(0, 7, 6, 1, 5), -1), drawn(1, 7, 6, 1)
    metrics = ForecastMetrics(LEVELS, (80, 95))
    metrics.update([Forecasted(row[..., 2], row) for row in quantiles], outcomes(truth))
    figures = metrics.compute()
    each = [
        other.mean_pinball_loss(truth.ravel(), quantiles[..., i].ravel(), alpha=alpha) for i, alpha in enumerate(LEVELS)
    ]
    assert figures["quantile_loss"] == pytest.approx(np.mean(each))
    inside = (truth >= quantiles[..., 1]) & (truth <= quantiles[..., 3])
    assert figures["coverage_80"] == pytest.approx(100 * inside.mean())
    assert figures["coverage_95"] >= figures["coverage_80"]
    assert figures["wql"] == pytest.approx(figures["crps"] / np.abs(truth).mean())


def outcomes(truth: np.ndarray) -> list[Outcome]:
    return [Outcome(str(i % 2), row, np.ones(1), np.ones(1)) for i, row in enumerate(truth)]


def test_crps_from_many_quantiles_is_the_closed_form_of_the_normal() -> None:
    mean, spread, truth = drawn(0, 30), np.abs(drawn(1, 30)) + 0.1, drawn(2, 30)
    levels = (np.arange(400) + 0.5) / 400
    z = (truth - mean) / spread
    wanted = spread * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    found = crps_of_quantiles(mean[:, None] + spread[:, None] * stats.norm.ppf(levels), truth, tuple(levels))
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(crps_of_quantiles(mean[:, None], truth, (0.5,)), np.abs(mean - truth))
    # levels that stand closer together count less
    uneven = crps_of_quantiles(np.zeros((1, 3)), np.ones(1), (0.1, 0.2, 0.9))
    np.testing.assert_allclose(uneven, 2 * (0.1 * 0.15 + 0.2 * 0.4 + 0.9 * 0.45))


def test_crps_of_samples_is_the_double_sum() -> None:
    samples, truth = drawn(0, 11, 4, 2), drawn(1, 4, 2)
    pairs = np.abs(samples[:, None] - samples[None]).mean((0, 1)) / 2
    np.testing.assert_allclose(crps_of_samples(samples, truth), np.abs(samples - truth).mean(0) - pairs)
    np.testing.assert_allclose(crps_of_samples(truth[None] + 3, truth), np.full((4, 2), 3.0))


def test_seasonal_scale_is_the_mean_difference_a_season_apart_of_what_was_known() -> None:
    history = drawn(0, 12, 2)
    history[4, 1] = np.nan
    for period in (1, 3):
        scales = seasonal_scales(history, period)
        assert scales.shape == (13, 2)
        for length in range(13):
            steps = np.abs(history[period:length] - history[: max(0, length - period)])
            wanted = [np.nanmean(c) if np.isfinite(c).any() else np.nan for c in steps.T]
            np.testing.assert_allclose(scales[length], wanted)
    assert np.isnan(seasonal_scale(np.ones((9, 1)), 2)).all()
    assert np.isnan(seasonal_scale(drawn(0, 3, 1), 24)).all()


def test_owa_of_naive2_is_one_and_follows_smape_and_mase() -> None:
    truth, naive = drawn(0, 5, 6, 1) + 9, drawn(1, 5, 6, 1) + 9
    rows = [Outcome("a", y, np.ones(1), np.full(1, 2.0), n) for y, n in zip(truth, naive, strict=True)]
    metrics = ForecastMetrics()
    metrics.update([Forecasted(row) for row in naive], rows)
    assert metrics.compute()["owa"] == pytest.approx(1)
    assert overall_weighted_average(9.328, 0.893, 18.383, 2.395) == pytest.approx(0.440, abs=5e-4)


def test_sample_paths_give_their_own_crps() -> None:
    paths, truth = drawn(0, 7, 20, 6, 1), drawn(1, 7, 6, 1)
    quantiles = np.moveaxis(np.quantile(paths, LEVELS, axis=1), 0, -1)
    metrics = ForecastMetrics(LEVELS, (80,))
    rows = zip(paths, quantiles, strict=True)
    metrics.update([Forecasted(p.mean(0), q, p) for p, q in rows], outcomes(truth))
    wanted = np.mean([crps_of_samples(p, y).mean() for p, y in zip(paths, truth, strict=True)])
    assert metrics.compute()["crps"] == pytest.approx(wanted)


def test_pinball_loss_is_least_at_the_quantile() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    grid = np.linspace(-2, 2, 81)
    losses = pinball_losses(np.broadcast_to(grid[:, None, None], (81, 20_000, 1)), values[None], (0.8,)).mean((1, 2))
    assert grid[losses.argmin()] == pytest.approx(stats.norm.ppf(0.8), abs=0.05)


def m4_hourly(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The training and test part of each series, (T, 1) and (48, 1)."""
    place = folder / "forecasting" / "m4_hourly"
    parts = []
    for path in (place / "Hourly-train.csv.gz", place / "Hourly-test.csv"):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = list(csv.reader(file))[1:]
        parts.append({row[0]: np.array([float(cell) for cell in row[1:] if cell])[:, None] for row in rows})
    return list(parts[0].values()), [parts[1][name] for name in parts[0]]


@pytest.mark.parametrize(
    ("name", "smape", "mase", "owa"), [("naive2", 18.383, 2.395, 1.0), ("seasonal-naive", 13.912, 1.193, 0.628)]
)
def test_m4_hourly_has_its_published_figures(
    data_folder: Path, name: str, smape: float, mase: float, owa: float
) -> None:
    train, test = m4_hourly(data_folder)
    naive = FORECAST_BASELINES["naive2"](24).fit(train, 48, 168).forecast(train, 48)
    found = FORECAST_BASELINES[name](24).fit(train, 48, 168).forecast(train, 48)
    rows = [
        Outcome(str(i), y, np.ones(1), seasonal_scale(history, 24), n)
        for i, (history, y, n) in enumerate(zip(train, test, naive, strict=True))
    ]
    metrics = ForecastMetrics()
    metrics.update([Forecasted(row) for row in found], rows)
    figures = metrics.compute()
    assert figures["smape"] == pytest.approx(smape, abs=6e-4)
    assert figures["mase"] == pytest.approx(mase, abs=6e-4)
    assert figures["owa"] == pytest.approx(owa, abs=6e-4)


def test_a_few_series_are_told_one_by_one() -> None:
    found, truth = drawn(0, 6, 3, 1), drawn(1, 6, 3, 1)
    metrics = ForecastMetrics()
    metrics.update([Forecasted(row) for row in found], outcomes(truth))
    figures = metrics.compute()
    assert figures["mae/1"] == pytest.approx(np.abs(found - truth)[1::2].mean())
    assert figures["mase/0"] == pytest.approx(metrics.per_series()["0"]["mase"])
    many = ForecastMetrics()
    many.update(
        [Forecasted(row) for row in np.repeat(found, 4, axis=0)],
        [outcome._replace(series=str(i)) for i, outcome in enumerate(outcomes(np.repeat(truth, 4, axis=0)))],
    )
    assert not any("/" in tag for tag in many.compute())
