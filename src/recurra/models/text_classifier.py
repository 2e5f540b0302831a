"""A recurrent text classifier: encoder, pooling over time, one hidden layer if asked, logits.

Sources: concatenated pooling: Howard and Ruder (2018), section 3.3, https://arxiv.org/abs/1801.06146; attention
pooling: Yang et al. (2016), equations 5 to 7.
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
from recurra.layers import Pooling, PoolingKind, TokenEncoder, TokenEncoderConfig


class TextClassifierConfig(TokenEncoderConfig):
    """A text classifier; the options of its encoder, and those of its head."""

    kind: Literal["text-classifier"] = "text-classifier"
    pooling: PoolingKind = Field("concat", description="how steps become one vector")
    head_size: int = Field(0, ge=0, description="units of a hidden layer before the logits; 0 is none")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the head sees")


class TextClassifier(nn.Module):
    """Scores the labels of a text."""

    Config: ClassVar[type[Config]] = TextClassifierConfig

    def __init__(self, config: TextClassifierConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = TokenEncoder(spec.input_size, config)
        self.pooling = Pooling(config.pooling, self.encoder.output_size, bidirectional=config.bidirectional)
        self.dropout = nn.Dropout(config.head_dropout)
        size = self.pooling.output_size
        self.hidden = nn.Linear(size, config.head_size) if config.head_size else None
        self.output = nn.Linear(config.head_size or size, spec.output_size)
        if spec.output_prior is not None:
            with torch.no_grad():
                self.output.bias.copy_(torch.tensor(spec.output_prior).log())

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the labels.

        Args:
            inputs: data (B, T) vocabulary indices.
            state: to go on from, for texts that come in parts; None starts afresh.
        Returns:
            Logits (B, num_labels), and the encoder's state.
        """
        encoded = self.encoder(inputs, state)
        return ModelOutput(self.classify(encoded.outputs), encoded.state)

    def classify(self, outputs: Sequences) -> Tensor:
        """Encoder outputs (B, T, H) -> logits (B, num_labels)."""
        pooled = self.dropout(self.pooling(outputs))
        if self.hidden is not None:
            pooled = self.dropout(torch.relu(self.hidden(pooled)))
        logits: Tensor = self.output(pooled)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embedding to the head, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]
