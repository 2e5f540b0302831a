"""Floor 5: architectures. A new model is one file and one line of SINGLE."""

from typing import Any

from recurra.core.config import by_kind
from recurra.models.autoregressive_forecaster import AutoregressiveForecaster, AutoregressiveForecasterConfig
from recurra.models.crnn import CRNN, CRNNConfig
from recurra.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from recurra.models.ensemble import Ensemble, EnsembleConfig
from recurra.models.forecast_decoder import ForecastDecoder, ForecastDecoderConfig
from recurra.models.forecaster import Forecaster, ForecasterConfig
from recurra.models.generative_classifier import GenerativeClassifier, GenerativeClassifierConfig
from recurra.models.language_model import LanguageModel, LanguageModelConfig
from recurra.models.lstm_fcn import LSTMFCN, LSTMFCNConfig
from recurra.models.mixing import mix
from recurra.models.reader import Reader, ReaderConfig
from recurra.models.recurrent_network import RecurrentNetwork, RecurrentNetworkConfig
from recurra.models.seasonal_forecaster import SeasonalForecaster, SeasonalForecasterConfig
from recurra.models.series_autoencoder import SeriesAutoencoder, SeriesAutoencoderConfig
from recurra.models.series_classifier import SeriesClassifier, SeriesClassifierConfig
from recurra.models.series_ensemble import SeriesEnsemble, SeriesEnsembleConfig
from recurra.models.series_predictor import SeriesPredictor, SeriesPredictorConfig
from recurra.models.single import SINGLE
from recurra.models.story_reader import StoryReader, StoryReaderConfig
from recurra.models.tagger import Tagger, TaggerConfig
from recurra.models.text_classifier import TextClassifier, TextClassifierConfig

MODELS: dict[str, Any] = {**SINGLE, "ensemble": Ensemble}
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
    "Ensemble",
    "EnsembleConfig",
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
    "mix",
]
