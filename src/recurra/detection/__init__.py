"""Floor 2: from errors and values to anomaly scores, and from scores to flags; batch and step by step alike."""

from recurra.detection.pareto import ParetoTail, fit_pareto
from recurra.detection.scoring import Scorer, ScoringConfig
from recurra.detection.statistics import LongMoments, LongRecords, ShortMeans
from recurra.detection.thresholds import (
    THRESHOLDS,
    ConstantThreshold,
    PeaksOverThreshold,
    QuantileThreshold,
    Threshold,
    ThresholdConfig,
    best_f1_threshold,
)

__all__ = [
    "THRESHOLDS",
    "ConstantThreshold",
    "LongMoments",
    "LongRecords",
    "ParetoTail",
    "PeaksOverThreshold",
    "QuantileThreshold",
    "Scorer",
    "ScoringConfig",
    "ShortMeans",
    "Threshold",
    "ThresholdConfig",
    "best_f1_threshold",
    "fit_pareto",
]
