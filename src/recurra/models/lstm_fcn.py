"""A recurrent network beside a fully convolutional one: LSTM-FCN.

Source: Karim et al. (2017), LSTM fully convolutional networks for time series classification,
https://arxiv.org/abs/1709.05206. There the LSTM reads a series of T steps as one step of T values, which ties it to
one length; here it reads the steps in time, both ways if asked, and its steps are pooled.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import ConvolutionConfig, Pooling, PoolingKind, RecurrentConfig
from recurra.models.series_classifier import SeriesHead


class LSTMFCNConfig(RecurrentConfig):
    """A recurrent stack and a stack of convolutions side by side."""

    kind: Literal["lstm-fcn"] = "lstm-fcn"
    hidden_size: int = Field(64, ge=1, description="of every recurrent layer, and of each direction")
    convolution: ConvolutionConfig = ConvolutionConfig()
    pooling: PoolingKind = Field("last", description="how the recurrent stack's steps become one vector")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the output layer sees")


class LSTMFCN(nn.Module):
    """Scores the classes of a series, or estimates its targets."""

    Config: ClassVar[type[Config]] = LSTMFCNConfig

    def __init__(self, config: LSTMFCNConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.convolutions = config.convolution.build(spec.input_size)
        self.recurrent = config.build(spec.input_size)
        self.mean = Pooling("mean", self.convolutions.output_size)
        self.pooling = Pooling(config.pooling, self.recurrent.output_size, config.bidirectional)
        self.head = SeriesHead(self.mean.output_size + self.pooling.output_size, spec, config.head_dropout)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the classes.

        Args:
            inputs: data (B, T, input_size), whole series.
            state: None.
        Returns:
            Logits or estimates (B, output_size), and no state: the convolutions look ahead.
        """
        assert state is None, "convolutions need whole series"
        read = self.pooling(self.recurrent(inputs).outputs)
        return ModelOutput(self.head(torch.cat([self.mean(self.convolutions(inputs)), read], dim=1)), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The convolutions, the recurrent layers, the head."""
        groups = [*self.convolutions.layer_parameters(), *self.recurrent.layer_parameters()]
        return [*groups, [*self.pooling.parameters(), *self.head.parameters()]]
