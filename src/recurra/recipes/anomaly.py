"""Recipes for anomaly detection."""

from __future__ import annotations

from recurra.detection import ScoringConfig
from recurra.models import SeriesAutoencoderConfig, SeriesPredictorConfig
from recurra.runs import RunConfig
from recurra.tasks import AnomalyDetectionConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig


def anomaly_detection() -> RunConfig:
    """A GRU that looks 1, 4 and 16 steps ahead; a step is odd where errors of the last 1 or 5 are unlikely large."""
    return RunConfig(
        task=AnomalyDetectionConfig(leads=[1, 4, 16], scoring=ScoringConfig(error="signed", short_windows=[1, 5])),
        model=SeriesPredictorConfig(),
        optimizer=AdamWConfig(learning_rate=5e-3, weight_decay=1e-2, clip_norm=1.0),
        training=TrainingConfig(epochs=60, batch_size=8, max_updates=1500, patience=15),
    )


def anomaly_alarms() -> RunConfig:
    """One alarm an event, for operators: a value, or what was said of it up to 64 steps before, must set a record."""
    scoring = ScoringConfig(
        statistic="record", error="signed", short_windows=[20], value_windows=[1, 30], rest=288, warmup=100
    )
    config = anomaly_detection()
    return config.model_copy(update={"task": AnomalyDetectionConfig(leads=[1, 4, 16, 64], scoring=scoring)})


def anomaly_autoencoder() -> RunConfig:
    """A recurrent autoencoder of windows of 32 steps; a step is odd where it can't be told again."""
    scoring = ScoringConfig(short_windows=[1, 5])
    task = AnomalyDetectionConfig(method="reconstruction", window_length=32, scoring=scoring)
    return anomaly_detection().model_copy(update={"task": task, "model": SeriesAutoencoderConfig()})
