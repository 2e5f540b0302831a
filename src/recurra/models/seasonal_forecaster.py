"""Exponential smoothing and a dilated recurrent net, trained together: ES-RNN in manner.

The smoothing takes level and seasons out of the history, the net reads what is left, and gives what is to be added to
the level and seasons of the steps ahead. Source: Smyl (2020), https://doi.org/10.1016/j.ijforecast.2019.03.017. Other
than there, the seasons start as means of the history rather than as trained numbers, so that series which were not in
training are forecast as well, and one window gives one forecast.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig, LSTMConfig
from recurra.core.batch import TaskSpec
from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import RecurrentConfig
from recurra.layers.dilated import DilatedRecurrent
from recurra.layers.history import SeriesVectors, remember, remembered, split, window_of
from recurra.layers.horizon import DirectConfig, known_ahead, steps_ahead
from recurra.layers.smoothing import SeasonalSmoothing
from recurra.layers.windows import aligned_right, join, patches
from recurra.models.history_forecaster import HistoryForecaster


class SeasonalForecasterConfig(RecurrentConfig):
    """Smoothing, and a dilated stack over patches of one shortest period."""

    kind: Literal["seasonal-forecaster"] = "seasonal-forecaster"
    cell: CellConfig = Field(default=LSTMConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=40, ge=1, description="of every layer")
    num_layers: int = Field(default=1, ge=1, description="layers of each dilation")
    dilations: tuple[int, ...] = Field((1, 7), min_length=1, description="in patches, a stack for each")
    seasonality: Literal["additive", "multiplicative"] = Field(
        "additive", description="multiplicative is for values above 0 (task.scaling=mean or none)"
    )
    series_dim: int = Field(0, ge=0, description="size of a trained vector for each series of the training data")

    @model_validator(mode="after")
    def _parts_fit(self) -> SeasonalForecasterConfig:
        if self.bidirectional:
            raise ValueError("seasonal-forecaster needs bidirectional=false")
        if any(dilation < 1 for dilation in self.dilations):
            raise ValueError("dilations are 1 or more")
        return self


class SeasonalForecaster(HistoryForecaster):
    """Forecasts what level and seasons leave of a series. Its state is the last context_length steps."""

    Config: ClassVar[type[Config]] = SeasonalForecasterConfig

    def __init__(self, config: SeasonalForecasterConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = window_of(spec)
        self.smoothing = SeasonalSmoothing(self.spec)
        self.series = SeriesVectors(self.spec, config.series_dim)
        step_size = 2 * self.spec.target_size + self.spec.past_size + self.spec.known_size
        self.reading = nn.Linear(step_size * self.smoothing.chunk + self.series.size, config.hidden_size)
        self.recurrent = DilatedRecurrent(config.hidden_size, config, config.dilations)
        self.head = DirectConfig().build(self.spec, self.recurrent.output_size, self.series.size, 1)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood."""
        steps = join(window)
        new = torch.full((steps.batch_size,), -1, device=steps.data.device)
        series = new if window.series is None else window.series
        if state is None:
            side = torch.cat([self.series(window), series[:, None].to(steps.data)], -1)
        else:
            side = remembered(state)[1]
        return remember(steps, state, side, self.spec.context_length)

    def forecast(self, state: State, future_known: Tensor | None = None, horizon: int | None = None) -> Forecast:
        """What follows the history; no more steps than the trained horizon has.

        Raises:
            DataError: values of 0 or less with multiplicative seasons.
        """
        count = steps_ahead(future_known, horizon, self.spec)
        known = known_ahead(future_known, self.spec, count)
        kept, remembered_side = remembered(state)
        side, series = remembered_side[:, :-1], remembered_side[:, -1].long()
        steps = aligned_right(kept, self.spec.context_length)
        values, weight, others = split(steps, self.spec)
        smoothed = self.smoothing(self._to_scale(values, weight), weight, series)
        length = smoothed.residual.shape[1]
        read = torch.cat([smoothed.residual / smoothed.spread, weight[:, -length:], others[:, -length:]], -1)
        days = patches(Sequences(read), self.smoothing.chunk, self.smoothing.chunk).data
        days = torch.cat([days, side[:, None].expand(-1, days.shape[1], -1)], -1)
        outputs = self.recurrent(Sequences(self.reading(days)))
        parameters = self.head(self.recurrent.last(outputs), side, known)
        ahead = self.smoothing.ahead(smoothed, self.spec.horizon)[:, :count]
        if self.config.seasonality == "additive":
            return Forecast(parameters[:, :count], ahead, smoothed.spread.expand_as(ahead))
        return Forecast(parameters[:, :count], ahead.exp(), ahead.exp() * smoothed.spread)

    def require(self, inputs: Window) -> None:
        """Check that there are no values of 0 or less with multiplicative seasons.

        Raises:
            DataError: there are.
        """
        steps = join(inputs)
        values, weight, _ = split(steps.data, self.spec)
        self._to_scale(values, weight.masked_fill(~steps.mask[..., None], 0))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the smoothing to the head, for discriminative rates and unfreezing."""
        first = [*self.smoothing.parameters(), *self.series.parameters(), *self.reading.parameters()]
        return [first, list(self.recurrent.parameters()), list(self.head.parameters())]

    def _to_scale(self, values: Tensor, weight: Tensor) -> Tensor:
        """Values whose level and seasons add up."""
        if self.config.seasonality == "additive":
            return values
        if bool(((values <= 0) & (weight > 0)).any()):
            raise DataError(
                "the series has values of 0 or less, and multiplicative seasons are for values above 0. Set "
                "model.seasonality=additive, or task.scaling=mean or none if only the scaling made them negative."
            )
        return torch.where(weight > 0, values, 1.0).log()
