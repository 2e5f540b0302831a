"""A stack of recurrent layers over padded sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import NO_NOISE, Cell, CellConfig, LSTMConfig, Noise
from recurra.cells.checks import check_inputs, check_state
from recurra.cells.streaming import Stream, StreamedCell
from recurra.core.config import Config
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves, tree_map
from recurra.kernels.dispatch import Path
from recurra.kernels.rows import clear_padding
from recurra.layers.adapter import Adapter
from recurra.layers.dropout import locked_dropout, locked_mask

Probability = Annotated[float, Field(ge=0, le=1)]
CellFactory = Callable[[int, int], Cell]


class DropoutConfig(Config):
    """Where a recurrent stack drops what; all off by default, and off in eval mode."""

    embedding: Probability = Field(default=0.0, description="whole words, in the embedding before the stack")
    input: Probability = Field(default=0.0, description="features of the stack's input, the same ones at every step")
    hidden: Probability = Field(default=0.0, description="features between layers, the same ones at every step")
    output: Probability = Field(default=0.0, description="features of the stack's output, the same ones at every step")
    layer: Probability = Field(default=0.0, description="single values between layers, as torch.nn")
    recurrent: Probability = Field(
        default=0.0,
        description="units of h where it enters the recurrent product, the same ones at every step (Gal 2016)",
    )
    weight: Probability = Field(default=0.0, description="single weights of weight_hh, the same ones at every step")
    zoneout_hidden: Probability = Field(default=0.0, description="units of h that keep their old value (Krueger 2017)")
    zoneout_cell: Probability = Field(default=0.0, description="units of an LSTM's c that keep their old value")


class RecurrentConfig(Config):
    """A stack of recurrent layers."""

    cell: CellConfig = Field(default=LSTMConfig(), description="kind and options of the cell")
    hidden_size: int = Field(default=256, ge=1, description="of every layer, and of each direction")
    num_layers: int = Field(default=1, ge=1, description="how many layers")
    bidirectional: bool = Field(default=False, description="each layer runs both ways; such a stack can't be streamed")
    residual: bool = Field(default=False, description="add a layer's input to its output where the sizes match")
    learn_initial_state: bool = Field(default=False, description="train the state before the first step")
    last_size: int | None = Field(default=None, ge=1, description="hidden size of the last layer, where it differs")
    dropout: DropoutConfig = Field(default=DropoutConfig(), description="where to drop what")
    adapter_size: int = Field(
        default=0, ge=0, description="units of a small layer after each recurrent one, for fine-tuning; 0 is none"
    )

    def build(self, input_size: int) -> Recurrent:
        """The stack for inputs of `input_size` features."""
        return Recurrent(input_size, self)


class RecurrentOutput(NamedTuple):
    """What a stack returns.

    Attributes:
        outputs: (B, T, output_size) after the output dropout, with the lengths and resets of the input.
        state: tuple over layers; each the cell's state, or (forward, backward) of them when bidirectional.
        raw: the last layer's outputs before the output dropout (temporal activation regularisation needs them).
        all: every layer's outputs before any dropout, when asked for, else None.
    """

    outputs: Sequences
    state: State
    raw: Tensor
    all: list[Tensor] | None


class Recurrent(nn.Module):
    """`num_layers` cells over time, with dropout between.

    Args:
        input_size: features of a step.
        config: the stack; None is RecurrentConfig().
        cell_factory: makes a cell of (input_size, hidden_size) instead of `config.cell`: a cell of your own.
    Attributes:
        output_size: features of an output step.
        cells: the cells, layer by layer; forward then backward when bidirectional.
    """

    def __init__(
        self, input_size: int, config: RecurrentConfig | None = None, cell_factory: CellFactory | None = None
    ) -> None:
        super().__init__()
        self.config = config = config or RecurrentConfig()
        make_cell = cell_factory or config.cell.build
        self.input_size = size = input_size
        self.num_directions = 2 if config.bidirectional else 1
        cells: list[Cell] = []
        for layer in range(config.num_layers):
            last = layer == config.num_layers - 1
            hidden_size = config.last_size if last and config.last_size is not None else config.hidden_size
            cells += [make_cell(size, hidden_size) for _ in range(self.num_directions)]
            size = sum(cell.output_size for cell in cells[-self.num_directions :])
        self.output_size = size
        self.cells = nn.ModuleList(cells)
        if config.adapter_size:
            # one a layer, over both directions; a stack without any has the state of one that never had the option
            steps = range(0, len(cells), self.num_directions)
            sizes = [sum(cell.output_size for cell in cells[at : at + self.num_directions]) for at in steps]
            self.adapters = nn.ModuleList(Adapter(size, config.adapter_size) for size in sizes)
        self.learned = nn.ModuleList(LearnedState(cell) for cell in cells if config.learn_initial_state)

    def initial_state(self, batch_size: int) -> State:
        """The state before the first step: zeros, or the learned one."""
        states = [self._initial(index, batch_size) for index in range(len(self.cells))]
        return tuple(states) if self.num_directions == 1 else tuple(zip(states[::2], states[1::2], strict=True))

    def forward(self, inputs: Sequences, state: State | None = None, return_all: bool = False) -> RecurrentOutput:
        """Run the stack; see `RecurrentOutput`.

        Args:
            inputs: data (B, T, input_size).
            state: of an earlier call, same B; None is `initial_state(B)`.
            return_all: fill `RecurrentOutput.all`.
        Raises:
            ShapeError: a shape, dtype or device does not fit, or a bidirectional stack got a state.
        """
        self._check(inputs, state)
        dropout = self.config.dropout
        hidden = locked_dropout(inputs.data, dropout.input, self.training)
        states: list[State] = []
        outputs: list[Tensor] = []
        for layer in range(self.config.num_layers):
            if layer > 0:
                hidden = F.dropout(hidden, dropout.layer, self.training)
                hidden = locked_dropout(hidden, dropout.hidden, self.training)
            before = None if state is None else state[layer]
            ys, after = self._run_layer(layer, hidden, inputs, before)
            if self.config.adapter_size:
                ys = self.adapters[layer](ys, inputs.lengths)
            if self.config.residual and ys.shape[-1] == hidden.shape[-1]:
                ys = ys + clear_padding(hidden, inputs.lengths)
            hidden = ys
            states.append(after)
            outputs.append(ys)
        dropped = locked_dropout(hidden, dropout.output, self.training)
        return RecurrentOutput(inputs.with_data(dropped), tuple(states), hidden, outputs if return_all else None)

    def stream(self, batch_size: int = 1, *, bfloat16: bool = False) -> Stream:
        """Take steps as the inputs come, of `batch_size` sequences, with as little as can be around the arithmetic.

        Args:
            batch_size: how many sequences.
            bfloat16: keep the matrices in half the memory; see `Stream`.
        Raises:
            ConfigError: a bidirectional stack, or as `Cell.stream`.
        """
        if self.config.bidirectional:
            raise ConfigError(
                "Recurrent(bidirectional=True) can't be streamed, as its backward direction starts from the end of the "
                "row. Set bidirectional=False, or run whole rows."
            )
        cells = [self._cell(index) for index in range(len(self.cells))]
        adds = [self.config.residual and cell.input_size == cell.output_size for cell in cells]
        streamed = [cell.streamed(self._zoneout(cell), add) for cell, add in zip(cells, adds, strict=True)]
        if self.config.adapter_size:
            streamed = [_followed(cell, adapter) for cell, adapter in zip(streamed, self.adapters, strict=True)]
        return Stream("Recurrent", streamed, self.initial_state, batch_size, bfloat16)

    @property
    def emits_state(self) -> bool:
        """Whether the cells of the last layer put out the first leaf of their state."""
        if self.config.adapter_size:
            return False
        return all(self._cell(index).emits_state for index in range(len(self.cells))[-self.num_directions :])

    @property
    def last_path(self) -> list[Path]:
        """Which kernel each layer and direction took in the last call, and why not a faster one."""
        return [self._cell(index).last_path for index in range(len(self.cells))]

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer, first to last, for discriminative learning rates."""
        groups: list[list[nn.Parameter]] = []
        for layer in range(self.config.num_layers):
            part = slice(layer * self.num_directions, (layer + 1) * self.num_directions)
            groups.append(
                [weight for modules in (self.cells[part], self.learned[part]) for weight in modules.parameters()]
            )
            if self.config.adapter_size:
                groups[-1] += self.adapters[layer].parameters()
        return groups

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.input_size}, output_size={self.output_size}"

    def _run_layer(self, layer: int, xs: Tensor, inputs: Sequences, state: State | None) -> tuple[Tensor, State]:
        first = layer * self.num_directions
        ys, after = self._run_cell(first, xs, inputs, state)
        if self.num_directions == 1:
            return ys, after
        backward_ys, backward_after = self._run_cell(first + 1, xs, inputs, None, reverse=True)
        return torch.cat([ys, backward_ys], -1), (after, backward_after)

    def _run_cell(
        self, index: int, xs: Tensor, inputs: Sequences, state: State | None, reverse: bool = False
    ) -> tuple[Tensor, State]:
        cell = self._cell(index)
        initial = self._initial(index, inputs.batch_size) if self.config.learn_initial_state else None
        noise = self.noise(cell, xs)
        result: tuple[Tensor, State] = cell(
            xs, state, inputs.lengths, inputs.reset, noise=noise, reverse=reverse, initial=initial
        )
        return result

    def noise(self, cell: Cell, xs: Tensor) -> Noise:
        """One call's noise for one of the cells and the rows of `xs`; masks come from torch's default generator."""
        dropout, zoneout = self.config.dropout, self._zoneout(cell)
        if not self.training:
            return Noise(zoneout=zoneout) if zoneout else NO_NOISE
        hidden_mask = locked_mask(xs, cell.output_size, dropout.recurrent) if dropout.recurrent else None
        weight_mask = {}
        if dropout.weight:
            weight = getattr(cell, "weight_hh", None)
            if weight is None:
                raise ConfigError(f"`dropout.weight`: {type(cell).__name__} has no weight_hh whose weights could drop.")
            weight_mask = {"weight_hh": F.dropout(torch.ones_like(weight), dropout.weight)}
        return Noise(hidden_mask, zoneout or 0.0, weight_mask, training=True)

    def _zoneout(self, cell: Cell) -> tuple[float, ...]:
        """One probability a leaf of the state; empty for none."""
        dropout = self.config.dropout
        if not dropout.zoneout_hidden and not dropout.zoneout_cell:
            return ()
        others = len(list(leaves(cell.initial_state(0)))) - 1
        return (dropout.zoneout_hidden, *[dropout.zoneout_cell] * others)

    def _cell(self, index: int) -> Cell:
        return cast(Cell, self.cells[index])

    def _initial(self, index: int, batch_size: int) -> State:
        zeros = self._cell(index).initial_state(batch_size)
        if not self.config.learn_initial_state:
            return zeros
        learned: State = self.learned[index](zeros)
        return learned

    def _check(self, inputs: Sequences, state: State | None) -> None:
        """What the cells can't check in terms of the stack."""
        check_inputs("Recurrent", self.input_size, inputs.data, self._cell(0).first_weight(), "inputs.data")
        if state is None:
            return
        if self.config.bidirectional:
            raise ShapeError(
                "Recurrent(bidirectional=True) got `state`: a bidirectional stack can't be streamed, as its backward "
                "direction starts from the end of the row. Pass whole rows and state=None, or set bidirectional=False."
            )
        if not isinstance(state, tuple) or len(state) != self.config.num_layers:
            check_state("Recurrent", "state", state, self.initial_state(inputs.batch_size))


def _followed(cell: StreamedCell, adapter: nn.Module) -> StreamedCell:
    """The cell of a stream, and what comes after it."""

    def scan(xs: Tensor, state: State) -> tuple[Tensor, State]:
        ys, after = cell.scan(xs, state)
        return adapter(ys, None), after

    return replace(cell, scan=scan, kernel=lambda: "an adapter follows the cell")


class LearnedState(nn.Module):
    """What is trained of a cell's initial state: one vector a leaf, added to the cell's own.

    Args:
        cell: the cell.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.offsets = nn.ParameterList(torch.zeros_like(leaf[0]) for leaf in leaves(cell.initial_state(1)))

    def forward(self, zeros: State) -> State:
        """The cell's initial state (leaves (B, ...)) -> the learned one."""
        remaining = iter(self.offsets)
        return tree_map(lambda leaf: leaf + next(remaining), zeros)
