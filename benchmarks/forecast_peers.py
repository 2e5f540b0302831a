"""Darts' and NeuralForecast's recurrent models as `forecast_speed.py` uses them: one univariate series, no talk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.models import BlockRNNModel, RNNModel
from neuralforecast import NeuralForecast
from neuralforecast.models import GRU, LSTM
from torch import nn

# what a prediction is asked of
SERIES, FRAME, KEPT = "the library's series", "a DataFrame", "the series kept from fit"
_QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


@dataclass(frozen=True)
class Peer:
    """A fitted model of another library.

    Attributes:
        name: for a row.
        takes: what `predict` is given.
        network: the module inside.
        predict: the steps after the end of the series.
    """

    name: str
    takes: str
    network: nn.Module
    predict: Callable[[], object]


@dataclass(frozen=True)
class Sizes:
    """What all models have in common."""

    cell: str
    hidden_size: int
    context_length: int
    horizon: int
    batch_size: int
    rate: float


def silence() -> None:
    """Lightning reports its devices on every call, and writing that would count as work."""
    for name in list(logging.root.manager.loggerDict):
        if "lightning" in name:
            logging.getLogger(name).setLevel(logging.ERROR)


def time_series(values: np.ndarray, stamps: np.ndarray) -> TimeSeries:
    """Darts computes in the series' own type: float32, as everybody here."""
    return TimeSeries.from_times_and_values(pd.DatetimeIndex(stamps), values.astype(np.float32))


def block_rnn(sizes: Sizes, epochs: int) -> BlockRNNModel:
    """A recurrent encoder, and a linear map from its end to all steps ahead."""
    return BlockRNNModel(
        input_chunk_length=sizes.context_length,
        output_chunk_length=sizes.horizon,
        model=sizes.cell.upper(),
        hidden_dim=sizes.hidden_size,
        n_epochs=epochs,
        batch_size=sizes.batch_size,
        optimizer_kwargs={"lr": sizes.rate},
        pl_trainer_kwargs=_QUIET,
        random_state=0,
    )


def darts_peers(sizes: Sizes, values: np.ndarray, stamps: np.ndarray) -> list[Peer]:
    """BlockRNNModel, and RNNModel, which goes on from step to step; both trained for one epoch."""
    series = time_series(values, stamps)
    stepwise = RNNModel(
        input_chunk_length=sizes.context_length,
        model=sizes.cell.upper(),
        hidden_dim=sizes.hidden_size,
        training_length=sizes.context_length + sizes.horizon,
        n_epochs=1,
        batch_size=sizes.batch_size,
        pl_trainer_kwargs=_QUIET,
        random_state=0,
    )
    found = []
    for model in (block_rnn(sizes, 1), stepwise):
        model.fit(series, verbose=False)

        def predict(model: BlockRNNModel | RNNModel = model) -> object:
            return model.predict(sizes.horizon, series=series, verbose=False)

        found.append(Peer(f"Darts {type(model).__name__}", SERIES, model.model, predict))
    return found


def neural_forecast_peers(sizes: Sizes, values: np.ndarray, stamps: np.ndarray) -> list[Peer]:
    """NeuralForecast's LSTM or GRU of the same encoder; its decoder is a perceptron over the steps."""
    kind = {"lstm": LSTM, "gru": GRU}[sizes.cell]
    model = kind(
        h=sizes.horizon,
        input_size=sizes.context_length,
        encoder_hidden_size=sizes.hidden_size,
        encoder_n_layers=1,
        decoder_hidden_size=sizes.hidden_size,
        decoder_layers=1,
        max_steps=10,
        batch_size=sizes.batch_size,
        **_QUIET,
    )
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": values.astype(np.float32)})
    library = NeuralForecast(models=[model], freq="h")
    library.fit(frame)
    name, network = f"NeuralForecast {kind.__name__}", library.models[0]
    return [
        Peer(name, FRAME, network, lambda: library.predict(frame)),
        Peer(name, KEPT, network, library.predict),
    ]
