"""Recipes for classes and numbers of whole series."""

from __future__ import annotations

from recurra.data.transforms import SeriesAugmentConfig
from recurra.layers import ConvolutionConfig, DropoutConfig
from recurra.models import CRNNConfig, LSTMFCNConfig, SeriesClassifierConfig, SeriesEnsembleConfig
from recurra.runs import RunConfig
from recurra.tasks import SeriesClassificationConfig, SeriesRegressionConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import OneCycleConfig

_AUGMENTATION = SeriesAugmentConfig(scaling=0.1, time_warp=0.1, mixing=0.3)


def _classifying(model: LSTMFCNConfig | SeriesClassifierConfig | CRNNConfig) -> RunConfig:
    # Few series take many epochs, many series few; at the end of the schedule the weights are better than any that a
    # handful of held-out series could choose.
    return RunConfig(
        task=SeriesClassificationConfig(augmentation=_AUGMENTATION),
        model=model,
        optimizer=AdamWConfig(learning_rate=3e-3, clip_norm=1.0),
        schedule=OneCycleConfig(rise=0.05),
        training=TrainingConfig(epochs=250, max_updates=2500, batch_size=16, evaluate_every=100, monitor="last"),
    )


def lstm_fcn() -> RunConfig:
    """Convolutions with long kernels beside a small LSTM."""
    convolution = ConvolutionConfig(filters=(32, 64, 32), kernel_sizes=(24, 12, 6))
    return _classifying(LSTMFCNConfig(hidden_size=32, convolution=convolution))


def series_ensemble() -> RunConfig:
    """Three networks of `lstm-fcn`, whose answers are averaged: the strongest, at three times the cost."""
    single = lstm_fcn()
    return single.model_copy(update={"model": SeriesEnsembleConfig(num_members=3, member=single.model)})


def series_classifier() -> RunConfig:
    """A bidirectional LSTM with attention pooling."""
    return _classifying(SeriesClassifierConfig(hidden_size=64, dropout=DropoutConfig(output=0.2)))


def crnn() -> RunConfig:
    """Convolutions that shorten a series, then a bidirectional LSTM: for long series."""
    convolution = ConvolutionConfig(filters=(32, 64), kernel_sizes=(9, 7), strides=(2, 2))
    return _classifying(CRNNConfig(hidden_size=48, convolution=convolution))


def series_regressor() -> RunConfig:
    """The model of `lstm-fcn` for numbers instead of classes."""
    return lstm_fcn().model_copy(update={"task": SeriesRegressionConfig(augmentation=_AUGMENTATION)})
