"""A recurrent predictor of running series: after each step, distributions of the values so many steps later.

Reference: Malhotra et al. (2015), anomalies by the errors of a recurrent predictor of several steps ahead, ESANN.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.cells import CellConfig, GRUConfig
from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Recurrent, RecurrentConfig


class SeriesPredictorConfig(RecurrentConfig):
    """A predictor; the options of its recurrent stack, and of its head."""

    kind: Literal["series-predictor"] = "series-predictor"
    cell: CellConfig = Field(default=GRUConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=32, ge=1, description="of every layer")
    from_last: bool = Field(True, description="predict the change from the last value; false: the value itself")


class SeriesPredictor(nn.Module):
    """Predicts values some steps ahead of each step; its state goes on from call to call."""

    Config: ClassVar[type[Config]] = SeriesPredictorConfig

    def __init__(self, config: SeriesPredictorConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.bidirectional:
            raise ConfigError("`model.bidirectional`: a predictor reads forward only; set it to false.")
        if spec.window is None or spec.window.horizon < 1:
            raise ConfigError("model=series-predictor looks ahead: it needs task.method=prediction.")
        self.config = config
        self.target_size, self.num_parameters = spec.window.target_size, spec.window.num_parameters
        self.num_leads = spec.output_size // (self.target_size * self.num_parameters)
        self.recurrent = Recurrent(spec.input_size, config)
        self.head = nn.Linear(self.recurrent.output_size, spec.output_size)
        # the first forecast is the last value, whatever came before
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Predict.

        Args:
            inputs: data (B, T, I), the C values first.
            state: of an earlier call, same B; None starts afresh.
        Returns:
            `Forecast` of (B, T, C * leads, K): the leads of the first value, then those of the next.
        """
        recurrent = self.recurrent(inputs, state)
        parameters = self.head(recurrent.outputs.data).unflatten(-1, (-1, self.num_parameters))
        last = inputs.data[..., : self.target_size]
        shift = last.repeat_interleave(self.num_leads, -1).to(parameters.dtype)
        if not self.config.from_last:
            shift = torch.zeros_like(shift)
        return ModelOutput(Forecast(parameters, shift, torch.ones_like(shift)), recurrent.state)

    def step(self, values: Tensor, state: State | None) -> tuple[Forecast, State]:
        """One step: (B, I) -> `Forecast` of (B, 1, C * leads, K), and the state."""
        output = self(Sequences(values[:, None]), state)
        assert output.state is not None, "a predictor has a state"
        return output.prediction, output.state

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the input to the head, for discriminative rates and unfreezing."""
        return [*self.recurrent.layer_parameters(), list(self.head.parameters())]
