"""RNN, LSTM and GRU with torch.nn's signatures."""

from __future__ import annotations

from typing import Any

import torch

from recurra.core.errors import ConfigError, did_you_mean
from recurra.nn.base import Device, Mode, Recurrence


class RNN(Recurrence):
    """`torch.nn.RNN`, with `lengths`, `reset` and the options of `Extras`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **extras: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ConfigError(f"no nonlinearity `{nonlinearity}`.{did_you_mean(nonlinearity, ['tanh', 'relu'])}")
        mode: Mode = "RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU"
        sizes = input_size, hidden_size, num_layers, 0
        super().__init__(mode, sizes, bias, batch_first, dropout, bidirectional, extras, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(Recurrence):
    """`torch.nn.LSTM`, with `lengths`, `reset` and the options of `Extras`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **extras: Any,
    ) -> None:
        sizes = input_size, hidden_size, num_layers, proj_size
        super().__init__("LSTM", sizes, bias, batch_first, dropout, bidirectional, extras, device, dtype)


class GRU(Recurrence):
    """`torch.nn.GRU`, with `lengths`, `reset` and the options of `Extras`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **extras: Any,
    ) -> None:
        sizes = input_size, hidden_size, num_layers, 0
        super().__init__("GRU", sizes, bias, batch_first, dropout, bidirectional, extras, device, dtype)
