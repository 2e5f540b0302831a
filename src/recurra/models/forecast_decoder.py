"""An encoder of the history, and a decoder that walks over the steps ahead, as many as are wanted.

The decoder reads no value: at each step it gets the history's vector and what is known ahead, so that its errors do not
feed on themselves and all steps are one scan. Sources: Cho et al. (2014), https://arxiv.org/abs/1406.1078, decoder of
section 2.2 without its outputs fed back; Salinas et al. (2017), https://arxiv.org/abs/1704.04110, covariates.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig, GRUConfig
from recurra.core.batch import TaskSpec
from recurra.core.config import Config
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Recurrent, RecurrentConfig
from recurra.layers.history import HistoryConfig, HistoryEncoder, window_of
from recurra.layers.horizon import steps_ahead
from recurra.models.history_forecaster import HistoryForecaster


class ForecastDecoderConfig(RecurrentConfig):
    """Two stacks of these sizes: the second goes on from the state of the first."""

    kind: Literal["forecast-decoder"] = "forecast-decoder"
    cell: CellConfig = Field(default=GRUConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=64, ge=1, description="of every layer of both stacks")
    history: HistoryConfig = Field(default=HistoryConfig(), description="how the history is read")

    @model_validator(mode="after")
    def _parts_fit(self) -> ForecastDecoderConfig:
        self.history.require_fitting(self)
        if self.bidirectional or self.learn_initial_state:
            raise ValueError("forecast-decoder needs bidirectional=false and learn_initial_state=false")
        return self


class ForecastDecoder(HistoryForecaster):
    """Forecasts step by step, as many as are wanted, without feeding back."""

    Config: ClassVar[type[Config]] = ForecastDecoderConfig

    def __init__(self, config: ForecastDecoderConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = window_of(spec)
        self.encoder = HistoryEncoder(config, config.history, self.spec)
        self.decoder = Recurrent(self.encoder.output_size + self.encoder.series.size + self.spec.known_size, config)
        self.output = nn.Linear(self.decoder.output_size, self.spec.target_size * self.spec.num_parameters)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood."""
        return self.encoder.observe(window, state)

    def forecast(self, state: State, future_known: Tensor | None = None, horizon: int | None = None) -> Forecast:
        """What follows the history, any number of steps."""
        found = self.encoder.encode(state)
        count = steps_ahead(future_known, horizon, self.spec)
        steps = torch.cat([found.vector, found.side], -1)[:, None].expand(-1, count, -1)
        if self.spec.known_size and future_known is not None:
            steps = torch.cat([steps, future_known], -1)
        walked = self.decoder(Sequences(steps), found.state).outputs.data
        parameters = self.output(walked).unflatten(-1, (self.spec.target_size, self.spec.num_parameters))
        return Forecast(parameters, found.shift, found.scale)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the history to the head, for discriminative rates and unfreezing."""
        return [*self.encoder.layer_groups(), *self.decoder.layer_parameters(), list(self.output.parameters())]
