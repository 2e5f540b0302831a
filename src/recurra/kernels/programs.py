"""How the stages of a step are run: the loops over time, the whole as one operator of autograd, and its compiled form.

Compiled, a loop is torch's `scan` in C++ (with torch's cpp_wrapper), so that a step costs no Python; T and B may vary,
but for one row, which has a compiled form of its own. Torch calls its `scan` a prototype: what is compiled is compared
with the stages as they are before it is used.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan as torch_scan

from recurra.kernels.stages import CannotTrace, Stages, Step, Value, cut, first_line

Group = Sequence[Tensor]
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
_PRIMES = (23, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


class Program:
    """One step, traced for one use.

    Args:
        step: the step.
        weights: what is the same at every step.
        inputs: of all steps, (T, B, ...) each.
        state: the leaves before the first step.
        wanted: see `stages.cut`.
        compiler: compile the stages when they are first called for; False runs them as they are, for tests.
    Raises:
        CannotTrace: it can't be cut into stages, or the stages don't give what `step` gives.
    """

    def __init__(
        self,
        step: Step,
        weights: Group,
        inputs: Group,
        state: Group,
        wanted: Sequence[bool] | None,
        compiler: bool,
    ) -> None:
        self.step = step
        self.learns = wanted is not None
        self._as_traced = Ready(self.forward, self.backward)
        self._compiler = compiler
        self._lock = threading.Lock()
        self._ready: dict[bool, Ready | str] = {}
        with torch.inference_mode(False), torch.no_grad():
            self.stages = cut(step, weights, [value[0] for value in inputs], state, wanted)
            self._compare_with_step(_detached(weights), *_sample(inputs, state, 4, 3))

    def ready(self, weights: Group, inputs: Group, state: Group) -> Ready | str:
        """The compiled form for so many rows, or why there is none."""
        one_row = state[0].shape[0] == 1
        with self._lock:
            if one_row not in self._ready:
                with torch.inference_mode(False), torch.no_grad():
                    self._ready[one_row] = self._prepare(_detached(weights), inputs, state, one_row)
        return self._ready[one_row]

    def run(self, ready: Ready, weights: Group, inputs: Group, state: Group) -> tuple[Tensor, Group]:
        """The outputs (T, B, O) and the leaves of the last state."""
        inputs, state = [value.contiguous() for value in inputs], [leaf.contiguous() for leaf in state]
        if self.learns:
            sizes = len(weights), len(inputs)
            ys, *after = _Scan.apply(self, ready, sizes, *weights, *inputs, *state)  # type: ignore[no-untyped-call]
            return ys, after
        ys, after, _ = ready.forward(_detached(weights), _detached(inputs), _detached(state))
        return ys, after

    def replay(self, weights: Group, inputs: Group, state: Group) -> tuple[Tensor, Group]:
        """The same by calls of the step itself, for autograd to record."""
        ys = []
        for here in zip(*(value.unbind(0) for value in inputs), strict=True):
            y, state = self.step(weights, here, state)
            ys.append(y)
        return torch.stack(ys), state

    def forward(self, weights: Group, inputs: Group, state: Group, compiling: bool = False) -> _Forward:
        """The outputs, the last state and what `backward` needs."""
        stages, shape = self.stages, inputs[0].shape[:2]
        values = dict(zip(stages.weights, weights, strict=True)) | dict(zip(stages.inputs, inputs, strict=True))
        _run_flat(stages, "before", values, shape)
        after = _run_loop(stages, "loop", values, stages.state, state, compiling)
        _run_flat(stages, "after", values, shape)
        return values[stages.y.name], after, [values[name] for name in stages.saved]

    def backward(
        self, weights: Group, inputs: Group, saved: Group, grad_ys: Group, grad_after: Group, compiling: bool = False
    ) -> _Backward:
        """The gradients of the weights, the inputs and the state; grad_ys is a list of one."""
        stages, shape = self.stages, inputs[0].shape[:2]
        values = dict(zip(stages.weights, weights, strict=True)) | dict(zip(stages.inputs, inputs, strict=True))
        values |= dict(zip(stages.saved, saved, strict=True)) | {stages.grad_y: grad_ys[0]}
        _run_flat(stages, "before_back", values, shape)
        names = [name for name in stages.grad_state if name is not None]
        before = _run_loop(stages, "loop_back", values, names, grad_after, compiling)
        # The loop's outputs stand last step first.
        backwards = {value.name for value in stages.stages["loop_back"].outputs} if names else set()
        if "after_back" in stages.stages:
            for value in stages.stages["after_back"].inputs:
                if value.axis is not None and value.name not in backwards:
                    values[value.name] = values[value.name].flip(0)
        _run_flat(stages, "after_back", values, shape)
        return (
            [None if value is None else values[value.name] for value in stages.grad_weights],
            [None if value is None else values[value.name].flip(0) for value in stages.grad_inputs],
            before,
        )

    def _compare_with_step(self, weights: Group, inputs: Group, state: Group) -> None:
        """Refuse a step that the stages compute wrongly: one whose rows see one another."""
        found = self._try(self._as_traced, weights, inputs, state)
        sources = [value.clone() for value in (*weights, *inputs, *state)]
        for source in sources if self.learns else ():
            source.requires_grad_(source.is_floating_point())
        with torch.set_grad_enabled(self.learns):
            ys, after = self.replay(*_split(sources, len(weights), len(inputs)))
        wanted: list[Tensor | None] = [ys, *after]
        if self.learns:
            outs = [out for out in (ys, *after) if out.requires_grad]
            gradients = [_pattern(out) for out in outs]
            tracked = [source for source in sources if source.requires_grad]
            grads = torch.autograd.grad(outs, tracked, gradients, allow_unused=True) if outs else [None] * len(tracked)
            remaining = iter(grads)
            wanted += [next(remaining) if source.requires_grad else None for source in sources]
        if not _same(found, wanted):
            raise CannotTrace("the rows of a batch see one another")

    def _try(self, ready: Ready, *given: Group) -> list[Tensor | None]:
        """Outputs, last state and the gradients for a fixed pattern."""
        ys, after, saved = ready.forward(*given)
        if not self.learns:
            return [ys, *after]
        grad_after = [_pattern(leaf) for leaf in after if leaf.is_floating_point()]
        weights, inputs, state = ready.backward(*given[:2], saved, [_pattern(ys)], grad_after)
        return [ys, *after, *weights, *inputs, *_at_floats(given[2], state)]

    def _prepare(self, weights: Group, inputs: Group, state: Group, one_row: bool) -> Ready | str:
        """Compile for one row, or for any number of rows, and compare with the stages as they are."""
        if not self._compiler:
            return self._as_traced
        shared = {value.name for stage in self.stages.stages.values() for value in stage.outputs if value.axis is None}
        saved = ["" if name in shared else "TB" for name in self.stages.saved]
        all_inputs, all_leaves, floats = (
            ["TB"] * len(inputs),
            ["B"] * len(state),
            sum(map(bool, self.stages.grad_state)),
        )
        ready = Ready(
            _Compiled(self.forward, [[""] * len(weights), all_inputs, all_leaves], one_row),
            _Compiled(self.backward, [[""] * len(weights), all_inputs, saved, ["TB"], ["B"] * floats], one_row),
        )
        try:
            # The second pair of sizes shows whether the first was taken for fixed.
            for sizes in ((6, 5), (9, 7)):
                given = weights, *_sample(inputs, state, sizes[0], 1 if one_row else sizes[1])
                if not _same(self._try(ready, *given), self._try(self._as_traced, *given)):
                    return "torch compiled the step to something else"
        except Exception as error:
            # Dynamo wraps what its backend raises.
            return f"torch can't compile the step: {first_line(getattr(error, 'inner_exception', error))}"
        return ready


_Forward = tuple[Tensor, list[Tensor], list[Tensor]]
_Backward = tuple[list[Tensor | None], list[Tensor | None], list[Tensor]]


class Ready(NamedTuple):
    """`Program.forward` and `backward`, compiled or not."""

    forward: Callable[..., _Forward]
    backward: Callable[..., _Backward]


class _Compiled:
    """A method that is compiled when it is first called.

    Torch's guards are left out, as its inputs differ in T and B only.

    Args:
        method: of a program; it takes groups of tensors.
        axes: for each group and tensor, which axes come first: "TB", "B" or none.
        one_row: B is 1 for good, which torch can't leave open.
    """

    def __init__(self, method: Any, axes: Sequence[Sequence[str]], one_row: bool) -> None:
        self._axes, self._one_row = axes, one_row
        # Torch counts how often one code object is compiled, and gives up: each method gets its own.
        code = method.__func__.__code__.replace(co_name=f"{method.__name__}_{next(_numbers)}")
        function = FunctionType(code, method.__func__.__globals__, code.co_name, method.__func__.__defaults__)
        options: dict[str, Any] = {"guard_filter_fn": lambda guards: [False] * len(guards)}
        own = MethodType(function, method.__self__)
        self._run = torch.compile(own, fullgraph=True, backend=self._compile, options=options)
        self._may_compile = self._is_compiled = False

    def __call__(self, *groups: Group) -> Any:
        if self._is_compiled:
            try:
                return self._run(*groups, compiling=True)
            except Exception:
                if self._is_compiled:
                    raise
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            # What torch's compiler warns of is not the user's to mend.
            warnings.simplefilter("ignore")
            self._warm_up(groups)
        return self._run(*groups, compiling=True)

    def _warm_up(self, groups: Sequence[Group]) -> None:
        """Compile on values of the same kinds, with sizes that are no others': torch takes equal sizes for the same."""
        taken = {size for group in groups for value in group for size in value.shape}
        num_steps, num_rows = [prime for prime in _PRIMES if prime not in taken][:2]
        num_rows = 1 if self._one_row else num_rows
        samples: list[Group] = []
        for group, axes in zip(groups, self._axes, strict=True):
            found = []
            for value, names in zip(group, axes, strict=True):
                sizes = {"TB": (num_steps, num_rows), "B": (num_rows,), "": ()}[names]
                found.append(_pick(value, *sizes))
                for axis in range(len(sizes) - self._one_row):
                    torch._dynamo.mark_dynamic(found[-1], axis)
            samples.append(found)
        self._may_compile = True
        try:
            with torch._dynamo.config.patch(capture_scalar_outputs=True):
                self._run(*samples, compiling=True)
        finally:
            self._may_compile = False
        if not self._is_compiled:
            raise RuntimeError("torch.compile is switched off")

    def _compile(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        if not self._may_compile:
            # torch.compiler.reset() was called: here and now T and B would be taken for fixed.
            self._is_compiled = False
            raise RuntimeError("the compiled step is gone")
        compiled = torch._inductor.compile(graph, inputs, options={"cpp_wrapper": True})
        self._is_compiled = True
        return compiled


_numbers = itertools.count()


class _Scan(torch.autograd.Function):
    """A program as one operator."""

    @staticmethod
    def forward(ctx: Any, program: Program, ready: Ready, sizes: tuple[int, int], *tensors: Tensor) -> Any:
        ys, after, saved = ready.forward(*_split(_detached(tensors), *sizes))
        ctx.program, ctx.ready, ctx.sizes = program, ready, sizes
        ctx.save_for_backward(*tensors, *saved)
        ctx.mark_non_differentiable(*(leaf for leaf in after if not leaf.is_floating_point()))
        return ys, *after

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        num_tensors = len(ctx.needs_input_grad) - 3
        tensors, saved = ctx.saved_tensors[:num_tensors], ctx.saved_tensors[num_tensors:]
        if torch.is_grad_enabled():
            return None, None, None, *_replayed_gradients(ctx.program, tensors, ctx.sizes, gradients)
        weights, inputs, state = _split(_detached(tensors), *ctx.sizes)
        grad_ys, *grad_after = (gradient.contiguous() for gradient in gradients)
        floats = [gradient for gradient, leaf in zip(grad_after, state, strict=True) if leaf.is_floating_point()]
        found = ctx.ready.backward(weights, inputs, _detached(saved), [grad_ys], floats)
        return None, None, None, *found[0], *found[1], *_at_floats(state, found[2])


def _replayed_gradients(
    program: Program, tensors: Group, sizes: tuple[int, int], gradients: Group
) -> list[Tensor | None]:
    """What can itself be differentiated: the step is run again, and autograd records it."""
    sources = [tensor if tensor.requires_grad else tensor.detach() for tensor in tensors]
    twins = [source.view_as(source) for source in sources]
    ys, after = program.replay(*_split(twins, *sizes))
    pairs = [pair for pair in zip((ys, *after), gradients, strict=True) if pair[0].requires_grad]
    tracked = [twin for twin in twins if twin.requires_grad]
    outs, given = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outs, tracked, given, allow_unused=True, create_graph=True))
    return [next(found) if twin.requires_grad else None for twin in twins]


def _run_flat(stages: Stages, name: str, values: dict[str, Tensor], shape: torch.Size) -> None:
    """Run a stage over the rows of all steps at once."""
    if name in stages.stages:
        stage = stages.stages[name]
        found = stage.module(*[_flatten(values[value.name], value.axis) for value in stage.inputs])
        for value, result in zip(stage.outputs, found, strict=True):
            values[value.name] = result if value.axis is None else result.movedim(value.axis, 0).unflatten(0, shape)


def _flatten(value: Tensor, axis: int | None) -> Tensor:
    return value if axis is None else value.flatten(0, 1).movedim(0, axis)


def _run_loop(
    stages: Stages, name: str, values: dict[str, Tensor], names: list[str], carry: Group, compiling: bool
) -> list[Tensor]:
    """Run a stage step by step, a backward one from the last step; returns the last carry, called `names` inside."""
    if name not in stages.stages:
        return list(carry)
    stage, num_steps = stages.stages[name], values[stages.inputs[0]].shape[0]

    def advance(carry: Group, step: int) -> tuple[list[Tensor], list[Tensor]]:
        taken = [_take(value, values, names, carry, step) for value in stage.inputs]
        found = stage.module(*taken)
        made = zip(found[len(carry) :], stage.outputs, strict=True)
        return found[: len(carry)], [out if at.axis is None else out.movedim(at.axis, 0) for out, at in made]

    def advance_compiled(carry: Group, place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        step: int = place.item()  # type: ignore[assignment]
        torch._check(step >= 0)  # type: ignore[no-untyped-call]
        torch._check(step < num_steps)  # type: ignore[no-untyped-call]
        # Torch wants memory of its own for each result.
        after, made = advance(carry, step)
        return _copied(after), _copied(made)

    if compiling:
        # A range would fix T.
        order = torch.arange(num_steps) if name == "loop" else torch.arange(num_steps - 1, -1, -1)
        carry, stacks = torch_scan(advance_compiled, _copied(carry), order)
    else:
        made = []
        for step in range(num_steps) if name == "loop" else reversed(range(num_steps)):
            carry, here = advance(carry, step)
            made.append(here)
        carry, stacks = _copied(carry), [torch.stack(each) for each in zip(*made, strict=True)]
    values.update({value.name: stack for value, stack in zip(stage.outputs, stacks, strict=True)})
    return list(carry)


def _take(value: Value, values: dict[str, Tensor], names: list[str], carry: Group, step: int) -> Tensor:
    """One step's part of a value."""
    if value.axis is None:
        return values[value.name]
    part = carry[names.index(value.name)] if value.name in names else values[value.name].select(0, step)
    return part.movedim(0, value.axis)


def _copied(values: Iterable[Tensor]) -> list[Tensor]:
    return [value.clone(memory_format=torch.contiguous_format) for value in values]


def _detached(values: Iterable[Tensor]) -> list[Tensor]:
    return [value.detach().contiguous() for value in values]


def _split(values: Sequence[Tensor], num_weights: int, num_inputs: int) -> tuple[Group, Group, Group]:
    second = num_weights + num_inputs
    return values[:num_weights], values[num_weights:second], values[second:]


def _at_floats(state: Group, found: Iterable[Tensor]) -> list[Tensor | None]:
    """Gradients of the leaves; leaves of whole numbers have none."""
    remaining = iter(found)
    return [next(remaining) if leaf.is_floating_point() else None for leaf in state]


def _sample(inputs: Group, state: Group, num_steps: int, num_rows: int) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and a state of any size, from values that occur."""
    return [_pick(value, num_steps, num_rows) for value in inputs], [_pick(leaf, num_rows) for leaf in state]


def _pick(value: Tensor, *sizes: int) -> Tensor:
    """(T, B, ...), (B, ...) or (...) of other T and B: row b starts b steps later, so that rows differ."""
    value = value.detach()
    if not sizes:
        return value
    row = torch.arange(sizes[-1])
    if len(sizes) == 1:
        return value[row % value.shape[0]]
    step = torch.arange(sizes[0])[:, None]
    return value[(step + row) % value.shape[0], row % value.shape[1]]


def _pattern(like: Tensor) -> Tensor:
    return torch.linspace(-1, 1, like.numel(), dtype=like.dtype).reshape(like.shape)


def _same(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None]) -> bool:
    """Whether two lists agree up to rounding; what only one of them has is of no influence."""
    for a, b in zip(found, wanted, strict=True):
        if a is None or b is None:
            continue
        if not a.is_floating_point():
            if not torch.equal(a, b):
                return False
        elif not bool((a - b).norm() <= _TOLERANCE[a.dtype] * b.norm() + 1e-12) and bool(b.isfinite().all()):
            return False
    return True
