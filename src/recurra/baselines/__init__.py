"""Floor 2: strong cheap models in NumPy (one through statsmodels); every report sets its figures beside theirs."""

from recurra.baselines.classification import classification_baselines
from recurra.baselines.forecasting import FORECAST_BASELINES, fitted_baselines
from recurra.baselines.generation import Extraction, Retrieval, TfIdf
from recurra.baselines.linear import LogisticRegression, MultiLabelLogisticRegression
from recurra.baselines.naive_bayes import MultiLabelNaiveBayes, MultinomialNaiveBayes, majority
from recurra.baselines.ngram import NGramModel, strongest_ngram

__all__ = [
    "FORECAST_BASELINES",
    "Extraction",
    "LogisticRegression",
    "MultiLabelLogisticRegression",
    "MultiLabelNaiveBayes",
    "MultinomialNaiveBayes",
    "NGramModel",
    "Retrieval",
    "TfIdf",
    "classification_baselines",
    "fitted_baselines",
    "majority",
    "strongest_ngram",
]
