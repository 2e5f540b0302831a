"""A recurrent encoder of the history and a head that gives all steps ahead at once.

Sources: Lin et al. (2023), segments, https://arxiv.org/abs/2308.11200; Nie et al. (2023), patches of single channels,
https://arxiv.org/abs/2211.14730; Wen et al. (2017), quantiles of all steps at once, https://arxiv.org/abs/1711.11053.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig, GRUConfig
from recurra.core.batch import TaskSpec
from recurra.core.config import Config
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.state import State
from recurra.layers import RecurrentConfig
from recurra.layers.history import HistoryConfig, HistoryEncoder, window_of
from recurra.layers.horizon import DirectConfig, DirectHead, HorizonHeadConfig, known_ahead, steps_ahead
from recurra.layers.windows import aligned_right
from recurra.models.history_forecaster import HistoryForecaster


class ForecasterConfig(RecurrentConfig):
    """A recurrent encoder and a head for all steps ahead."""

    kind: Literal["forecaster"] = "forecaster"
    cell: CellConfig = Field(default=GRUConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=64, ge=1, description="of every layer, and of each direction")
    history: HistoryConfig = Field(default=HistoryConfig(), description="how the history is read")
    head: HorizonHeadConfig = Field(default=DirectConfig(), description="how the steps ahead are read off it")

    @model_validator(mode="after")
    def _parts_fit(self) -> ForecasterConfig:
        self.history.require_fitting(self)
        if self.history.carry and self.head.linear:
            raise ValueError("history.carry needs head.linear=false")
        if self.head.kind == "segments" and (self.bidirectional or self.last_size not in (None, self.hidden_size)):
            raise ValueError("head.kind=segments needs bidirectional=false and last_size=null")
        return self


class Forecaster(HistoryForecaster):
    """Forecasts all steps of the horizon from the history, and no more than these."""

    Config: ClassVar[type[Config]] = ForecasterConfig

    def __init__(self, config: ForecasterConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = window_of(spec)
        self.encoder = HistoryEncoder(config, config.history, self.spec, config.head.kind == "segments")
        self.head = config.head.build(
            self.spec, self.encoder.output_size, self.encoder.series.size, config.history.patch_length
        )
        length = self.spec.context_length
        self.linear = nn.Linear(length, self.spec.horizon * self.spec.num_parameters) if config.head.linear else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood."""
        return self.encoder.observe(window, state)

    def forecast(self, state: State, future_known: Tensor | None = None, horizon: int | None = None) -> Forecast:
        """What follows the history; no more steps than the trained horizon has."""
        count = steps_ahead(future_known, horizon, self.spec)
        known = known_ahead(future_known, self.spec, count)
        found = self.encoder.encode(state)
        if isinstance(self.head, DirectHead):
            parameters = self.head(found.vector, found.side, known)
        else:
            parameters = self.head(self.encoder.recurrent, found.side, known, found.state)
        if self.linear is not None and found.values is not None:
            history = aligned_right(found.values, self.spec.context_length).transpose(1, 2)
            parameters = parameters + self.linear(history).unflatten(-1, (self.spec.horizon, -1)).transpose(1, 2)
        return Forecast(parameters[:, :count], found.shift, found.scale)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the history to the head, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_groups()
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]
