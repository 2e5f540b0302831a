"""Tokens to outputs of every step: the part that a language model and a classifier share."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.kernels.dispatch import Path
from recurra.layers.embedding import TokenEmbedding
from recurra.layers.recurrent import CellFactory, Recurrent, RecurrentConfig, RecurrentOutput


class TokenEncoderConfig(RecurrentConfig):
    """An embedding and a recurrent stack.

    Attributes:
        embedding_dim: size of a token's vector.
    """

    embedding_dim: int = Field(default=256, ge=1)

    def build_encoder(self, vocab_size: int) -> TokenEncoder:
        """The encoder for tokens 0..vocab_size-1."""
        return TokenEncoder(vocab_size, self)


class TokenEncoder(nn.Module):
    """Embedding, then recurrent stack.

    Its weights are named `embedding.weight` and `recurrent.cells.<number>.<weight>` in every model, so that a
    classifier takes over a language model's encoder by name.

    Attributes:
        embedding: TokenEmbedding.
        recurrent: Recurrent.
        output_size: features of an output step.
    """

    def __init__(
        self, vocab_size: int, config: TokenEncoderConfig | None = None, cell_factory: CellFactory | None = None
    ) -> None:
        super().__init__()
        config = config or TokenEncoderConfig()
        self.embedding = TokenEmbedding(vocab_size, config.embedding_dim, config.dropout.embedding)
        self.recurrent = Recurrent(config.embedding_dim, config, cell_factory)
        self.output_size = self.recurrent.output_size

    def forward(self, inputs: Sequences, state: State | None = None, return_all: bool = False) -> RecurrentOutput:
        """Run the encoder.

        Args:
            inputs: tokens (B, T), with lengths and resets.
            state: of an earlier call, same B; None is the initial state.
            return_all: return every layer's outputs too.
        """
        output: RecurrentOutput = self.recurrent(self.embedding(inputs), state, return_all)
        return output

    def initial_state(self, batch_size: int) -> State:
        """The state before the first step."""
        return self.recurrent.initial_state(batch_size)

    @property
    def last_path(self) -> list[Path]:
        """Which kernel each layer and direction took in the last call, and why not a faster one."""
        return self.recurrent.last_path

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """The parameters of the embedding, then of each layer, first to last, for discriminative learning rates."""
        return [list(self.embedding.parameters()), *self.recurrent.layer_parameters()]
