"""Keras 3 layers with copied weights, whatever the backend: KERAS_BACKEND is set before the process starts."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from ..cases import GATES, Arrays, Problem

# Keras's LSTM has torch's order i f g o; its GRU z r h, which is an exchange of the first two both ways.
_ORDERS = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "elman": (0,), "elman-relu": (0,)}


def make_layer(problem: Problem) -> keras.layers.Layer:
    """The layer, built, with the problem's weights."""
    case = problem.case
    if case.kind == "lstm":
        layer = keras.layers.LSTM(case.hidden_size, return_sequences=True)
    elif case.kind == "gru":
        layer = keras.layers.GRU(case.hidden_size, return_sequences=True, reset_after=True)
    else:
        activation = "relu" if case.kind == "elman-relu" else "tanh"
        layer = keras.layers.SimpleRNN(case.hidden_size, return_sequences=True, activation=activation)
    layer.build((case.batch_size, case.num_steps, case.input_size))
    given = {name: _reordered(array, case.kind) for name, array in problem.weights.items()}
    biases = [given["bias_ih"], given["bias_hh"]]
    bias = np.stack(biases) if case.kind == "gru" else sum(biases)
    layer.set_weights([given["weight_ih"].T, given["weight_hh"].T, bias])
    return layer


def read_gradients(kind: str, y: np.ndarray, dx: np.ndarray, gradients: Sequence[np.ndarray]) -> Arrays:
    """Gradients of kernel, recurrent kernel and bias -> torch's names and order; one bias is both of torch's."""
    kernel, recurrent, bias = gradients
    biases = bias if kind == "gru" else [bias, bias]
    found = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": biases[0], "bias_hh": biases[1]}
    return {"y": y, "dx": dx} | {name: _reordered(array, kind) for name, array in found.items()}


def _reordered(array: np.ndarray, kind: str) -> np.ndarray:
    blocks = np.split(array, GATES[kind])
    return np.concatenate([blocks[index] for index in _ORDERS[kind]])
