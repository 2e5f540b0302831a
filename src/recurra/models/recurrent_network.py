"""The plain recurrent network: a stack of cells and a linear layer, with an answer at each step or after the last.

Tokens enter as unit vectors, so that nothing but the cells themselves decides what can be learnt.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from recurra.core.batch import InputKind, ModelOutput, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Pooling, RecurrentConfig
from recurra.models.series_classifier import SeriesHead


class RecurrentNetworkConfig(RecurrentConfig):
    """The options of its recurrent stack."""

    kind: Literal["recurrent-network"] = "recurrent-network"
    hidden_size: int = Field(64, ge=1, description="of every layer")


class RecurrentNetwork(nn.Module):
    """Answers at each step, or once after the last; its state goes on from call to call."""

    Config: ClassVar[type[Config]] = RecurrentNetworkConfig

    def __init__(self, config: RecurrentNetworkConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.bidirectional and spec.resolution is Resolution.STEP:
            raise ConfigError("`model.bidirectional`: each step is answered from what came before; set it to false.")
        self.config = config
        self.vocab_size = spec.input_size if spec.input_kind is InputKind.TOKENS else None
        self.recurrent = config.build(spec.input_size)
        size = self.recurrent.output_size
        self.pooling = Pooling("last", size, config.bidirectional) if spec.resolution is Resolution.SEQUENCE else None
        self.head = SeriesHead(size, spec, 0.0)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Answer.

        Args:
            inputs: data (B, T) of tokens, or (B, T, input_size) of numbers.
            state: of an earlier call, same B; None starts afresh.
        Returns:
            (B, T, output_size), or (B, output_size) where there is one answer a sequence; and the stack's state.
        """
        if self.vocab_size is not None:
            inputs = _unit_vectors(inputs, self.vocab_size, self.head.output.weight.dtype)
        steps = self.recurrent(inputs, state)
        read = steps.outputs.data if self.pooling is None else self.pooling(steps.outputs)
        return ModelOutput(self.head(read), steps.state)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the first layer to the head."""
        return [*self.recurrent.layer_parameters(), list(self.head.parameters())]


def _unit_vectors(inputs: Sequences, vocab_size: int, dtype: torch.dtype) -> Sequences:
    """(B, T) tokens -> (B, T, V); padding may hold anything."""
    tokens = inputs.data if inputs.lengths is None else inputs.data.masked_fill(~inputs.mask, 0)
    return inputs.with_data(F.one_hot(tokens, vocab_size).to(dtype))
