"""What happens inside recurrent stacks while a model runs: every step's states, and what the activations put out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from recurra.cells import Cell, Noise
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.kernels.dispatch import use
from recurra.layers.recurrent import Recurrent
from recurra.layers.windows import lengths_of

_ACTIVATIONS: dict[Any, str] = {
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    Tensor.tanh: "tanh",
    torch.relu: "relu",
    Tensor.relu: "relu",
    nn.functional.relu: "relu",
    nn.functional.sigmoid: "sigmoid",
    nn.functional.tanh: "tanh",
}


Recur = Callable[[Tensor, State, Noise], tuple[Tensor, State]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one cell over the rows of a batch.

    Attributes:
        projected: (B, P), what the step reads beside the state.
        before: the state that it starts from.
        after: the state that it makes; on padding nothing goes on from it.
    """

    projected: Tensor
    before: State
    after: State


@dataclass(slots=True)
class CellRecord:
    """The steps of one cell in one call, in the order in which they ran.

    Attributes:
        cell: itself.
        layer: from 0.
        reverse: whether it reads each row from its end.
        recur: its step, with the weights that it ran with: projected input, state and noise to output and new state.
        steps: one for each step in time, padding included.
        activations: (B, N) each, by name and step: "sigmoid 0" is the first sigmoid that a step calls.
    """

    cell: Cell
    layer: int
    reverse: bool
    recur: Recur | None = None
    steps: list[Step] = field(default_factory=list)
    activations: dict[str, list[Tensor]] = field(default_factory=dict)


@dataclass(slots=True)
class StackRecord:
    """One call of a stack.

    Attributes:
        name: of the module in the model.
        stack: itself.
        inputs: what it read.
        outputs: (B, T, output_size).
        cells: by layer, the forward cell before the backward one.
    """

    name: str
    stack: Recurrent
    inputs: Sequences
    outputs: Tensor
    cells: list[CellRecord]

    @property
    def lengths(self) -> Tensor:
        """(B,) int64, real steps of each row."""
        return lengths_of(self.inputs)


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[StackRecord]]:
    """Run the model's stacks by the plain loop over steps inside the block, and keep what each call of them did.

    The records grow with each call; gradients pass through them as ever.
    """
    records: list[StackRecord] = []
    stacks = [(name, module) for name, module in model.named_modules() if isinstance(module, Recurrent)]
    with ExitStack() as undo:
        undo.enter_context(use("reference"))
        undo.enter_context(_told_of_steps({type(cell) for _, stack in stacks for cell in stack.cells}))
        for name, stack in stacks:
            undo.callback(_Running(name, stack, records).stop)
        yield records


_WATCHED = "_watched_by"
"""Name of the attribute by which a cell, and any twin of it with other weights, finds who watches its steps."""


@contextmanager
def _told_of_steps(kinds: set[type]) -> Iterator[None]:
    """Inside the block, cells of these classes tell who watches them of each step."""
    originals = {kind: kind.recurrence for kind in kinds}  # type: ignore[attr-defined]
    own = {kind for kind in kinds if "recurrence" in vars(kind)}
    for kind, original in originals.items():
        kind.recurrence = _telling(original)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for kind, original in originals.items():
            if kind in own:
                kind.recurrence = original  # type: ignore[attr-defined]
            else:
                del kind.recurrence  # type: ignore[attr-defined]


def _telling(original: Callable[[Any], Recur]) -> Callable[[Any], Recur]:
    def recurrence(cell: Cell) -> Recur:
        recur, watch = original(cell), vars(cell).get(_WATCHED)
        return recur if watch is None else partial(watch, recur)

    return recurrence


class _Running:
    """Watches one stack: notes what its cells do between the beginning and the end of a call."""

    def __init__(self, name: str, stack: Recurrent, records: list[StackRecord]) -> None:
        self._name, self._stack, self._records = name, stack, records
        self._cells: list[CellRecord] = []
        self._hooks = [
            stack.register_forward_pre_hook(self._begin),
            stack.register_forward_hook(self._end, with_kwargs=True),
        ]
        for index, cell in enumerate(stack.cells):
            vars(cell)[_WATCHED] = partial(self._step, index)

    def stop(self) -> None:
        """Leave the stack as it was."""
        for hook in self._hooks:
            hook.remove()
        for cell in self._stack.cells:
            del vars(cell)[_WATCHED]

    def _begin(self, *_: Any) -> None:
        directions = self._stack.num_directions
        self._cells = [
            CellRecord(cell, index // directions, reverse=index % directions == 1)  # type: ignore[arg-type]
            for index, cell in enumerate(self._stack.cells)
        ]

    def _step(self, index: int, recur: Recur, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        with _Activations() as seen:
            y, after = recur(projected, state, noise)
        if self._cells:
            record = self._cells[index]
            record.recur = recur
            record.steps.append(Step(projected, state, after))
            for name, values in seen.found.items():
                record.activations.setdefault(name, []).append(values)
        return y, after

    def _end(self, _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        inputs = arguments[0] if arguments else named["inputs"]
        self._records.append(StackRecord(self._name, self._stack, inputs, output.outputs.data, self._cells))
        self._cells = []


class _Activations(TorchFunctionMode):
    """Notes what sigmoid, tanh and ReLU put out, in the order of their calls."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = _ACTIVATIONS.get(func)
        if kind is not None and isinstance(result, Tensor):
            number = self._counts.get(kind, 0)
            self._counts[kind] = number + 1
            self.found[f"{kind} {number}"] = result.detach()
        return result
