"""A recurrent decoder that attends to a memory: all steps at once under teacher forcing, or one by one."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.cells import CellConfig
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.attention import AttendedMemory, AttentionConfig, GeneralAttentionConfig
from recurra.layers.dropout import locked_dropout
from recurra.layers.feeding import FedSteps, require_steps
from recurra.layers.recurrent import DropoutConfig, Recurrent, RecurrentConfig

InputFeeding = Literal["none", "output", "context"]
DecoderState: TypeAlias = "tuple[State, Tensor, Tensor, Tensor]"
"""Between two steps: the stack's state; what is fed into the next step, (B, F) or (B, 0); the sum of all weights so
far, (B, S) or (B, 0) where the attention does not ask for it; the weights of the last step, (B, S)."""


class DecoderConfig(Config):
    """A decoder; the cell, embedding_dim and dropout are those of its model."""

    hidden_size: int | None = Field(default=None, ge=1, description="of every layer; none: as the encoder's")
    num_layers: int = Field(default=1, ge=1, description="how many layers")
    attention: AttentionConfig | None = Field(
        default=GeneralAttentionConfig(), description="none: all that the decoder knows is the encoder's final state"
    )
    input_feeding: InputFeeding = Field(
        default="none",
        description=(
            "what of the attention enters the next step: nothing, so that all steps of training run at once; the "
            "output (Luong et al., 2015); or the context, found by the state before the step (Bahdanau et al., 2015)"
        ),
    )
    readout_size: int | None = Field(default=None, ge=1, description="of what the softmax sees; none: embedding_dim")
    bridge: bool = Field(default=True, description="start from the encoder's final state, else from zeros")
    copying: bool = Field(default=False, description="may copy words from the source (See et al., 2017)")
    coverage_loss: float = Field(
        default=0.0, ge=0, description="penalty on weight for keys that had theirs already (See et al., 2017)"
    )
    scheduled_sampling: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of inputs in training that are own predictions (Bengio et al., 2015)",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> DecoderConfig:
        if self.attention is None:
            for name, off in (("input_feeding", "none"), ("copying", False), ("coverage_loss", 0.0), ("bridge", True)):
                if getattr(self, name) != off:
                    raise ValueError(f"{name}={getattr(self, name)} needs an attention")
        return self


class DecoderOutput(NamedTuple):
    """What a decoder returns; one step's has no axis T.

    Attributes:
        readout: (B, T, readout_size), finite on padding.
        features: (B, T, feature_size): contexts, outputs of the stack and inputs, for the gate of a copying model; None
            where the model copies nothing.
        weights: (B, T, S) of the attention; None without one.
    """

    readout: Tensor
    features: Tensor | None
    weights: Tensor | None


class AttentiveDecoder(nn.Module):
    """Recurrent stack, attention, readout tanh(W [context; hidden]), of the input too where the context is fed.

    Args:
        input_size: features of an input step.
        memory_size: features of a key.
        hidden_size: of every layer.
        config: the decoder; its `hidden_size` is not read here.
        cell: of every layer.
        dropout: of the stack; `output` drops features of the readout.
    Attributes:
        feature_size: of `DecoderOutput.features`.
        readout_size: of `DecoderOutput.readout`.

    Reference: Luong et al. (2015), https://arxiv.org/abs/1508.04025, equation 5 and section 3.3; Bahdanau et al.
        (2015), https://arxiv.org/abs/1409.0473, appendix A.2.2, whose deep output has a maxout in place of the tanh.
    """

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        hidden_size: int,
        config: DecoderConfig,
        cell: CellConfig,
        dropout: DropoutConfig,
    ) -> None:
        super().__init__()
        self.config, self.input_size, self.dropout = config, input_size, dropout.output
        self.readout_size = config.readout_size or input_size
        self.feed_size = {"none": 0, "output": self.readout_size, "context": memory_size}[config.input_feeding]
        stack = RecurrentConfig(
            cell=cell,
            hidden_size=hidden_size,
            num_layers=config.num_layers,
            dropout=dropout.model_copy(update={"output": 0.0, "embedding": 0.0}),
        )
        self.recurrent = Recurrent(input_size + self.feed_size, stack)
        size = self.recurrent.output_size
        self.attention = None if config.attention is None else config.attention.build(size, memory_size)
        context_size = 0 if self.attention is None else self.attention.context_size
        self.feature_size = context_size + size + input_size
        seen = context_size + size + (input_size if config.input_feeding == "context" else 0)
        self.readout = nn.Linear(seen, self.readout_size)
        if self.feed_size:
            require_steps(self.recurrent)

    def prepare(self, outputs: Sequences) -> AttendedMemory:
        """The memory of an encoder's outputs (B, S, memory_size)."""
        if self.attention is not None:
            return self.attention.prepare(outputs.data, outputs.mask)
        nothing = outputs.data[..., :0]
        return AttendedMemory(nothing, nothing, outputs.mask)

    def initial_state(self, cells: State, memory: AttendedMemory) -> DecoderState:
        """The state before the first step, of the stack's state and the memory."""
        rows, keys = memory.mask.shape
        zeros = memory.keys.new_zeros
        summed = self.attention is not None and self.attention.past == "sum"
        return cells, zeros(rows, self.feed_size), zeros(rows, keys if summed else 0), zeros(rows, keys)

    def forward(self, inputs: Sequences, memory: AttendedMemory, cells: State) -> DecoderOutput:
        """Decode with known inputs.

        Args:
            inputs: data (B, T, input_size), finite on padding.
            memory: of `prepare`.
            cells: the stack's state before the first step.
        """
        xs, readout = inputs.data, None
        if self.feed_size and xs.shape[1]:
            hidden, context, weights, fed = self._feed_all(xs, memory, self.initial_state(cells, memory))
            readout = fed if self.config.input_feeding == "output" else None
        else:
            if self.feed_size:
                inputs = inputs.with_data(F.pad(xs, (0, self.feed_size)))
            hidden = self.recurrent(inputs, cells).outputs.data
            context, weights = self._attend_all(hidden, memory)
        readout = self.read_out(xs, hidden, context) if readout is None else readout
        return self._output(locked_dropout(readout, self.dropout, self.training), xs, hidden, context, weights)

    def step(self, x: Tensor, memory: AttendedMemory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """One step, in evaluation mode.

        Args:
            x: (B, input_size).
            memory: of `prepare`.
            state: from `initial_state` or an earlier step.
        """
        if self.feed_size:
            run = FedSteps(self.recurrent, self.input_size, x)
            hidden, context, state = self._feed(run, x, run.project(x[:, None])[:, 0], memory, state)
            fed = self.config.input_feeding == "output"
            readout = state[1] if fed else self.read_out(x, hidden, context)
        else:
            cells, none, total, weights = state
            found = self.recurrent(Sequences(x[:, None]), cells)
            hidden = found.outputs.data[:, 0]
            context, total, weights = self._attend(hidden, memory, total, weights)
            readout, state = self.read_out(x, hidden, context), (found.state, none, total, weights)
        return self._output(readout, x, hidden, context, state[3]), state

    def read_out(self, xs: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        """(..., readout_size) of inputs, outputs of the stack and contexts."""
        parts = [context, hidden, xs] if self.config.input_feeding == "context" else [context, hidden]
        return torch.tanh(rows_linear(torch.cat(parts, -1), self.readout.weight, self.readout.bias))

    def _output(self, readout: Tensor, xs: Tensor, hidden: Tensor, context: Tensor, weights: Tensor) -> DecoderOutput:
        features = torch.cat([context, hidden, xs], -1) if self.config.copying else None
        return DecoderOutput(readout, features, None if self.attention is None else weights)

    def _feed_all(self, xs: Tensor, memory: AttendedMemory, state: DecoderState) -> list[Tensor]:
        """Outputs of the stack, contexts, weights and what is fed, of all steps, (B, T, *)."""
        run = FedSteps(self.recurrent, self.input_size, xs)
        found: list[list[Tensor]] = [[], [], [], []]
        for x, projected in zip(xs.unbind(1), run.project(xs).unbind(1), strict=True):
            hidden, context, state = self._feed(run, x, projected, memory, state)
            for parts, part in zip(found, (hidden, context, state[3], state[1]), strict=True):
                parts.append(part)
        return [torch.stack(parts, 1) for parts in found]

    def _feed(
        self, run: FedSteps, x: Tensor, projected: Tensor, memory: AttendedMemory, state: DecoderState
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """One step with input feeding: the stack's output, the context, the state after."""
        cells, fed, total, weights = state
        if self.config.input_feeding == "context":
            query = next(leaves(cast(tuple[State, ...], cells)[-1]))
            context, total, weights = self._attend(query, memory, total, weights)
            hidden, cells = run.step(projected, context, cells)
            return hidden, context, (cells, context, total, weights)
        hidden, cells = run.step(projected, fed, cells)
        context, total, weights = self._attend(hidden, memory, total, weights)
        return hidden, context, (cells, self.read_out(x, hidden, context), total, weights)

    def _attend_all(self, hidden: Tensor, memory: AttendedMemory) -> tuple[Tensor, Tensor]:
        """Contexts and weights of all steps, whose queries (B, T, H) are known."""
        if self.attention is None:
            return hidden[..., :0], hidden.new_zeros(*hidden.shape[:2], memory.mask.shape[1])
        if self.attention.past == "none" or hidden.shape[1] == 0:
            context, weights = self.attention(hidden, memory)
            return context, weights
        _, _, total, last = self.initial_state((), memory)
        contexts, weighed = [], []
        for query in hidden.unbind(1):
            context, total, last = self._attend(query, memory, total, last)
            contexts.append(context)
            weighed.append(last)
        return torch.stack(contexts, 1), torch.stack(weighed, 1)

    def _attend(
        self, query: Tensor, memory: AttendedMemory, total: Tensor, last: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The context, and the sum of the weights and the last weights after the step."""
        if self.attention is None:
            return query[:, :0], total, last
        past = {"none": None, "last": last, "sum": total}[self.attention.past]
        context, weights = self.attention(query, memory, past)
        return context, total + weights if self.attention.past == "sum" else total, weights
