"""The encoder of forecasting models: history in, a vector and the state of a recurrent stack out."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import TaskSpec, WindowSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.inputs import Window
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves
from recurra.kernels.rows import clear_padding
from recurra.layers.recurrent import Recurrent, RecurrentConfig, RecurrentOutput
from recurra.layers.scaling import NormalisationKind, RunningScale, last_step, scale_window
from recurra.layers.windows import append, join, lengths_of, patches, recent


class HistoryConfig(Config):
    """What is read of a history, and how."""

    normalisation: NormalisationKind = Field("last", description="what level and spread of the history are taken out")
    patch_length: int = Field(1, ge=1, description="steps of the series that make one recurrent step")
    patch_stride: int | None = Field(None, ge=1, description="steps from patch to patch; null: they do not overlap")
    carry: bool = Field(False, description="read the whole history, state carried, not its last task.context_length")
    series_dim: int = Field(0, ge=0, description="size of a trained vector for each series of the training data")

    def require_fitting(self, config: RecurrentConfig) -> None:
        """Check against the stack that reads.

        Raises:
            ValueError: for pydantic, which names the option.
        """
        if self.carry and (self.patch_length > 1 or self.normalisation not in ("none", "running")):
            raise ValueError("history.carry needs patch_length=1 and normalisation=none or running")
        if self.carry and config.bidirectional:
            raise ValueError("history.carry needs bidirectional=false")
        if self.patch_stride is not None and self.patch_stride > self.patch_length:
            raise ValueError("history.patch_stride needs patch_length of at least as much, or steps would be left out")
        if self.normalisation == "running" and not self.carry:
            raise ValueError("history.normalisation=running is for history.carry=true; take window or last")


class Encoded(NamedTuple):
    """What is known where a history ends.

    Attributes:
        vector: (B, D) the stack's last output.
        state: of the stack.
        side: (B, S) what is known of each series as a whole.
        shift: (B, 1, C) level of the values.
        scale: (B, 1, C) their spread.
        values: (B, L, C) the scaled values; None where the state is carried.
    """

    vector: Tensor
    state: State
    side: Tensor
    shift: Tensor
    scale: Tensor
    values: Sequences | None


class SeriesVectors(nn.Module):
    """What is known of a series as a whole: its static features, and a trained vector (zeros if it is new).

    Attributes:
        size: S.
    """

    def __init__(self, spec: WindowSpec, series_dim: int) -> None:
        super().__init__()
        named = spec.num_series > 0 and series_dim > 0
        self.table = nn.Embedding(spec.num_series, series_dim) if named else None
        self.size = spec.static_size + (series_dim if named else 0)

    def forward(self, window: Window) -> Tensor:
        """(B, S)."""
        values = window.past.data
        parts = [values.new_zeros(len(values), 0) if window.static is None else window.static]
        if self.table is not None:
            new = torch.full((len(values),), -1, device=values.device)
            series = new if window.series is None else window.series
            known = (series >= 0) & (series < self.table.num_embeddings)
            parts.append(self.table(torch.where(known, series, 0)) * known[:, None])
        return torch.cat(parts, -1)


class HistoryEncoder(nn.Module):
    """A recurrent stack over the steps of a history, or over patches of them.

    Its state holds all it needs: the last context_length steps, or, with `history.carry`, the stack's own state.

    Args:
        config: the stack.
        history: how it reads.
        spec: sizes.
        reads: put a layer of hidden_size between patches and stack, also where a patch is a single step.
    """

    def __init__(self, config: RecurrentConfig, history: HistoryConfig, spec: WindowSpec, reads: bool = False) -> None:
        super().__init__()
        self.config = history
        self.spec = spec
        self.stride = history.patch_stride or history.patch_length
        self.series = SeriesVectors(spec, history.series_dim)
        self.running = RunningScale(spec.context_length)
        size = (spec.target_size + spec.past_size + spec.known_size) * history.patch_length + self.series.size
        reads = reads or history.patch_length > 1
        self.reading = nn.Sequential(nn.Linear(size, config.hidden_size), nn.ReLU()) if reads else None
        self.recurrent = Recurrent(config.hidden_size if reads else size, config)
        self.output_size = self.recurrent.output_size

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood; what lies ahead is not looked at."""
        steps = join(window)
        side = self.series(window) if state is None else cast(Tensor, state[-1])
        if self.config.carry:
            return (*self._carried(steps, side, state), side)
        return remember(steps, state, side, self.spec.context_length)

    def encode(self, state: State) -> Encoded:
        """Read what was observed."""
        if self.config.carry:
            recurrent, vector, level, side = cast("tuple[State, Tensor, Tensor, Tensor]", state)
            running = self.config.normalisation == "running"
            shift, scale = self.running.level(level) if running else (level[:, :1], torch.ones_like(level[:, :1]))
            return Encoded(vector, recurrent, side, shift, scale, None)
        steps, side = remembered(state)
        values, observed, others = split(steps.data, self.spec)
        scaled = scale_window(self.config.normalisation, values, observed, steps)
        output = self.recurrent(self._inputs(scaled.values, others, side, steps))
        found = steps.with_data(scaled.values)
        return Encoded(self._ends(output), output.state, side, scaled.shift, scaled.scale, found)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the input on."""
        first = [self.series, *([] if self.reading is None else [self.reading])]
        return [[p for part in first for p in part.parameters()], *self.recurrent.layer_parameters()]

    def _inputs(self, values: Tensor, others: Tensor, side: Tensor, steps: Sequences) -> Sequences:
        """What the stack reads."""
        read = steps.with_data(values)
        if others.shape[-1]:
            read = steps.with_data(torch.cat([values, clear_padding(others, steps.lengths)], -1))
        if self.config.patch_length > 1 or self.stride > 1:
            read = patches(read, self.config.patch_length, self.stride)
        if side.shape[-1]:
            read = read.with_data(torch.cat([read.data, side[:, None].expand(-1, read.num_steps, -1)], -1))
        return read if self.reading is None else read.with_data(self.reading(read.data))

    def _ends(self, output: RecurrentOutput) -> Tensor:
        """(B, D) where each direction has read everything."""
        outputs, stack = output.outputs, self.recurrent
        changed = stack.config.residual or (self.training and stack.config.dropout.output > 0)
        if outputs.lengths is None and outputs.num_steps and stack.emits_state and not changed:
            # a state has a gradient of its own size; an output has one of all outputs, most of it zeros
            last = cast("tuple[State, ...]", output.state)[-1]
            if stack.num_directions == 1:
                return next(iter(leaves(last)))
            return torch.cat([next(iter(leaves(end))) for end in cast("tuple[State, State]", last)], -1)
        vector = last_step(outputs.data, outputs)
        if stack.num_directions == 1 or not outputs.num_steps:
            return vector
        half = vector.shape[-1] // 2
        return torch.cat([vector[:, :half], outputs.data[:, 0, half:]], -1)

    def _carried(self, steps: Sequences, side: Tensor, state: State | None) -> tuple[State, Tensor, Tensor]:
        """The stack's state, its last output (B, D) and the running level (B, 4, C) after more steps."""
        values, observed, others = split(steps.data, self.spec)
        if state is None:
            recurrent = self.recurrent.initial_state(steps.batch_size)
            vector = values.new_zeros(steps.batch_size, self.output_size)
            level = values.new_zeros(steps.batch_size, 4, self.spec.target_size)
        else:
            recurrent, vector, level, _ = cast("tuple[State, Tensor, Tensor, Tensor]", state)
        if self.config.normalisation == "running":
            scaled, level = self.running(values, observed, steps, level)
        else:
            scaled = scale_window("none", values, observed, steps)
        output = self.recurrent(self._inputs(scaled.values, others, side, steps), recurrent)
        latest = last_step(output.outputs.data, output.outputs)
        return output.state, torch.where((lengths_of(steps) == 0)[:, None], vector, latest), level


def remember(steps: Sequences, state: State | None, side: Tensor, count: int) -> State:
    """The state of a model that keeps the last `count` steps: (B, up to `count`, D), lengths (B,), side (B, S)."""
    kept = recent(steps, count) if state is None else append(remembered(state)[0], steps, count)
    return kept.data, lengths_of(kept), side


def remembered(state: State) -> tuple[Sequences, Tensor]:
    """Steps and side of a state from `remember`."""
    data, lengths, side = cast("tuple[Tensor, Tensor, Tensor]", state)
    return Sequences(data, None if bool((lengths == data.shape[1]).all()) else lengths), side


def split(steps: Tensor, spec: WindowSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Joined steps -> values (..., C), observed (..., C), covariates (..., P + F)."""
    size = spec.target_size
    return steps[..., :size], steps[..., size : 2 * size], steps[..., 2 * size :]


def window_of(spec: TaskSpec) -> WindowSpec:
    """The sizes of a forecast.

    Raises:
        ConfigError: the task is none of forecasting.
    """
    if spec.window is None:
        raise ConfigError("a forecasting model needs a task with windows: task.kind=forecasting.")
    return spec.window
