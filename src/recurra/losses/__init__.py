"""Floor 2: raw model output and targets -> LossSum, over real positions only."""

from recurra.losses.classification import HasCrossEntropy, binary_cross_entropy, cross_entropy
from recurra.losses.distributions import Likelihood
from recurra.losses.likelihoods import LIKELIHOODS, LikelihoodConfig, QuantileConfig
from recurra.losses.regression import huber, mae, mse

LOSSES = {
    "cross-entropy": cross_entropy,
    "binary-cross-entropy": binary_cross_entropy,
    "mse": mse,
    "mae": mae,
    "huber": huber,
}

__all__ = [
    "LIKELIHOODS",
    "LOSSES",
    "HasCrossEntropy",
    "Likelihood",
    "LikelihoodConfig",
    "QuantileConfig",
    "binary_cross_entropy",
    "cross_entropy",
    "huber",
    "mae",
    "mse",
]
