"""A recurrent encoder of the history and a head that gives all steps ahead at once.

Sources: Lin et al. (2023), segments, https://arxiv.org/abs/2308.11200; Nie et al. (2023), patches of single channels,
https://arxiv.org/abs/2211.14730; Wen et al. (2017), quantiles of all steps at once, https://arxiv.org/abs/1711.11053.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig, GRUConfig
from recurra.core.batch import ModelOutput, TaskSpec, WindowSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Recurrent, RecurrentConfig
from recurra.layers.horizon import DirectConfig, DirectHead, HorizonHeadConfig, known_ahead
from recurra.layers.scaling import NormalisationKind, RunningScale, last_step, scale_window
from recurra.layers.windows import aligned_right, append, join, lengths_of, patches, recent


class HistoryConfig(Config):
    """What is read of a history, and how."""

    normalisation: NormalisationKind = Field("last", description="what level and spread of the history are taken out")
    patch_length: int = Field(1, ge=1, description="steps of the series that make one recurrent step")
    patch_stride: int | None = Field(None, ge=1, description="steps from patch to patch; null: they do not overlap")
    carry: bool = Field(False, description="read the whole history, state carried, not its last task.context_length")
    series_dim: int = Field(0, ge=0, description="size of a trained vector for each series of the training data")


class ForecasterConfig(RecurrentConfig):
    """A recurrent encoder and a head for all steps ahead."""

    kind: Literal["forecaster"] = "forecaster"
    cell: CellConfig = Field(default=GRUConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=64, ge=1, description="of every layer, and of each direction")
    history: HistoryConfig = Field(default=HistoryConfig(), description="how the history is read")
    head: HorizonHeadConfig = Field(default=DirectConfig(), description="how the steps ahead are read off it")

    @model_validator(mode="after")
    def _parts_fit(self) -> ForecasterConfig:
        history = self.history
        if history.carry and (history.patch_length > 1 or history.normalisation not in ("none", "running")):
            raise ValueError("history.carry needs patch_length=1 and normalisation=none or running")
        if history.carry and (self.bidirectional or self.head.linear):
            raise ValueError("history.carry needs bidirectional=false and head.linear=false")
        if history.normalisation == "running" and not history.carry:
            raise ValueError("history.normalisation=running is for history.carry=true; take window or last")
        if self.head.kind == "segments" and (self.bidirectional or self.last_size not in (None, self.hidden_size)):
            raise ValueError("head.kind=segments needs bidirectional=false and last_size=null")
        return self


class Forecaster(nn.Module):
    """Forecasts all steps of the horizon from the history.

    Its state is what it needs of the history: the last context_length steps, or, with `history.carry`, the recurrent
    state. `forecast(observe(window))` is `forward`; steps may be observed in any portions.
    """

    Config: ClassVar[type[Config]] = ForecasterConfig

    def __init__(self, config: ForecasterConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = window_of(spec)
        history, size = config.history, self.spec.target_size
        self.stride = history.patch_stride or history.patch_length
        self.running = RunningScale(self.spec.context_length)
        self.series = nn.Embedding(self.spec.num_series, history.series_dim) if self._names_series else None
        side_size = self.spec.static_size + (history.series_dim if self._names_series else 0)
        step_size = (size + self.spec.past_size + self.spec.known_size) * history.patch_length + side_size
        reads = history.patch_length > 1 or config.head.kind == "segments"
        self.reading = nn.Sequential(nn.Linear(step_size, config.hidden_size), nn.ReLU()) if reads else None
        self.recurrent = Recurrent(config.hidden_size if reads else step_size, config)
        self.head = config.head.build(self.spec, self.recurrent.output_size, side_size, history.patch_length)
        length = self.spec.context_length
        self.linear = nn.Linear(length, self.spec.horizon * self.spec.num_parameters) if config.head.linear else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    @property
    def _names_series(self) -> bool:
        return self.spec.num_series > 0 and self.config.history.series_dim > 0

    def forward(self, inputs: Window, state: State | None = None) -> ModelOutput:
        """Forecast.

        Args:
            inputs: history (B, L, C), any L.
            state: of an earlier call, whose history goes on in `inputs`.
        Returns:
            `Forecast` of (B, H, C, K).
        """
        state = self.observe(inputs, state)
        return ModelOutput(self.forecast(state, inputs.future_known), state)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window; what lies ahead is not looked at."""
        steps, side = join(window), self._side(window, state)
        if self.config.history.carry:
            return (*self._carried(steps, side, state), side)
        if state is None:
            steps = recent(steps, self.spec.context_length)
        else:
            before = Sequences(state[0], state[1])  # type: ignore[arg-type]
            steps = append(before, steps, self.spec.context_length)
        return steps.data, lengths_of(steps), side

    def forecast(self, state: State, future_known: Tensor | None = None) -> Forecast:
        """What follows the history observed so far.

        Args:
            state: from `observe`.
            future_known: (B, up to H, F), where the task has covariates that are known ahead.
        Raises:
            ShapeError: more steps ahead than the trained horizon.
        """
        assert isinstance(state, tuple), "a forecaster's state is a tuple"
        known, side = known_ahead(future_known, self.spec), state[-1]
        assert isinstance(side, Tensor), "the last part of a forecaster's state is what is known of the series"
        if self.config.history.carry:
            recurrent, vector, carried, _ = state
            shift, scale = self._carried_level(carried)  # type: ignore[arg-type]
            parameters = self._ahead(vector, side, known, recurrent)  # type: ignore[arg-type]
            return Forecast(parameters, shift, scale)
        steps = Sequences(state[0], state[1])  # type: ignore[arg-type]
        lengths = steps.lengths
        if lengths is not None and bool((lengths == steps.num_steps).all()):
            steps = Sequences(steps.data)
        values, observed, others = self._split(steps.data)
        scaled = scale_window(self.config.history.normalisation, values, observed, steps)
        output = self.recurrent(self._inputs(scaled.values, others, side, steps))
        parameters = self._ahead(self._ends(output.outputs), side, known, output.state)
        if self.linear is not None:
            history = aligned_right(steps.with_data(scaled.values), self.spec.context_length)
            mapped = self.linear(history.transpose(1, 2)).unflatten(-1, (self.spec.horizon, -1))
            parameters = parameters + mapped.transpose(1, 2)
        return Forecast(parameters, scaled.shift, scaled.scale)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the history to the head, for discriminative rates and unfreezing."""
        groups = self.recurrent.layer_parameters()
        reading = [p for part in (self.series, self.reading) if part is not None for p in part.parameters()]
        seen = {id(p) for group in [reading, *groups] for p in group}
        return [reading, *groups, [p for p in self.parameters() if id(p) not in seen]]

    def _side(self, window: Window, state: State | None) -> Tensor:
        """(B, S) what is known of each series as a whole: static features, and its trained vector (zeros if new)."""
        if state is not None:
            return state[-1]  # type: ignore[return-value]
        values = window.past.data
        parts = [values.new_zeros(len(values), 0) if window.static is None else window.static]
        if self.series is not None:
            parts.append(vectors_of(self.series, window.series, values))
        return torch.cat(parts, -1)

    def _split(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, observed, covariates."""
        size = self.spec.target_size
        return steps[..., :size], steps[..., size : 2 * size], steps[..., 2 * size :]

    def _inputs(self, values: Tensor, others: Tensor, side: Tensor, steps: Sequences) -> Sequences:
        """What the stack reads."""
        history = self.config.history
        read = steps.with_data(torch.cat([values, others.masked_fill(~steps.mask[..., None], 0)], -1))
        if history.patch_length > 1 or self.stride > 1:
            read = patches(read, history.patch_length, self.stride)
        if side.shape[-1]:
            read = read.with_data(torch.cat([read.data, side[:, None].expand(-1, read.num_steps, -1)], -1))
        return read if self.reading is None else read.with_data(self.reading(read.data))

    def _ends(self, outputs: Sequences) -> Tensor:
        """(B, D) where each direction has read everything."""
        vector = last_step(outputs.data, outputs)
        if not self.config.bidirectional or not outputs.num_steps:
            return vector
        backward = outputs.data[:, 0, vector.shape[-1] // 2 :]
        return torch.cat([vector[:, : vector.shape[-1] // 2], backward], -1)

    def _ahead(self, vector: Tensor, side: Tensor, known: Tensor | None, recurrent: State) -> Tensor:
        if isinstance(self.head, DirectHead):
            return self.head(vector, side, known)  # type: ignore[no-any-return]
        return self.head(self.recurrent, side, known, recurrent)  # type: ignore[no-any-return]

    def _carried(self, steps: Sequences, side: Tensor, state: State | None) -> tuple[State, Tensor, Tensor]:
        """The stack's state, its last output (B, D) and the running level (B, 4, C) after more steps."""
        values, observed, others = self._split(steps.data)
        count, size = steps.batch_size, self.recurrent.output_size
        if state is None:
            recurrent: State = self.recurrent.initial_state(count)
            vector, carried = values.new_zeros(count, size), values.new_zeros(count, 4, self.spec.target_size)
        else:
            recurrent, vector, carried, _ = state  # type: ignore[misc, assignment]
        if self.config.history.normalisation == "running":
            scaled, carried = self.running(values, observed, steps, carried)
        else:
            scaled = scale_window("none", values, observed, steps)
        output = self.recurrent(self._inputs(scaled.values, others, side, steps), recurrent)
        latest = last_step(output.outputs.data, output.outputs)
        vector = torch.where((lengths_of(steps) == 0)[:, None], vector, latest)
        return output.state, vector, carried

    def _carried_level(self, carried: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.history.normalisation == "running":
            return self.running.level(carried)
        shift = carried[:, :1] * 0
        return shift, shift + 1


def window_of(spec: TaskSpec) -> WindowSpec:
    """The sizes of a forecast.

    Raises:
        ConfigError: the task is none of forecasting.
    """
    if spec.window is None:
        raise ConfigError("a forecasting model needs a task with windows: task.kind=forecasting.")
    return spec.window


def vectors_of(table: nn.Embedding, series: Tensor | None, like: Tensor) -> Tensor:
    """(B, size) trained vectors of series; zeros for those that were not in training."""
    if series is None:
        return like.new_zeros(len(like), table.embedding_dim)
    known = (series >= 0) & (series < table.num_embeddings)
    found: Tensor = table(torch.where(known, series, 0)) * known[:, None]
    return found
