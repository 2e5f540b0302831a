"""A tagger of words: word encoder, a score for each tag of each word, and a CRF (or a softmax) over them.

Sources: Huang, Xu and Yu (2015), https://arxiv.org/abs/1508.01991; Lample et al. (2016), https://arxiv.org/abs/1603.01360.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.inputs import Words
from recurra.core.state import State
from recurra.layers import LinearChainCRF, TagScores, WordEncoder, WordEncoderConfig


class TaggerConfig(WordEncoderConfig):
    """A tagger; the options of its word encoder, and those of its head."""

    kind: Literal["tagger"] = "tagger"
    head: Literal["crf", "softmax"] = Field("crf", description="tags of a sentence together, or each by itself")
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what the head sees")


class Tagger(nn.Module):
    """Scores the tags of words."""

    Config: ClassVar[type[Config]] = TaggerConfig

    def __init__(self, config: TaggerConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = WordEncoder(config, spec)
        self.dropout = nn.Dropout(config.head_dropout)
        self.output = nn.Linear(self.encoder.output_size, spec.output_size)
        self.crf = LinearChainCRF(spec.output_size, spec.forbidden) if config.head == "crf" else None
        if spec.output_prior is not None:
            with torch.no_grad():
                self.output.bias.copy_(torch.tensor(spec.output_prior).log())

    def forward(self, inputs: Words, state: State | None = None) -> ModelOutput:
        """Score the tags.

        Args:
            inputs: words (B, T).
            state: None; sentences are read whole.
        Returns:
            `TagScores` of (B, T, num_tags).
        Raises:
            ConfigError: a state is given.
        """
        if state is not None:
            raise ConfigError("a tagger reads whole sentences, and can't go on from a state. Pass state=None.")
        encoded = self.encoder(inputs)
        emissions = encoded.with_data(self.output(self.dropout(encoded.data)))
        return ModelOutput(TagScores(emissions, None if self.crf is None else self.crf.weights()), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the word vectors to the head, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]
