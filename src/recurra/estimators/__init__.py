"""Floor 10: scikit-learn's manners over runs: fit, predict, get_params, set_params."""

from recurra.estimators.anomaly import AnomalyDetector
from recurra.estimators.base import Estimator
from recurra.estimators.forecasting import Forecaster
from recurra.estimators.series import SeriesClassifier, SeriesRegressor
from recurra.estimators.text import LanguageModel, TextClassifier
from recurra.estimators.training import train

__all__ = [
    "AnomalyDetector",
    "Estimator",
    "Forecaster",
    "LanguageModel",
    "SeriesClassifier",
    "SeriesRegressor",
    "TextClassifier",
    "train",
]
