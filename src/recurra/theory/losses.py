"""Losses, each with its gradient: means over all steps of all sequences."""

import numpy as np
from numpy.typing import NDArray

from recurra.theory.recurrence import Array, sigmoid


def mse(y: Array, target: Array) -> tuple[float, Array]:
    """L = 1/N sum (y - t)^2, dL/dy = 2/N (y - t); N counts every number."""
    error = y - target
    return float(np.mean(error**2)), 2 * error / error.size


def softmax(z: Array) -> Array:
    """p_k = e^{z_k} / sum_j e^{z_j} along the last axis; the largest z is taken off first, which changes nothing."""
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(z: Array, target: NDArray[np.int64]) -> tuple[float, Array]:
    """L = -1/N sum log softmax(z)_t, dL/dz = 1/N (softmax(z) - onehot(t)); logits z (..., V), class numbers t (...)."""
    shifted = z - z.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    onehot = np.eye(z.shape[-1])[target]
    return float(-(onehot * log_p).sum() / target.size), (softmax(z) - onehot) / target.size


def binary_cross_entropy(z: Array, target: Array) -> tuple[float, Array]:
    """L = -1/N sum [t log sigma(z) + (1 - t) log(1 - sigma(z))], dL/dz = 1/N (sigma(z) - t).

    Computed as max(z, 0) - t z + log(1 + e^-|z|), which can't overflow.
    """
    loss = np.maximum(z, 0) - target * z + np.log1p(np.exp(-np.abs(z)))
    return float(loss.mean()), (sigmoid(z) - target) / z.size
