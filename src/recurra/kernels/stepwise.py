"""The scan of a step that `stages` has cut: a few calls for whole sequences, compiled where there is a compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from recurra.core.state import State, leaves, tree_map
from recurra.kernels import reference
from recurra.kernels.dispatch import in_functorch
from recurra.kernels.programs import Group, Program
from recurra.kernels.reference import Marks
from recurra.kernels.rows import flip
from recurra.kernels.stages import CannotTrace
from recurra.kernels.zoneout import Zoneout

MaskedRecur = Callable[[Tensor, State, Tensor | None], tuple[Tensor, State]]
"""One step, with the mask of recurrent dropout or None."""

_MOST_FORMS = 32
_PLAIN = (bool, int, float, complex, str, type(None), torch.dtype)


class Stepwise:
    """The traced forms of one cell's step, one for each use that asks for a graph of its own; a copy is empty.

    Args:
        compiler: compile them; False runs them as they were traced, for tests.
    """

    def __init__(self, compiler: bool = True) -> None:
        self.compiler = compiler
        self._programs: dict[Hashable, Program | str] = {}
        self._lock = threading.Lock()

    def scan(
        self,
        module: nn.Module,
        recur: MaskedRecur,
        xs: Tensor,
        state: State,
        lengths: Tensor | None,
        reset: Tensor | None,
        initial: State | None,
        *,
        hidden_mask: Tensor | None,
        zoneout: Zoneout | None,
        reverse: bool,
    ) -> tuple[Tensor, State] | str:
        """`reference.scan` of `recur`, a step over the weights of `module`; or why it can't be run so."""
        use = _Use(reference.mark(xs, lengths, reset, zoneout, reverse=reverse), state, initial, hidden_mask, zoneout)
        inputs, old = use.inputs(flip(xs, lengths) if reverse else xs), list(leaves(state))
        with self._lock:
            # While one thread traces, the module's weights are stand-ins.
            named = dict(module.named_parameters()) | dict(module.named_buffers())
            weights = list(named.values())
            program = _obstacle(xs, weights) or self._find(module, recur, named, inputs, use)
        if isinstance(program, str):
            return program
        ready = program.ready(weights, inputs, old)
        if isinstance(ready, str):
            return ready
        ys, after = program.run(ready, weights, inputs, old)
        ys = ys.transpose(0, 1)
        return (flip(ys, lengths) if reverse else ys), _like(state, after)

    def _find(
        self, module: nn.Module, recur: MaskedRecur, weights: dict[str, Tensor], inputs: list[Tensor], use: _Use
    ) -> Program | str:
        names, old = [f"module.{name}" for name in weights], list(leaves(use.state))
        given = [*weights.values(), *inputs]
        learns = torch.is_grad_enabled() and any(value.requires_grad for value in (*given, *old))
        wanted = tuple(value.requires_grad for value in given) if learns else None
        key = (wanted, _settings(module), *_kinds(weights.values()), *_kinds(inputs, 2), *_kinds(old, 1), *use.kind())
        if key not in self._programs:
            if len(self._programs) == _MOST_FORMS:
                return (
                    f"its step was traced {_MOST_FORMS} times: a number or switch of the cell changes from scan to scan"
                )
            stage = _Step(module, recur, use.emptied())

            def step(weights: Group, inputs: Group, old: Group) -> tuple[Tensor, Group]:
                y, new = functional_call(stage, dict(zip(names, weights, strict=True)), (inputs, old))
                return y, list(leaves(new))

            try:
                self._programs[key] = Program(step, list(weights.values()), inputs, old, wanted, self.compiler)
            except CannotTrace as reason:
                self._programs[key] = f"the step can't be compiled: {reason}"
        return self._programs[key]

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)(self.compiler)

    def __reduce__(self) -> tuple[type[Self], tuple[bool]]:
        return type(self), (self.compiler,)


class _Use(NamedTuple):
    """What a scan is asked for beside the inputs themselves; `state` and `initial` for their structure."""

    marks: Marks
    state: State
    initial: State | None
    hidden_mask: Tensor | None
    zoneout: Zoneout | None

    def kind(self) -> tuple[Hashable, ...]:
        """What of it the graph hangs on."""
        present = (*(part is not None for part in self.marks), self.hidden_mask is not None)
        zoneout = None if self.zoneout is None else self.zoneout.probabilities
        return *present, zoneout, _structure(self.state)

    def emptied(self) -> Self:
        """The same without the memory of one call."""
        marks = Marks(*(None if part is None else part.new_empty(0) for part in self.marks))
        state = tree_map(lambda leaf: leaf.new_empty(0), self.state)
        initial = None if self.initial is None else tree_map(lambda leaf: leaf.new_empty(0), self.initial)
        mask = None if self.hidden_mask is None else self.hidden_mask.new_empty(0)
        return self._replace(marks=marks, state=state, initial=initial, hidden_mask=mask)

    def inputs(self, xs: Tensor) -> list[Tensor]:
        """All that a step is given, (T, B, ...) each; what is the same at every step is not copied."""
        real, reset, keys = self.marks
        fresh = [] if reset is None or self.initial is None else leaves(self.initial)
        always = [*fresh, self.hidden_mask]
        found = [xs.transpose(0, 1), real, reset, None if keys is None else keys.transpose(1, 2)]
        found += [None if part is None else part.expand(xs.shape[1], *part.shape) for part in always]
        return [part for part in found if part is not None]

    def step(self, recur: MaskedRecur, inputs: Group, old: Group) -> tuple[Tensor, State]:
        """One step of `reference.scan`, given one step of `inputs`."""
        remaining = iter(inputs)
        x = next(remaining)
        real, reset, keys = (None if part is None else next(remaining) for part in self.marks)
        fresh = None if reset is None else self.initial
        initial = None if fresh is None else tree_map(lambda _: next(remaining), fresh)
        mask = None if self.hidden_mask is None else next(remaining)
        marks = Marks(real, reset, None if keys is None else keys.t())
        return reference.advance(
            lambda x, before: recur(x, before, mask), x, _like(self.state, old), marks, initial, self.zoneout
        )


class _Step(nn.Module):
    """A step as a module over the cell's, for `functional_call`."""

    def __init__(self, module: nn.Module, recur: MaskedRecur, use: _Use) -> None:
        super().__init__()
        self.module, self.recur, self.use = module, recur, use

    def forward(self, inputs: Group, old: Group) -> tuple[Tensor, State]:
        return self.use.step(self.recur, inputs, old)


def _like(state: State, found: Group) -> State:
    remaining = iter(found)
    return tree_map(lambda _: next(remaining), state)


def _structure(state: State) -> Hashable:
    return () if isinstance(state, Tensor) else tuple(_structure(part) for part in state)


def _kinds(values: Iterable[Tensor], first_axis: int = 0) -> list[Hashable]:
    return [(value.shape[first_axis:], value.dtype) for value in values]


def _settings(module: nn.Module) -> tuple[Hashable, ...]:
    """The numbers, names and switches of a module, which a traced step holds as they were."""
    return tuple(
        (name, value) for part in module.modules() for name, value in vars(part).items() if type(value) in _PLAIN
    )


def _obstacle(xs: Tensor, weights: Sequence[Tensor]) -> str:
    """Why a traced step can't run here; "" where it can."""
    if xs.shape[1] < 2:
        return "a single step is taken as it is"
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return "the scan itself is being compiled or traced"
    if in_functorch() or forward_ad._current_level >= 0:
        return "a torch.func transform or forward-mode differentiation is active, which a compiled step has no rule for"
    if torch.is_autocast_enabled(xs.device.type):
        return "autocast is on, which a compiled step does not follow"
    if type(xs) is not Tensor or not all(type(weight) in (Tensor, nn.Parameter, nn.Buffer) for weight in weights):
        return "a subclass of torch.Tensor is given"
    kinds = {(value.is_cpu, value.dtype) for value in (xs, *weights) if value.is_floating_point()}
    fits = kinds <= {(True, torch.float32), (True, torch.float64)}
    return "" if fits else "compiled steps are for float32 and float64 on a CPU"
