"""Recipes for forecasting."""

from __future__ import annotations

from recurra.cells import GRUConfig
from recurra.layers import DropoutConfig, HistoryConfig, SegmentConfig
from recurra.losses.likelihoods import MAEConfig, QuantileConfig, StudentTConfig
from recurra.models import AutoregressiveForecasterConfig, ForecasterConfig, SeasonalForecasterConfig
from recurra.runs import RunConfig
from recurra.tasks import ForecastingConfig
from recurra.tasks.forecast_options import CalendarConfig, WindowsConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import CosineConfig


def forecast() -> RunConfig:
    """Quantiles of a day ahead, or of any horizon: patches of the history, then patches of the horizon, by one GRU."""
    return RunConfig(
        task=ForecastingConfig(horizon=24, context_length=168),
        model=ForecasterConfig(
            hidden_size=128,
            history=HistoryConfig(normalisation="last", patch_length=12),
            head=SegmentConfig(dropout=0.3),
        ),
        optimizer=AdamWConfig(learning_rate=3e-3, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=20),
        training=TrainingConfig(epochs=10, min_updates=2500, batch_size=64, patience=10),
    )


def forecast_long() -> RunConfig:
    """Points a long way ahead from a long history, by MAE; what the clock says is left to the history."""
    return RunConfig(
        task=ForecastingConfig(
            horizon=96, context_length=720, likelihood=MAEConfig(), calendar=CalendarConfig(features=[])
        ),
        model=ForecasterConfig(
            hidden_size=256,
            history=HistoryConfig(normalisation="last", patch_length=48, series_dim=16),
            head=SegmentConfig(dropout=0.5),
        ),
        optimizer=AdamWConfig(learning_rate=1e-3, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=20),
        training=TrainingConfig(epochs=3, batch_size=256),
    )


def forecast_seasonal() -> RunConfig:
    """Many series with seasons, such as M4's: level and seasons by smoothing, the rest by a dilated GRU; quantiles."""
    return RunConfig(
        task=ForecastingConfig(
            horizon=48,
            context_length=672,
            likelihood=QuantileConfig(),
            scaling="mean",
            normalised_loss=True,
            windows=WindowsConfig(samples_per_epoch=12_800),
        ),
        model=SeasonalForecasterConfig(
            cell=GRUConfig(), hidden_size=96, seasonality="multiplicative", dropout=DropoutConfig(output=0.4)
        ),
        optimizer=AdamWConfig(learning_rate=4e-3, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=30),
        training=TrainingConfig(epochs=8, min_updates=600, batch_size=128),
    )


def forecast_sampled() -> RunConfig:
    """Sample paths, value after value: DeepAR, with Student's t."""
    return RunConfig(
        task=ForecastingConfig(horizon=24, context_length=168, likelihood=StudentTConfig()),
        model=AutoregressiveForecasterConfig(
            hidden_size=40, num_layers=2, normalisation="window", dropout=DropoutConfig(layer=0.1)
        ),
        optimizer=AdamWConfig(learning_rate=3e-3, clip_norm=1.0),
        schedule=CosineConfig(warmup_updates=20),
        training=TrainingConfig(epochs=10, min_updates=600, batch_size=64, patience=10),
    )
