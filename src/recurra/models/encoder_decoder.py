"""Recurrent encoder-decoder: a source in, a target out, token by token, with attention and copying.

Sources: Sutskever et al. (2014), https://arxiv.org/abs/1409.3215; attention: Bahdanau et al. (2015),
https://arxiv.org/abs/1409.0473, and Luong et al. (2015), https://arxiv.org/abs/1508.04025; copying and coverage: See et
al. (2017), https://arxiv.org/abs/1704.04368; scheduled sampling: Bengio et al. (2015), https://arxiv.org/abs/1506.03099;
tied embeddings: Press and Wolf (2017), https://arxiv.org/abs/1608.05859.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.inputs import Pair
from recurra.core.sequences import Sequences
from recurra.core.state import State, tree_map
from recurra.layers import (
    AttendedMemory,
    AttentiveDecoder,
    Bridge,
    ChunkedSoftmaxConfig,
    CopyScores,
    DecoderConfig,
    DecoderOutput,
    DecoderState,
    SoftmaxConfig,
    TokenEmbedding,
    TokenEncoder,
    TokenEncoderConfig,
    require_full,
)

# Of the target vocabulary: what a copied word unknown to it is read as.
_UNKNOWN = 0


class EncoderDecoderConfig(TokenEncoderConfig):
    """An encoder-decoder; the options of the encoder, those of the decoder, and what ties them."""

    kind: Literal["encoder-decoder"] = "encoder-decoder"
    bidirectional: bool = Field(True, description="the encoder runs both ways")
    decoder: DecoderConfig = DecoderConfig()
    tied: Literal["none", "output", "all"] = Field(
        "output", description="one matrix for target embedding and softmax; all: for the source embedding, too"
    )
    softmax: SoftmaxConfig = ChunkedSoftmaxConfig()


class EncoderDecoder(nn.Module):
    """Scores the next target token at every step, given the source and the target before it."""

    Config: ClassVar[type[Config]] = EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.tied == "all" and spec.input_size != spec.output_size:
            raise ConfigError(
                f"`model.tied`: all needs one vocabulary for source and target, these have {spec.input_size} and "
                f"{spec.output_size} entries. Share the vocabulary, or set model.tied=output."
            )
        self.config, self.output_size = config, spec.output_size
        self.encoder = TokenEncoder(spec.input_size, config)
        size, dropout = config.embedding_dim, config.dropout
        shared = config.tied == "all"
        self.embedding = self.encoder.embedding if shared else TokenEmbedding(spec.output_size, size, dropout.embedding)
        memory_size = self.encoder.output_size
        hidden_size = config.decoder.hidden_size or config.hidden_size
        self.target_decoder = AttentiveDecoder(size, memory_size, hidden_size, config.decoder, config.cell, dropout)
        self.bridge = Bridge(self.encoder.recurrent, self.target_decoder.recurrent) if config.decoder.bridge else None
        tied = None if config.tied == "none" else self.embedding.weight
        self.head = config.softmax.build(self.target_decoder.readout_size, spec.output_size, tied, spec.output_prior)
        self.gate = nn.Linear(self.target_decoder.feature_size, 1) if config.decoder.copying else None
        if self.gate is not None:
            require_full(self.head)

    def forward(self, inputs: Pair, state: State | None = None) -> ModelOutput:
        """Score every next target token.

        Args:
            inputs: source, and shifted target.
            state: none is carried.
        Returns:
            Logits (B, T, V), or what the softmax returns in training instead; with copying log-probabilities (B, T, V +
            num_copies), or in training `CopyScores`; the coverage penalty.
        """
        if self.training and self.config.decoder.scheduled_sampling:
            inputs = self._with_own_predictions(inputs)
        memory, cells = self._encode(inputs)
        found = self.target_decoder(self.embedding(inputs.target), memory, cells)
        penalty = self._coverage(found.weights, inputs.target)
        if found.features is None:
            return ModelOutput(self.head(found.readout), None, penalty)
        scores = self._mixture(found, self._copies(inputs), inputs.num_copies)
        return ModelOutput(scores if self.training else scores.log_probs(), None, penalty)

    def decoder(self, inputs: Pair, copies: int = 1) -> tuple[DecoderStepper, DecoderState]:
        """Encode the source for decoding step by step; the target is not read. Call it in evaluation mode.

        Args:
            inputs: the sources of B rows.
            copies: how many rows decode each source.
        Returns:
            A stepper over R = B * copies rows, of which row r decodes source r // copies, and the state before the
            first step, whose last leaf is the attention of the last step, (R, S).
        """
        memory, cells = self._encode(inputs, copies)
        extended = None if self.gate is None else self._copies(inputs).repeat_interleave(copies, 0)
        return DecoderStepper(self, memory, extended, inputs.num_copies), self.target_decoder.initial_state(
            cells, memory
        )

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the source embedding to the softmax, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        groups += [list(self.embedding.parameters()), [] if self.bridge is None else list(self.bridge.parameters())]
        groups += [*self.target_decoder.recurrent.layer_parameters(), list(self.parameters())]
        seen: set[int] = set()
        kept = []
        for group in groups:
            kept.append([p for p in group if id(p) not in seen])
            seen |= {id(p) for p in group}
        return [group for group in kept if group]

    def _encode(self, inputs: Pair, copies: int = 1) -> tuple[AttendedMemory, State]:
        """The memory, and the decoder stack's state before the first step, each row `copies` times."""
        encoded = self.encoder(inputs.source)
        memory = self.target_decoder.prepare(encoded.outputs).repeat(copies)
        if self.bridge is None:
            return memory, self.target_decoder.recurrent.initial_state(memory.mask.shape[0])
        return memory, _repeat(self.bridge(encoded.state), copies)

    def _mixture(self, found: DecoderOutput, copies: Tensor, num_copies: int) -> CopyScores:
        """Scores of steps (B, T) of what a copying decoder found."""
        readout, features, weights = found
        assert self.gate is not None and features is not None and weights is not None, "a copying model has all three"
        head = require_full(self.head)
        gate = self.gate(features)[..., 0]
        return CopyScores(head.project(readout), head.weight, head.bias, gate, weights, copies, num_copies)

    def _copies(self, inputs: Pair) -> Tensor:
        """(B, S) indices in the extended vocabulary, valid on padding too."""
        if inputs.copies is None:
            raise ConfigError(
                "`model.decoder.copying` needs a task that tells what can be copied; set its option copying."
            )
        return inputs.copies.masked_fill(~inputs.source.mask, 0)

    def _coverage(self, weights: Tensor | None, target: Sequences) -> Tensor | None:
        """Mean over real steps of sum_s min(weight, sum of the earlier steps' weights): See et al., equation 12."""
        factor = self.config.decoder.coverage_loss
        if not self.training or not factor or weights is None:
            return None
        earlier = weights.cumsum(1) - weights
        repeated = torch.minimum(weights, earlier).sum(-1) * target.mask
        return factor * repeated.sum() / max(1, target.num_real_steps())

    @torch.no_grad()
    def _with_own_predictions(self, inputs: Pair) -> Pair:
        """A share of the target tokens is replaced by what the model itself finds likeliest there.

        The model decodes step by step, in evaluation mode; gradients don't flow through its choices.
        """
        tokens = inputs.target.data.masked_fill(~inputs.target.mask, 0)
        own = torch.rand(tokens.shape, device=tokens.device) < self.config.decoder.scheduled_sampling
        own[:, :1] = False
        training = [module for module in self.modules() if module.training]
        self.eval()
        stepper, state = self.decoder(inputs)
        for step in range(tokens.shape[1] - 1):
            scores, state = stepper.step(tokens[:, step], state)
            found = scores.argmax(-1)
            found = found.masked_fill(found >= self.output_size, _UNKNOWN)
            tokens[:, step + 1] = torch.where(own[:, step + 1], found, tokens[:, step + 1])
        for module in training:
            module.training = True
        return replace(inputs, target=inputs.target.with_data(tokens))


class DecoderStepper:
    """An encoder-decoder seen one target token at a time; see `EncoderDecoder.decoder`."""

    def __init__(
        self, model: EncoderDecoder, memory: AttendedMemory, copies: Tensor | None = None, num_copies: int = 0
    ) -> None:
        self.model, self.memory, self.copies, self.num_copies = model, memory, copies, num_copies

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, DecoderState]:
        """Feed one token a row.

        Args:
            tokens: (R,) int64 in the extended vocabulary.
            state: from `EncoderDecoder.decoder`, or of an earlier step.
        Returns:
            Logits (R, V), or with copying log-probabilities (R, V + num_copies), of the next token; the new state.
        """
        assert state is not None, "the first state is made along with the stepper"
        model = self.model
        known = torch.where(tokens < model.output_size, tokens, _UNKNOWN)
        x = model.embedding(Sequences(known[:, None])).data[:, 0]
        found, after = model.target_decoder.step(x, self.memory, cast(DecoderState, state))
        if self.copies is None or found.features is None:
            return model.head(found.readout[:, None])[:, 0], after
        assert found.weights is not None, "copying needs an attention"
        steps = DecoderOutput(found.readout[:, None], found.features[:, None], found.weights[:, None])
        return model._mixture(steps, self.copies, self.num_copies).log_probs()[:, 0], after

    def attention(self, state: State) -> Tensor:
        """The attention weights (R, S) of the step that led to `state`; zeros without an attention."""
        return cast(DecoderState, state)[3]

    def select(self, rows: Tensor) -> DecoderStepper:
        """The stepper of the given rows (int64 indices) alone."""
        memory = AttendedMemory(*(part[rows] for part in self.memory))
        return DecoderStepper(self.model, memory, None if self.copies is None else self.copies[rows], self.num_copies)


def _repeat(state: State, copies: int) -> State:
    return state if copies == 1 else tree_map(lambda leaf: leaf.repeat_interleave(copies, 0), state)
