"""Floor 2: recurrent networks from their equations, in NumPy alone: forward passes and gradients written out by hand.

For reading, and for checking: everything here equals `recurra.cells`, torch and Keras to the last digits. It is slow,
knows no padding and no GPU; `recurra.cells` takes over its weights as they are. The modules `attention` and `sources`
hold more; `python -m recurra.theory.worked_example` and `python -m recurra.theory.vanishing` show numbers.
"""

from recurra.theory.elman import Elman, JoinedElman
from recurra.theory.gru import GRU
from recurra.theory.losses import binary_cross_entropy, cross_entropy, mse
from recurra.theory.lstm import LSTM
from recurra.theory.network import Network
from recurra.theory.optimizers import SGD, Adam, Momentum, clip_by_norm, clip_by_value
from recurra.theory.training import sample, train

__all__ = [
    "GRU",
    "LSTM",
    "SGD",
    "Adam",
    "Elman",
    "JoinedElman",
    "Momentum",
    "Network",
    "binary_cross_entropy",
    "clip_by_norm",
    "clip_by_value",
    "cross_entropy",
    "mse",
    "sample",
    "train",
]
