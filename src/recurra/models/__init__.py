"""Floor 5: architectures. A new model is one file and one line of MODELS."""

from typing import Any

from recurra.core.config import by_kind
from recurra.models.autoregressive_forecaster import AutoregressiveForecaster, AutoregressiveForecasterConfig
from recurra.models.crnn import CRNN, CRNNConfig
from recurra.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from recurra.models.forecast_decoder import ForecastDecoder, ForecastDecoderConfig
from recurra.models.forecaster import Forecaster, ForecasterConfig
from recurra.models.generative_classifier import GenerativeClassifier, GenerativeClassifierConfig
from recurra.models.language_model import LanguageModel, LanguageModelConfig
from recurra.models.lstm_fcn import LSTMFCN, LSTMFCNConfig
from recurra.models.reader import Reader, ReaderConfig
from recurra.models.recurrent_network import RecurrentNetwork, RecurrentNetworkConfig
from recurra.models.seasonal_forecaster import SeasonalForecaster, SeasonalForecasterConfig
from recurra.models.series_autoencoder import SeriesAutoencoder, SeriesAutoencoderConfig
from recurra.models.series_classifier import SeriesClassifier, SeriesClassifierConfig
from recurra.models.series_ensemble import SeriesEnsemble, SeriesEnsembleConfig
from recurra.models.series_predictor import SeriesPredictor, SeriesPredictorConfig
from recurra.models.story_reader import StoryReader, StoryReaderConfig
from recurra.models.tagger import Tagger, TaggerConfig
from recurra.models.text_classifier import TextClassifier, TextClassifierConfig

MODELS: dict[str, Any] = {
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
ModelConfig = by_kind(model.Config for model in MODELS.values())

__all__ = [
    "CRNN",
    "LSTMFCN",
    "MODELS",
    "AutoregressiveForecaster",
    "AutoregressiveForecasterConfig",
    "CRNNConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "ForecastDecoder",
    "ForecastDecoderConfig",
    "Forecaster",
    "ForecasterConfig",
    "GenerativeClassifier",
    "GenerativeClassifierConfig",
    "LSTMFCNConfig",
    "LanguageModel",
    "LanguageModelConfig",
    "ModelConfig",
    "Reader",
    "ReaderConfig",
    "RecurrentNetwork",
    "RecurrentNetworkConfig",
    "SeasonalForecaster",
    "SeasonalForecasterConfig",
    "SeriesAutoencoder",
    "SeriesAutoencoderConfig",
    "SeriesClassifier",
    "SeriesClassifierConfig",
    "SeriesEnsemble",
    "SeriesEnsembleConfig",
    "SeriesPredictor",
    "SeriesPredictorConfig",
    "StoryReader",
    "StoryReaderConfig",
    "Tagger",
    "TaggerConfig",
    "TextClassifier",
    "TextClassifierConfig",
]
