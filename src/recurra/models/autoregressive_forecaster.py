"""A recurrent net that gives the distribution of the next value, and reads it to go on: forecasts are sample paths.

Source: Salinas et al. (2017), DeepAR, https://arxiv.org/abs/1704.04110; beside the value before, it reads those one
seasonal period ago.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig, LSTMConfig
from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Recurrent, RecurrentConfig
from recurra.layers.history import SeriesVectors, remember, remembered, split, window_of
from recurra.layers.scaling import scale_window
from recurra.layers.windows import join, lengths_of, take


class AutoregressiveForecasterConfig(RecurrentConfig):
    """A stack over the values, one step after another."""

    kind: Literal["autoregressive-forecaster"] = "autoregressive-forecaster"
    cell: CellConfig = Field(default=LSTMConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=40, ge=1, description="of every layer")
    normalisation: Literal["none", "last", "window", "scaled-last", "mean"] = Field(
        "mean", description="what level and spread of the last task.context_length values are taken out"
    )
    carry: bool = Field(False, description="read the whole history, state carried; with normalisation=none")
    series_dim: int = Field(0, ge=0, description="size of a trained vector for each series of the training data")

    @model_validator(mode="after")
    def _parts_fit(self) -> AutoregressiveForecasterConfig:
        if self.carry and self.normalisation != "none":
            raise ValueError("carry needs normalisation=none")
        if self.bidirectional:
            raise ValueError("autoregressive-forecaster needs bidirectional=false")
        return self


class AutoregressiveForecaster(nn.Module):
    """The distribution of each next value, given those before it.

    In training the true values are read (`Window.shifted`). To draw paths: `state = begin(window)`, then
    `forecast, state = step(None, known, state)`, draw a value of the forecast, and `step(value, known, state)`.
    """

    Config: ClassVar[type[Config]] = AutoregressiveForecasterConfig

    def __init__(self, config: AutoregressiveForecasterConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = window_of(spec)
        if self.spec.past_size:
            raise ConfigError(
                "an autoregressive forecaster can't read covariates that end with the history (data.series.past). "
                "Leave them out, or take model=forecaster."
            )
        self.lags = sorted({1, *(period for period in self.spec.periods if period <= self.spec.context_length)})
        self.series = SeriesVectors(self.spec, config.series_dim)
        size = len(self.lags) * self.spec.target_size + self.spec.known_size + self.series.size
        self.recurrent = Recurrent(size, config)
        self.output = nn.Linear(self.recurrent.output_size, self.spec.target_size * self.spec.num_parameters)

    def forward(self, inputs: Window, state: State | None = None) -> ModelOutput:
        """The distribution of each step ahead, given the true steps before it.

        Args:
            inputs: history (B, L, C), any L, and what follows it, shifted by one step.
            state: of an earlier call, whose history goes on in `inputs`.
        Returns:
            `Forecast` of (B, H, C, K).
        Raises:
            ShapeError: the window has no `shifted`.
        """
        if inputs.shifted is None:
            raise ShapeError("the steps ahead are not known: draw paths with `begin` and `step`.")
        state = self.observe(inputs, state)
        recurrent, lagged, shift, scale, side = self._walker(state)
        values = (inputs.shifted[:, 1:] - shift) / scale
        ahead = self._inputs(values, lagged, inputs.future_known, side, inputs.shifted.shape[1])
        outputs = self.recurrent(Sequences(ahead), recurrent).outputs.data
        return ModelOutput(self._forecast(outputs, shift, scale), state)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood; what lies ahead is not looked at."""
        steps = join(window)
        side = self.series(window) if state is None else cast(Tensor, state[-1])
        if not self.config.carry:
            return remember(steps, state, side, self.spec.context_length)
        lagged, recurrent = window.past.data.new_zeros(steps.batch_size, self.lags[-1], self.spec.target_size), None
        if state is not None:
            recurrent, lagged = cast("tuple[State, Tensor]", state[:2])
        values, _, known = split(steps.data.masked_fill(~steps.mask[..., None], 0), self.spec)
        return (*self._read(steps.with_data(values), known, lagged, recurrent, side), side)

    def begin(self, window: Window, state: State | None = None) -> State:
        """Where `step` starts: at the end of the window's history, which goes on where `state` stood."""
        return self._walker(self.observe(window, state))

    def step(self, values: Tensor | None, known: Tensor | None, state: State) -> tuple[Forecast, State]:
        """One step of the path of each row.

        Args:
            values: (B, C) what came true, or was drawn, of the last forecast; None at the first step.
            known: (B, F) covariates of the step to be forecast, or None where the task has none.
            state: from `begin` or an earlier step.
        Returns:
            `Forecast` of (B, 1, C, K), and the state to go on from.
        """
        recurrent, lagged, shift, scale, side = cast("tuple[State, Tensor, Tensor, Tensor, Tensor]", state)
        if values is not None:
            lagged = torch.cat([lagged[:, 1:], (values[:, None] - shift) / scale], 1)
        ahead = self._inputs(lagged[:, :0], lagged, None if known is None else known[:, None], side, 1)
        output = self.recurrent(Sequences(ahead), recurrent)
        return self._forecast(output.outputs.data, shift, scale), (output.state, lagged, shift, scale, side)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the history to the head, for discriminative rates and unfreezing."""
        groups = [list(self.series.parameters()), *self.recurrent.layer_parameters()]
        return [*groups, list(self.output.parameters())]

    def _walker(self, state: State) -> tuple[State, Tensor, Tensor, Tensor, Tensor]:
        """State of the stack, last scaled values (B, max lag, C), shift, scale (B, 1, C), side (B, S)."""
        if self.config.carry:
            recurrent, lagged, side = cast("tuple[State, Tensor, Tensor]", state)
            shift = torch.zeros_like(lagged[:, :1])
            return recurrent, lagged, shift, shift + 1, side
        steps, side = remembered(state)
        values, observed, known = split(steps.data, self.spec)
        scaled = scale_window(self.config.normalisation, values, observed, steps)
        lagged = values.new_zeros(steps.batch_size, self.lags[-1], self.spec.target_size)
        recurrent, lagged = self._read(steps.with_data(scaled.values), known, lagged, None, side)
        return recurrent, lagged, scaled.shift, scaled.scale, side

    def _read(
        self, values: Sequences, known: Tensor, lagged: Tensor, recurrent: State | None, side: Tensor
    ) -> tuple[State, Tensor]:
        """Read a history; each step's input is what stood before it, zeros at first."""
        read = self._inputs(values.data[:, :-1], lagged, known, side, values.num_steps)
        after = self.recurrent(values.with_data(read), recurrent).state
        index = lengths_of(values)[:, None] + torch.arange(self.lags[-1], device=read.device)
        return after, take(torch.cat([lagged, values.data], 1), index, torch.ones_like(index, dtype=torch.bool))

    def _inputs(self, values: Tensor, lagged: Tensor, known: Tensor | None, side: Tensor, count: int) -> Tensor:
        """(B, count, I): for each step the values before it, `lagged` followed by `values`, and what is known of it."""
        everything, most = torch.cat([lagged, values], 1), self.lags[-1]
        parts = [everything[:, most - lag : most - lag + count] for lag in self.lags]
        if self.spec.known_size:
            if known is None:
                raise ShapeError(f"the model needs {self.spec.known_size} covariates known ahead; there are none.")
            parts.append(known)
        return torch.cat([*parts, side[:, None].expand(-1, count, -1)], -1)

    def _forecast(self, outputs: Tensor, shift: Tensor, scale: Tensor) -> Forecast:
        parameters = self.output(outputs).unflatten(-1, (self.spec.target_size, self.spec.num_parameters))
        return Forecast(parameters, shift, scale)
