"""A recurrent language model: embedding, recurrent stack, softmax over the vocabulary.

Sources: Mikolov et al. (2010); tied weights: Press and Wolf (2017), https://arxiv.org/abs/1608.05859; activation and
temporal activation regularisation: Merity et al. (2018), section 4.6, https://arxiv.org/abs/1708.02182.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.decoding import Feed
from recurra.layers import FullSoftmaxConfig, RecurrentOutput, SoftmaxConfig, TokenEncoder, TokenEncoderConfig


class LanguageModelConfig(TokenEncoderConfig):
    """A language model; the options of its encoder, and those of its output."""

    kind: Literal["language-model"] = "language-model"
    tied: bool = Field(False, description="one matrix for embedding and softmax")
    softmax: SoftmaxConfig = FullSoftmaxConfig()
    activation_l2: float = Field(0.0, ge=0, description="AR: penalty on the size of the outputs")
    temporal_l2: float = Field(0.0, ge=0, description="TAR: penalty on the change of the outputs from step to step")


class LanguageModel(nn.Module):
    """Scores the next token at every step."""

    Config: ClassVar[type[Config]] = LanguageModelConfig

    def __init__(self, config: LanguageModelConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.bidirectional:
            raise ConfigError("`model.bidirectional`: a language model reads forward only; set it to false.")
        self.config = config
        self.encoder = TokenEncoder(spec.input_size, config)
        tied = self.encoder.embedding.weight if config.tied else None
        self.head = config.softmax.build(self.encoder.output_size, spec.output_size, tied, spec.output_prior)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score every next token.

        Args:
            inputs: data (B, T) vocabulary indices.
            state: from an earlier call, same B; None starts afresh.
        Returns:
            Logits (B, T, V), or what the softmax returns in training instead; the state; the AR/TAR penalty.
        """
        encoded = self.encoder(inputs, state)
        return ModelOutput(self.head(encoded.outputs.data), encoded.state, self._penalty(encoded))

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One step of generation: (B,) tokens -> logits (B, V) of the next, and the state."""
        output = self(Sequences(tokens[:, None]), state)
        assert output.state is not None, "a language model has a state"
        return output.prediction[:, 0], output.state

    def stream(self, batch_size: int = 1) -> Feed:
        """`step` from the initial state on, with the state kept inside and little around the arithmetic."""
        stream = self.encoder.recurrent.stream(batch_size)

        def feed(tokens: Tensor) -> Tensor:
            embedded = self.encoder.embedding(Sequences(tokens[:, None])).data[:, 0]
            logits: Tensor = self.head(stream.step(embedded)[:, None])[:, 0]
            return logits

        return feed

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embedding to the softmax, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.head.parameters() if id(p) not in seen]]

    def _penalty(self, encoded: RecurrentOutput) -> Tensor | None:
        config = self.config
        if not self.training or not (config.activation_l2 or config.temporal_l2):
            return None
        mask = encoded.outputs.mask[..., None]
        count = mask.sum().clamp(min=1) * encoded.raw.shape[-1]
        penalty = config.activation_l2 * (encoded.outputs.data.square() * mask).sum() / count
        change = (encoded.raw[:, 1:] - encoded.raw[:, :-1]).square() * mask[:, 1:]
        return penalty + config.temporal_l2 * change.sum() / count
