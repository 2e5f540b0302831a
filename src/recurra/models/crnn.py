"""Convolutions that shorten a series, then a recurrent network over what they give: CRNN.

Source: Shi, Bai and Yao (2017), https://arxiv.org/abs/1507.05717, here with one output a series; pooling by attention.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import ConvolutionConfig, Pooling, PoolingKind, RecurrentConfig
from recurra.models.series_classifier import SeriesHead


class CRNNConfig(RecurrentConfig):
    """A stack of convolutions with strides, and a recurrent stack over its steps."""

    kind: Literal["crnn"] = "crnn"
    hidden_size: int = Field(64, ge=1, description="of every recurrent layer, and of each direction")
    bidirectional: bool = Field(True, description="each recurrent layer runs both ways")
    convolution: ConvolutionConfig = ConvolutionConfig(filters=(64, 64), kernel_sizes=(7, 5), strides=(1, 2))
    pooling: PoolingKind = Field("attention", description="how the recurrent stack's steps become one vector")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the output layer sees")


class CRNN(nn.Module):
    """Scores the classes of a series, or estimates its targets."""

    Config: ClassVar[type[Config]] = CRNNConfig

    def __init__(self, config: CRNNConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.convolutions = config.convolution.build(spec.input_size)
        self.recurrent = config.build(self.convolutions.output_size)
        self.pooling = Pooling(config.pooling, self.recurrent.output_size, config.bidirectional)
        self.head = SeriesHead(self.pooling.output_size, spec, config.head_dropout)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the classes.

        Args:
            inputs: data (B, T, input_size), whole series.
            state: None.
        Returns:
            Logits or estimates (B, output_size), and no state: the convolutions look ahead.
        """
        assert state is None, "convolutions need whole series"
        steps = self.recurrent(self.convolutions(inputs))
        return ModelOutput(self.head(self.pooling(steps.outputs)), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The convolutions, the recurrent layers, the head."""
        groups = [*self.convolutions.layer_parameters(), *self.recurrent.layer_parameters()]
        return [*groups, [*self.pooling.parameters(), *self.head.parameters()]]
