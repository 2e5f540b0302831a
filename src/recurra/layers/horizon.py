"""From the end of a history to all steps ahead at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recurra.core.batch import WindowSpec
from recurra.core.config import Config, by_kind
from recurra.core.errors import ShapeError
from recurra.core.sequences import Sequences
from recurra.core.state import State, tree_map
from recurra.layers.recurrent import Recurrent


class HorizonConfig(Config):
    """What every way has of reading the steps ahead off a history."""

    linear: bool = Field(False, description="add a linear map of the history to the recurrent part")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what the head sees")


class DirectConfig(HorizonConfig):
    """All steps ahead by one product."""

    kind: Literal["direct"] = "direct"
    size: int = Field(64, ge=1, description="features a step, where covariates that are known ahead join there")

    def build(self, spec: WindowSpec, input_size: int, side_size: int, patch_length: int) -> DirectHead:
        """The head; its segments are single steps, whatever the patches."""
        return DirectHead(self, spec, input_size + side_size)


class SegmentConfig(HorizonConfig):
    """One more recurrent step for each patch of the horizon."""

    kind: Literal["segments"] = "segments"

    def build(self, spec: WindowSpec, input_size: int, side_size: int, patch_length: int) -> SegmentHead:
        """The head; its segments are as long as the patches."""
        return SegmentHead(self, spec, input_size, side_size, patch_length)


def steps_ahead(known: Tensor | None, horizon: int | None, spec: WindowSpec) -> int:
    """How many steps are asked for: those whose covariates are known, or `horizon`, or those of the training.

    Raises:
        ShapeError: the model needs covariates, and there are none.
    """
    if spec.known_size:
        if known is None:
            raise ShapeError(f"the model needs {spec.known_size} covariates known ahead; the window has none.")
        return known.shape[1]
    return spec.horizon if horizon is None else horizon


def known_ahead(known: Tensor | None, spec: WindowSpec, count: int) -> Tensor | None:
    """The covariates of the trained horizon, where `count` steps of it are asked for; 0 beyond them.

    Raises:
        ShapeError: more steps than the horizon has.
    """
    if count > spec.horizon:
        raise ShapeError(
            f"{count} steps ahead were asked of a model that gives all its {spec.horizon} at once. Train with "
            f"task.horizon={count}, or take a model that goes on step by step (forecast-decoder, "
            f"autoregressive-forecaster)."
        )
    return None if known is None or not spec.known_size else functional.pad(known, (0, 0, 0, spec.horizon - count))


class DirectHead(nn.Module):
    """One matrix from the history's vector to all steps ahead, joined there with what is known of each.

    Args:
        config: its options.
        spec: sizes.
        input_size: of the vector.
    """

    def __init__(self, config: DirectConfig, spec: WindowSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        step_size = config.size if spec.known_size else spec.target_size * spec.num_parameters
        self.dropout = nn.Dropout(config.dropout)
        self.steps = nn.Linear(input_size, spec.horizon * step_size)
        self.known = nn.Linear(spec.known_size, step_size, bias=False) if spec.known_size else None
        self.output = nn.Linear(step_size, spec.target_size * spec.num_parameters) if spec.known_size else None

    def forward(self, vector: Tensor, side: Tensor, known: Tensor | None) -> Tensor:
        """Vector (B, D) of the history, side (B, S) of the series, known (B, H, F) -> (B, H, C, K)."""
        seen = torch.cat([vector, side], -1) if side.shape[-1] else vector
        steps = self.steps(self.dropout(seen)).unflatten(-1, (self.spec.horizon, -1))
        if self.known is not None and self.output is not None:
            steps = self.output(torch.relu(steps + self.known(known)))
        shaped: Tensor = steps.unflatten(-1, (self.spec.target_size, self.spec.num_parameters))
        return shaped


class SegmentHead(nn.Module):
    """Each patch of the horizon by one more step of the recurrent stack, all from the history's last state.

    The step's input says which patch it is. Lin et al. (2023), section 3.2, https://arxiv.org/abs/2308.11200.

    Args:
        config: its options.
        spec: sizes.
        input_size: features of a step of the stack, on either side.
        side_size: S, what is known of the series as a whole.
        patch_length: steps of a segment.
    """

    def __init__(
        self, config: SegmentConfig, spec: WindowSpec, input_size: int, side_size: int, patch_length: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.count = -(-spec.horizon // patch_length)
        self.padding = self.count * patch_length - spec.horizon
        self.position = nn.Parameter(torch.randn(self.count, input_size))
        self.side = nn.Linear(side_size, input_size, bias=False) if side_size else None
        self.known = nn.Linear(spec.known_size * patch_length, input_size, bias=False) if spec.known_size else None
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(input_size, patch_length * spec.target_size * spec.num_parameters)

    def forward(self, recurrent: Recurrent, side: Tensor, known: Tensor | None, state: State) -> Tensor:
        """The stack, side (B, S) of the series, known (B, H, F), state of the stack -> (B, H, C, K)."""
        steps = self.position.expand(len(side), -1, -1)
        if self.side is not None:
            steps = steps + self.side(side)[:, None]
        if self.known is not None and known is not None:
            padded = functional.pad(known, (0, 0, 0, self.padding))
            steps = steps + self.known(padded.reshape(len(side), self.count, self.known.in_features))
        repeated = tree_map(lambda leaf: leaf.repeat_interleave(self.count, 0), state)
        stepped = recurrent(Sequences(steps.flatten(0, 1)[:, None]), repeated).outputs.data
        shape = (len(side), self.spec.horizon + self.padding, self.spec.target_size, self.spec.num_parameters)
        values: Tensor = self.output(self.dropout(stepped)).reshape(shape)
        return values[:, : self.spec.horizon]


if TYPE_CHECKING:
    HorizonHeadConfig: TypeAlias = DirectConfig | SegmentConfig
else:
    HorizonHeadConfig = by_kind((DirectConfig, SegmentConfig))
