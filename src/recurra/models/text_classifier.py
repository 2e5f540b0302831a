"""A recurrent text classifier: encoder, pooling over time, one hidden layer if asked, logits.

A second encoder, of a language model that reads backward, has a head of its own. Each reader must answer for itself in
training, so that neither leans on the other, and their mean counts in evaluation (Howard and Ruder 2018, section 5.3).

Beside them naive Bayes may judge, with as much say in evaluation as all readers. On the texts that it was counted on it
knows the answer, so it keeps silent in training: the readers learn as if alone, and err elsewhere.

Sources: concatenated pooling: Howard and Ruder (2018), section 3.3, https://arxiv.org/abs/1801.06146; attention
pooling: Yang et al. (2016), equations 5 to 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import Batch, ModelOutput, OutputKind, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import NaiveBayes, Pooling, PoolingKind, TokenEncoder, TokenEncoderConfig, mirrored


class TextClassifierConfig(TokenEncoderConfig):
    """A text classifier; the options of its encoder, and those of its head."""

    kind: Literal["text-classifier"] = "text-classifier"
    backward_lm: TokenEncoderConfig | None = Field(
        None, description="a second encoder, of a language model that reads backward"
    )
    pooling: PoolingKind = Field("concat", description="how steps become one vector")
    head_size: int = Field(0, ge=0, description="units of a hidden layer before the logits; 0 is none")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the head sees")
    naive_bayes: int = Field(
        0, ge=0, description="let naive Bayes over n-grams of up to so many tokens judge, too; 0 does not"
    )


class TextClassifier(nn.Module):
    """Scores the labels of a text."""

    Config: ClassVar[type[Config]] = TextClassifierConfig

    def __init__(self, config: TextClassifierConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = TokenEncoder(spec.input_size, config)
        size = self.encoder.output_size
        self.backward_encoder = _backward_encoder(config, spec.input_size, size)
        num_readers = 1 if self.backward_encoder is None else 2
        self.heads = nn.ModuleList(_Head(config, size, spec) for _ in range(num_readers))
        several = spec.output_kind is OutputKind.LABELS
        self.naive_bayes = (
            NaiveBayes(spec.input_size, spec.output_size, config.naive_bayes, several) if config.naive_bayes else None
        )

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the labels.

        Args:
            inputs: data (B, T) vocabulary indices.
            state: to go on from, for texts that come in parts; None starts afresh.
        Returns:
            Logits (B, num_labels), in training (B, 2, num_labels) where two encoders read; the encoder's state.
        Raises:
            ShapeError: a state, and an encoder that reads backward.
        """
        encoded = self.encoder(inputs, state)
        read = [encoded.outputs]
        if self.backward_encoder is not None:
            if state is not None:
                raise ShapeError("a classifier that reads backward too needs whole texts: pass state=None.")
            read.append(self.backward_encoder(mirrored(inputs)).outputs)
        opinions = torch.stack([head(outputs) for head, outputs in zip(self.heads, read, strict=True)], 1)
        if self.training:
            return ModelOutput(opinions if len(self.heads) > 1 else opinions[:, 0], encoded.state)
        logits = opinions.mean(1)
        if self.naive_bayes is not None:
            logits = (logits + self.naive_bayes(inputs)) / 2
        return ModelOutput(logits, encoded.state)

    def count(self, batches: Iterable[Batch]) -> None:
        """Let naive Bayes, if it is asked, count the training texts."""
        if self.naive_bayes is not None:
            self.naive_bayes.count(batches)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embedding to the head, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        if self.backward_encoder is not None:
            pairs = zip(groups, self.backward_encoder.layer_parameters(), strict=True)
            groups = [[*forward, *backward] for forward, backward in pairs]
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]


class _Head(nn.Module):
    """Encoder outputs (B, T, H) -> logits (B, num_labels)."""

    def __init__(self, config: TextClassifierConfig, input_size: int, spec: TaskSpec) -> None:
        super().__init__()
        self.pooling = Pooling(config.pooling, input_size, bidirectional=config.bidirectional)
        self.dropout = nn.Dropout(config.head_dropout)
        size = self.pooling.output_size
        self.hidden = nn.Linear(size, config.head_size) if config.head_size else None
        self.output = nn.Linear(config.head_size or size, spec.output_size)
        if spec.output_prior is not None:
            with torch.no_grad():
                self.output.bias.copy_(torch.tensor(spec.output_prior).log())

    def forward(self, outputs: Sequences) -> Tensor:
        pooled = self.dropout(self.pooling(outputs))
        if self.hidden is not None:
            pooled = self.dropout(torch.relu(self.hidden(pooled)))
        logits: Tensor = self.output(pooled)
        return logits


def _backward_encoder(config: TextClassifierConfig, vocab_size: int, output_size: int) -> TokenEncoder | None:
    if config.backward_lm is None:
        return None
    if config.bidirectional:
        raise ConfigError("`model.backward_lm`: the encoder is bidirectional already; set one of the two only.")
    encoder = config.backward_lm.build_encoder(vocab_size)
    if encoder.output_size != output_size or config.backward_lm.num_layers != config.num_layers:
        raise ConfigError("`model.backward_lm`: both encoders must have the same layers and sizes.")
    return encoder
