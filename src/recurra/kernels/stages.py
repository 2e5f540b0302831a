"""One step of any cell, traced and cut into what needs the loop over time and what can be done for all steps at once.

A step and its backward are traced as one graph. What hangs on the state must run step after step; the rest need not:
an input product runs once over all T * B rows before the loop, and the weights' gradients once after it, as the rows
of a batch do not see one another. So a scan is three stages forward and three backward:

    before -> loop -> after          before_back -> loop_back -> after_back

Products, reductions and the like are moved out of the loops. Elementwise operations are cheaper inside, where a
compiler fuses them, and are computed again wherever they are wanted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import OpOverload

from recurra.kernels import rows_product

Step = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, Sequence[Tensor]]]
"""(weights, inputs of one step, leaves of the state) -> the output and the leaves of the new state."""

FORWARD = ("before", "loop", "after")
BACKWARD = ("before_back", "loop_back", "after_back")
_GIVEN, _ANYWHERE = "given", "anywhere"
_ROWS = 1031  # of the traced batch
_FREE = {
    torch.ops.aten._to_copy.default,
    torch.ops.aten._unsafe_view.default,
    torch.ops.aten.full.default,
    torch.ops.aten.full_like.default,
    torch.ops.aten.ones.default,
    torch.ops.aten.ones_like.default,
    torch.ops.aten.scalar_tensor.default,
    torch.ops.aten.zeros.default,
    torch.ops.aten.zeros_like.default,
}
"""Cheap enough to be computed again, without torch's tag for elementwise operations."""


class CannotTrace(Exception):
    """Why a step can't be cut into stages, as the end of a sentence."""


class Value(NamedTuple):
    """What passes between stages.

    Attributes:
        name: of the node.
        axis: which axis is the batch; None for what is the same for all rows, as a weight.
    """

    name: str
    axis: int | None


class Stage(NamedTuple):
    """A part of the graph.

    Attributes:
        module: takes `inputs`, in that order, and returns the list of `outputs`.
        inputs: from outside or from earlier stages, and a loop's carry where it is used.
        outputs: of a loop after its carry.
    """

    module: fx.GraphModule
    inputs: list[Value]
    outputs: list[Value]


class Stages(NamedTuple):
    """A step cut into stages.

    Attributes:
        stages: by the names of `FORWARD` and `BACKWARD`; one that has nothing to do is absent.
        weights: their names.
        inputs: names of what each step takes.
        state: names of the old state's leaves.
        y: the output.
        saved: names of what the backward stages take from the forward ones.
        grad_y: name of the output's gradient.
        grad_state: for each leaf, the name of the new state's gradient; None for a leaf of whole numbers.
        grad_weights: their gradients; None where there is none.
        grad_inputs: their gradients; None where there is none.
    """

    stages: dict[str, Stage]
    weights: list[str]
    inputs: list[str]
    state: list[str]
    y: Value
    saved: list[str]
    grad_y: str
    grad_state: list[str | None]
    grad_weights: list[Value | None]
    grad_inputs: list[Value | None]


def cut(
    step: Step,
    weights: Sequence[Tensor],
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    wanted: Sequence[bool] | None,
) -> Stages:
    """Trace `step` and cut it.

    Args:
        step: it must treat the rows of a batch independently.
        weights: what is the same at every step.
        inputs: of one step, (B, ...) each.
        state: the leaves, (B, ...) each.
        wanted: for each weight and then each input, whether its gradient is; None leaves the backward stages out.
    Raises:
        CannotTrace: `step` can't be traced, or is not fit to be cut.
    """
    sizes = len(weights), len(inputs), len(state)
    return _Cutter(_trace(step, weights, inputs, state, wanted), sizes, wanted is not None).cut()


def _trace(
    step: Step,
    weights: Sequence[Tensor],
    inputs: Sequence[Tensor],
    state: Sequence[Tensor],
    wanted: Sequence[bool] | None,
) -> fx.Graph:
    # Here, as they bring sympy, whose import takes a quarter of a second.
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    environment = ShapeEnv()
    mode = FakeTensorMode(shape_env=environment)

    def fake(value: Tensor, rows: bool) -> Tensor:
        shape = (_ROWS, *value.shape[1:]) if rows else value.shape
        sizes = [DimDynamic.DUCK if rows and axis == 0 else DimDynamic.STATIC for axis in range(len(shape))]
        like = torch.empty(shape, dtype=value.dtype, device=value.device)
        return mode.from_tensor(like, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))

    groups = [fake(value, False) for value in weights], [fake(value, True) for value in (*inputs, *state)]
    first, second = len(weights), len(weights) + len(inputs)
    third = second + len(state)

    def forward(*flat: Tensor) -> tuple[Tensor, ...]:
        old = flat[second:third]
        y, new = step(flat[:first], flat[first:second], old)
        for before, after in zip(old, new, strict=True):
            if before.shape != after.shape or before.dtype != after.dtype:
                shapes = f"{tuple(before.shape)} {before.dtype} to {tuple(after.shape)} {after.dtype}"
                raise CannotTrace(f"its state changes from {shapes}")
        return y, *new

    def both(*flat: Tensor) -> list[Tensor | None]:
        assert wanted is not None
        needs = [*wanted, *(leaf.is_floating_point() for leaf in state)]
        sources = [value.detach().requires_grad_(need) for value, need in zip(flat[:third], needs, strict=True)]
        with torch.enable_grad():
            outputs = forward(*sources)
            pairs = [pair for pair in zip(outputs, flat[third:], strict=True) if pair[0].requires_grad]
            tracked = [source for source in sources if source.requires_grad]
            found: Iterable[Tensor | None] = [None] * len(tracked)
            if pairs:
                outs, gradients = zip(*pairs, strict=True)
                found = torch.autograd.grad(outs, tracked, gradients, allow_unused=True)
            remaining = iter(found)
        return [*outputs, *(next(remaining) if need else None for need in needs)]

    flat = [*groups[0], *groups[1]]
    try:
        with mode, enable_python_dispatcher(), torch.no_grad():
            if wanted is None:
                graph = make_fx(forward)(*flat).graph
            else:
                gradients = [torch.empty_like(output) for output in forward(*flat)]
                graph = make_fx(both)(*flat, *gradients).graph
    except CannotTrace:
        raise
    except Exception as error:
        raise CannotTrace(f"it can't be traced: {first_line(error)}") from error
    if environment.guards:
        raise CannotTrace(f"it looks at the batch size ({environment.guards[0].expr})")
    for node in graph.nodes:
        if node.target in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code()
    return graph


def first_line(error: BaseException) -> str:
    """An error in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class _Cutter:
    """Gives every node a home among the stages, then takes each stage out of the graph, the last one first."""

    def __init__(self, graph: fx.Graph, sizes: tuple[int, int, int], back: bool) -> None:
        self.back = back
        self.nodes = [node for node in graph.nodes if node.op != "output"]
        places = [node for node in self.nodes if node.op == "placeholder"]
        first, second, third = sizes[0], sizes[0] + sizes[1], sum(sizes)
        self.weights, self.inputs, self.state = places[:first], places[first:second], places[second:third]
        self.gradients = places[third:]
        outputs = cast(Sequence[Any], graph.output_node().args[0])
        self.y, self.new, self.found = outputs[0], outputs[1 : 1 + sizes[2]], outputs[1 + sizes[2] :]
        self.batch = self.state[0].meta["val"].shape[0].node.expr
        self.kinds = self._kinds()
        self.home = self._homes()
        self.demands: dict[str, list[fx.Node]] = {name: [] for name in (*FORWARD, *BACKWARD)}
        self.stages: dict[str, Stage] = {}

    def cut(self) -> Stages:
        num_weights, num_given = len(self.weights), len(self.weights) + len(self.inputs)
        grads = self.found[:num_given]
        grad_state: list[str | None] = []
        if self.back:
            floating = [leaf.meta["val"].is_floating_point() for leaf in self.state]
            handed = [node for node, is_float in zip(self.gradients[1:], floating, strict=True) if is_float]
            carried = [node for node, is_float in zip(self.found[num_given:], floating, strict=True) if is_float]
            names = iter(handed)
            grad_state = [next(names).name if is_float else None for is_float in floating]
            self._demand("after_back", [node for node in grads if node is not None])
            self._extract("after_back")
            self._extract("loop_back", carried, handed)
            self._extract("before_back")
        taken = {value.name for stage in self.stages.values() for value in stage.inputs}
        self._demand(self.home[self.y] if self.home[self.y] in FORWARD else "loop", [self.y])
        self._extract("after")
        self._extract("loop", self.new, self.state)
        self._extract("before")
        made = {value.name for name in FORWARD if name in self.stages for value in self.stages[name].outputs}
        values = [None if node is None else self._value(node) for node in grads]
        return Stages(
            stages=self.stages,
            weights=[node.name for node in self.weights],
            inputs=[node.name for node in self.inputs],
            state=[node.name for node in self.state],
            y=self._value(self.y),
            saved=sorted(made & taken),
            grad_y=self.gradients[0].name if self.back else "",
            grad_state=grad_state,
            grad_weights=values[:num_weights],
            grad_inputs=values[num_weights:],
        )

    def _kinds(self) -> dict[fx.Node, frozenset[str]]:
        """What each node hangs on."""
        own = {node: "weights" for node in self.weights} | {node: "inputs" for node in self.inputs}
        own |= {node: "state" for node in self.state}
        own |= {node: "grad_state" if index else "grad_y" for index, node in enumerate(self.gradients)}
        kinds: dict[fx.Node, frozenset[str]] = {}
        for node in self.nodes:
            self._check(node)
            if node in own:
                kinds[node] = frozenset([own[node]])
            elif _is_size(node):
                kinds[node] = frozenset()
            else:
                kinds[node] = frozenset().union(*(kinds[source] for source in node.all_input_nodes))
        return kinds

    def _check(self, node: fx.Node) -> None:
        if node.op == "get_attr":
            raise CannotTrace("it uses a tensor that is neither a parameter nor a buffer of the cell")
        if isinstance(node.target, OpOverload):
            if torch.Tag.nondeterministic_seeded in node.target.tags:
                raise CannotTrace(f"it draws random numbers ({node.target})")
            if node.target._schema.is_mutable:
                raise CannotTrace(f"it changes a tensor in place ({node.target})")

    def _homes(self) -> dict[fx.Node, str]:
        carried, shown = _ancestors(self.new), _ancestors([self.y])
        carried_back = _ancestors([node for node in self.found[len(self.weights) + len(self.inputs) :] if node])
        tail = [node for node in shown - carried if "state" in self.kinds[node]]
        tail_home = "loop" if all(self._is_light(node) for node in tail) else "after"
        home: dict[fx.Node, str] = {}
        for node in self.nodes:
            kinds, light = self.kinds[node], self._is_light(node)
            if node.op == "placeholder":
                home[node] = "loop" if "state" in kinds else "loop_back" if "grad_state" in kinds else _GIVEN
            elif node.target is operator.getitem and not _is_view(node.args[0]):
                home[node] = home[node.args[0]]
            elif _is_view(node) or _is_size(node):
                home[node] = _ANYWHERE
            elif "grad_state" in kinds:
                home[node] = "loop_back" if node in carried_back else "after_back"
            elif "grad_y" in kinds:
                home[node] = _ANYWHERE if light else "before_back" if node in carried_back else "after_back"
            elif "state" in kinds:
                others = _ANYWHERE if light and node not in shown else tail_home
                home[node] = "loop" if node in carried else others
            elif "inputs" in kinds or self._axes(node):
                home[node] = _ANYWHERE if light else "before"
            else:
                home[node] = "before"
        return home

    def _is_light(self, node: fx.Node) -> bool:
        if node.op == "placeholder" or _is_view(node) or _is_size(node) or node.target in _FREE:
            return True
        return isinstance(node.target, OpOverload) and torch.Tag.pointwise in node.target.tags

    def _demand(self, stage: str, nodes: Iterable[fx.Node]) -> None:
        self.demands[stage] += [node for node in dict.fromkeys(nodes) if node not in self.demands[stage]]

    def _extract(self, name: str, carried: Sequence[fx.Node | None] = (), carry: Sequence[fx.Node] = ()) -> None:
        """Take a stage out of the graph, and demand what it takes of the stages before it.

        Args:
            name: of the stage.
            carried: of a loop, what it hands to the next step; None for a gradient that is zero.
            carry: of a loop, what it is handed.
        """
        outputs = [*carried, *self.demands[name]]
        if not outputs:
            return
        inputs, inside = self._needs(name, outputs)
        inputs |= {old for old, new in zip(carry, carried, strict=False) if new is None}
        taken = [node for node in self.nodes if node in inputs]
        for node in taken:
            if node not in carry and self.home[node] in self.demands:
                self._demand(self.home[node], [node])
        values = [self._value(node) for node in taken]
        graph = fx.Graph()
        copies = {node: graph.placeholder(node.name) for node in taken}
        for node, copy in copies.items():
            copy.meta = node.meta
        rows = [(copies[node], value.axis) for node, value in zip(taken, values, strict=True) if value.axis is not None]
        for node in self.nodes:
            if node in inside and _reads_size(node):
                if not rows:
                    raise CannotTrace("the batch size is asked for where there is no batch")
                copies[node] = graph.call_function(torch.ops.aten.sym_size.int, rows[0])
            elif node in inside:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        results = []
        for index, node in enumerate(outputs):
            zero = (copies[carry[index]],) if node is None else ()
            results.append(graph.call_function(torch.ops.aten.zeros_like.default, zero) if zero else copies[node])
        graph.output(results)
        if name not in ("loop", "loop_back"):
            _use_rows_product(graph)
        emitted = [self._value(node) for node in self.demands[name]]
        self.stages[name] = Stage(fx.GraphModule(torch.nn.Module(), graph), values, emitted)

    def _needs(self, name: str, outputs: Iterable[fx.Node | None]) -> tuple[set[fx.Node], set[fx.Node]]:
        """What a stage takes, and what it computes."""
        inputs: set[fx.Node] = set()
        inside: set[fx.Node] = set()
        stack = [node for node in outputs if node is not None]
        while stack:
            node = stack.pop()
            if node in inputs or node in inside:
                continue
            if node.op == "placeholder" or (self.home[node] not in (name, _ANYWHERE) and self._can_cross(node)):
                inputs.add(node)
            else:
                inside.add(node)
                stack += [] if _reads_size(node) else node.all_input_nodes
        return inputs, inside

    def _can_cross(self, node: fx.Node) -> bool:
        """Whether a stage may take it from another; a sum over one step's rows is to become one over all rows."""
        return self.kinds[node] <= {"weights"} or bool(self._axes(node))

    def _axes(self, node: fx.Node) -> list[int]:
        """The axes whose size hangs on that of the batch."""
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return []
        return [axis for axis, size in enumerate(value.shape) if not isinstance(size, int)]

    def _value(self, node: fx.Node) -> Value:
        axes = self._axes(node)
        shape = node.meta["val"].shape
        if axes and (len(axes) > 1 or shape[axes[0]].node.expr != self.batch):
            raise CannotTrace(f"the rows of the batch are no axis of their own in {tuple(shape)} ({node.target})")
        return Value(node.name, axes[0] if axes else None)


def _ancestors(nodes: Iterable[fx.Node | None]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    stack = [node for node in nodes if node is not None]
    while stack:
        node = stack.pop()
        if node not in found and not _is_size(node):
            found.add(node)
            stack += node.all_input_nodes
    return found


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymInt | torch.SymFloat | torch.SymBool)


def _reads_size(node: fx.Node) -> bool:
    """Whether a size is read off a tensor, and so is the batch's; else it is computed of other sizes."""
    return _is_size(node) and not all(_is_size(source) for source in node.all_input_nodes)


def _is_view(node: Any) -> bool:
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return _is_view(node.args[0])
    if node.target is torch.ops.aten._unsafe_view.default:
        return True
    if not isinstance(node.target, OpOverload):
        return False
    return any(out.alias_info is not None for out in node.target._schema.returns)


def _use_rows_product(graph: fx.Graph) -> None:
    for node in graph.nodes:
        if node.target is torch.ops.aten.mm.default:
            node.target, node.args = rows_product.OPERATOR, (*node.args, None)
        elif node.target is torch.ops.aten.addmm.default and not node.kwargs and node.args[0].meta["val"].dim() == 1:
            node.target, node.args = rows_product.OPERATOR, (*node.args[1:], node.args[0])
