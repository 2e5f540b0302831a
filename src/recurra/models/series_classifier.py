"""A recurrent network over a whole series of vectors, pooled to one vector: classes, or numbers.

Source of the pooling: Yang et al. (2016), Hierarchical attention networks for document classification, equations 5-7.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Pooling, PoolingKind, RecurrentConfig


class SeriesClassifierConfig(RecurrentConfig):
    """A recurrent stack that reads a series both ways, and a pooling over its steps."""

    kind: Literal["series-classifier"] = "series-classifier"
    hidden_size: int = Field(64, ge=1, description="of every layer, and of each direction")
    bidirectional: bool = Field(True, description="each layer runs both ways")
    pooling: PoolingKind = Field("attention", description="how steps become one vector")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the output layer sees")


class SeriesClassifier(nn.Module):
    """Scores the classes of a series, or estimates its targets."""

    Config: ClassVar[type[Config]] = SeriesClassifierConfig

    def __init__(self, config: SeriesClassifierConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.recurrent = config.build(spec.input_size)
        self.pooling = Pooling(config.pooling, self.recurrent.output_size, config.bidirectional)
        self.head = SeriesHead(self.pooling.output_size, spec, config.head_dropout)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the classes.

        Args:
            inputs: data (B, T, input_size).
            state: to go on from, for series that come in parts; only where the stack reads forward alone.
        Returns:
            Logits or estimates (B, output_size), and the stack's state.
        """
        steps = self.recurrent(inputs, state)
        return ModelOutput(self.head(self.pooling(steps.outputs)), steps.state)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the first layer to the head."""
        return [*self.recurrent.layer_parameters(), [*self.pooling.parameters(), *self.head.parameters()]]


class SeriesHead(nn.Module):
    """Dropout and a linear layer, whose bias starts from the prior of the task."""

    def __init__(self, input_size: int, spec: TaskSpec, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, spec.output_size)
        if spec.output_prior is not None:
            with torch.no_grad():
                self.output.bias.copy_(torch.tensor(spec.output_prior).log())

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, input_size) -> (B, output_size)."""
        scores: Tensor = self.output(self.dropout(pooled))
        return scores
