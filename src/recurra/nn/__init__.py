"""Drop-in replacements for torch.nn.RNN, torch.nn.LSTM and torch.nn.GRU.

Same constructor arguments, shapes, parameter names, first values at the same seed, and results: `recurra.nn.LSTM` for
`torch.nn.LSTM` changes nothing. Beyond that, `forward` takes `lengths=` (zero and unsorted ones too, on any device) and
`reset=`, the constructor takes the dropouts of `Extras`, and torch.compile and torch.func work. They are no subclasses
of torch.nn's, which torch.compile refuses.
"""

from recurra.nn.base import Extras
from recurra.nn.layers import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "Extras"]
