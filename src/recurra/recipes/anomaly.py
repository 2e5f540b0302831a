"""Recipes for anomaly detection."""

from __future__ import annotations

from recurra.detection import ScoringConfig
from recurra.models import SeriesAutoencoderConfig, SeriesPredictorConfig
from recurra.runs import RunConfig
from recurra.tasks import AnomalyDetectionConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig


def anomaly_detection() -> RunConfig:
    """A GRU that looks 1 to 64 steps ahead; a step is odd where its value, or what was said of it, sets a record."""
    return RunConfig(
        task=AnomalyDetectionConfig(
            leads=[1, 4, 16, 64],
            scoring=ScoringConfig(
                statistic="record", error="signed", short_windows=[20], value_windows=[1, 30], long_window=None
            ),
        ),
        model=SeriesPredictorConfig(hidden_size=32),
        optimizer=AdamWConfig(learning_rate=5e-3, weight_decay=1e-2, clip_norm=1.0),
        training=TrainingConfig(epochs=60, batch_size=8, max_updates=1500, patience=15),
    )


def anomaly_likelihood() -> RunConfig:
    """A GRU one step ahead; a step is odd where errors of the last 1 or 10 steps are unlikely large."""
    config = anomaly_detection()
    task = AnomalyDetectionConfig(scoring=ScoringConfig(long_window=8000))
    return config.model_copy(update={"task": task})


def anomaly_autoencoder() -> RunConfig:
    """A recurrent autoencoder of windows of 32 steps; a step is odd where it can't be told again."""
    config = anomaly_detection()
    task = AnomalyDetectionConfig(
        method="reconstruction", window_length=32, scoring=ScoringConfig(short_windows=[1, 10], long_window=8000)
    )
    return config.model_copy(update={"task": task, "model": SeriesAutoencoderConfig()})
