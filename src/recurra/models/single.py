"""Architectures that stand alone, as opposed to `Ensemble`. A new model is one file and one line of SINGLE."""

from typing import Any

from recurra.core.config import by_kind
from recurra.models.autoregressive_forecaster import AutoregressiveForecaster
from recurra.models.crnn import CRNN
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.forecast_decoder import ForecastDecoder
from recurra.models.forecaster import Forecaster
from recurra.models.generative_classifier import GenerativeClassifier
from recurra.models.language_model import LanguageModel
from recurra.models.lstm_fcn import LSTMFCN
from recurra.models.reader import Reader
from recurra.models.recurrent_network import RecurrentNetwork
from recurra.models.seasonal_forecaster import SeasonalForecaster
from recurra.models.series_autoencoder import SeriesAutoencoder
from recurra.models.series_classifier import SeriesClassifier
from recurra.models.series_ensemble import SeriesEnsemble
from recurra.models.series_predictor import SeriesPredictor
from recurra.models.story_reader import StoryReader
from recurra.models.tagger import Tagger
from recurra.models.text_classifier import TextClassifier

SINGLE: dict[str, Any] = {
    "language-model": LanguageModel,
    "text-classifier": TextClassifier,
    "generative-classifier": GenerativeClassifier,
    "encoder-decoder": EncoderDecoder,
    "tagger": Tagger,
    "forecaster": Forecaster,
    "seasonal-forecaster": SeasonalForecaster,
    "forecast-decoder": ForecastDecoder,
    "autoregressive-forecaster": AutoregressiveForecaster,
    "reader": Reader,
    "story-reader": StoryReader,
    "series-classifier": SeriesClassifier,
    "lstm-fcn": LSTMFCN,
    "crnn": CRNN,
    "series-ensemble": SeriesEnsemble,
    "series-predictor": SeriesPredictor,
    "series-autoencoder": SeriesAutoencoder,
    "recurrent-network": RecurrentNetwork,
}
SingleConfig = by_kind(model.Config for model in SINGLE.values())
