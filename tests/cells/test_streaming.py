"""Streams: the numbers of a scan, for all sequences or some, without allocation."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from recurra.cells import CELLS, Cell, GRUCell, LSTMCell
from recurra.cells.streaming import Stream
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves, select, tree_map, tree_map2
from recurra.kernels import extension
from recurra.kernels.dispatch import use
from recurra.layers import Recurrent, RecurrentConfig

B, T, I, H = 5, 6, 3, 4  # noqa: E741 (the axes' names)
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *(("elman", {"activation": name}) for name in ("tanh", "relu", "sigmoid")),
    ("lstm", {}),
    ("lstm", {"bias": False, "proj_size": 2}),
    ("lstm", {"peephole": True, "coupled": True, "cell_clip": 0.3}),
    ("lstm", {"layer_norm": True, "proj_size": 2}),
    ("gru", {}),
    ("gru", {"reset_after": False}),
    ("gru", {"layer_norm": True}),
    ("gru", {"layer_norm": True, "reset_after": False}),
]
STACKS: dict[str, dict[str, Any]] = {
    "residual": {"num_layers": 3, "residual": True},
    "learned": {"num_layers": 2, "learn_initial_state": True, "last_size": 2},
    "zoneout": {"num_layers": 2, "dropout": {"zoneout_hidden": 0.2, "zoneout_cell": 0.4, "layer": 0.5, "weight": 0.5}},
    "gru": {"num_layers": 2, "cell": "gru", "residual": True, "dropout": {"zoneout_hidden": 0.3, "recurrent": 0.5}},
}
needs_extension = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)
PATHS = ["auto", "reference"]


class Swap(Cell):
    """A cell of a user's, whose step returns what it was given, in another order."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.scale = nn.Parameter(torch.ones(()))

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, H), (self.zeros(batch_size, H) + 1,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a, (b,) = state
        return a, (b, (a + self.scale * x.sum(1, keepdim=True),))


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    with nullcontext() if request.param == "auto" else use(request.param):
        yield request.param


def randomised(module: nn.Module, dtype: torch.dtype = torch.float64) -> Any:
    with torch.no_grad():
        for weight in module.to(dtype).parameters():
            weight.copy_(torch.randn_like(weight) * 0.6)
    return module


def make_stack(name: str) -> Recurrent:
    config = RecurrentConfig(hidden_size=H, **STACKS[name])  # type: ignore[arg-type]
    return randomised(Recurrent(H if config.residual else I, config))  # type: ignore[no-any-return]


def take_steps(stream: Stream, xs: Tensor) -> Tensor:
    return torch.stack([stream.step(x).clone() for x in xs.unbind(1)], 1)


def assert_equal(given: State, wanted: State, tolerance: float = 1e-12) -> None:
    tree_map2(lambda a, b: torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance) or a, given, wanted)


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_steps_are_a_scan(kind: str, options: dict[str, Any], path: str) -> None:
    cell, xs = randomised(CELLS[kind].Config(**options).build(I, H)), torch.randn(B, T, I, dtype=torch.float64)
    stream = cell.stream(B)
    assert bool(stream.obstacle) == (path == "reference" or bool(extension.MISSING))
    ys, state = cell.scan(xs)
    assert_equal(take_steps(stream, xs), ys)
    assert_equal(stream.state, state)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("training", [True, False])
def test_steps_are_a_stack_in_evaluation(name: str, training: bool, path: str) -> None:
    stack = make_stack(name).train(training)
    xs = torch.randn(B, T, stack.input_size, dtype=torch.float64)
    stream = stack.stream(B)
    ys = take_steps(stream, xs)
    assert stack.training is training
    output = stack.eval()(Sequences(xs))
    assert_equal(ys, output.outputs.data)
    assert_equal(stream.state, output.state)


@pytest.mark.parametrize("kind", CELLS)
def test_many_rows(kind: str) -> None:
    """The kernel takes them in groups."""
    cell = randomised(CELLS[kind](64, 64))
    xs = torch.randn(150, 2, 64, dtype=torch.float64)
    stream = cell.stream(150)
    ys, state = cell.scan(xs)
    assert_equal(take_steps(stream, xs), ys.detach())
    assert_equal(stream.state, tree_map(Tensor.detach, state))


def test_a_cell_of_ones_own() -> None:
    cell, xs = Swap(I, H), torch.randn(B, T, I)
    stream = cell.stream(B)
    assert "Swap" in stream.obstacle
    ys, state = cell.scan(xs)
    assert_equal(take_steps(stream, xs), ys.detach())
    assert_equal(stream.state, tree_map(Tensor.detach, state))


@pytest.mark.parametrize("make", [lambda: make_stack("learned"), lambda: Swap(I, H).double()], ids=["stack", "own"])
def test_some_rows(make: Callable[[], Any], path: str) -> None:
    """Each sequence goes at its own pace, in any order; it sees what it would see alone."""
    module = make()
    together, alone = module.stream(B), [module.stream(1) for _ in range(B)]
    mask = torch.tensor([True, False, False, True, True])
    choices: list[Any] = [torch.tensor([3, 0]), [4], mask, torch.arange(B).flip(0), torch.tensor([1, 3]).int(), []]
    for rows in choices:
        numbers = rows.nonzero()[:, 0].tolist() if rows is mask else list(map(int, rows))
        x = torch.randn(len(numbers), I, dtype=torch.float64)
        y = together.step(x, rows)
        assert y.shape == (len(numbers), together.output_size)
        for place, row in enumerate(numbers):
            assert_equal(y[place : place + 1], alone[row].step(x[place : place + 1]))
    for row in range(B):
        assert_equal(select(together.state, torch.tensor([row])), alone[row].state)


def test_reset_and_load(path: str) -> None:
    stack = make_stack("learned")
    xs = torch.randn(B, T, I, dtype=torch.float64)
    stream = stack.stream(B)
    first = take_steps(stream, xs)
    state = stream.state
    stream.reset(torch.tensor([1, 3]))
    again = take_steps(stream, xs)
    assert_equal(again[[1, 3]], first[[1, 3]])
    assert not torch.allclose(again[0], first[0])
    stream.load(state)
    assert_equal(stream.state, state)
    assert_equal(take_steps(stream, xs)[0], again[0])
    stream.reset(torch.tensor([True, False, False, False, False]))
    assert_equal(take_steps(stream, xs)[0], first[0])
    stream.reset()
    assert_equal(take_steps(stream, xs), first)


def test_state_is_a_copy(path: str) -> None:
    cell = randomised(LSTMCell(I, H))
    stream, x = cell.stream(B), torch.randn(B, I, dtype=torch.float64)
    given = tree_map(torch.randn_like, stream.state)
    before = tree_map(torch.clone, given)
    stream.load(given)
    taken = stream.state
    y = stream.step(x).clone()
    assert_equal(given, before, 0)
    assert_equal(taken, before, 0)
    assert_equal(y, cell.step(x, before)[0])


def test_any_layout_of_inputs() -> None:
    cell = randomised(CELLS["gru"](H, H))
    xs = torch.randn(T, H, B, dtype=torch.float64)
    stream = cell.stream(B)
    negated = torch._neg_view(torch.randn(B, H, dtype=torch.float64))
    for x in (xs[0].t(), xs.permute(2, 0, 1)[:, 1], xs[0, :, :1].t().expand(B, H), negated):
        before = stream.state
        assert_equal(stream.step(x), cell.step(x, before)[0])


def test_outputs_as_inputs() -> None:
    stack = randomised(Recurrent(H, RecurrentConfig(hidden_size=H, num_layers=2)))
    stream = stack.stream(B)
    y = given = torch.randn(B, H, dtype=torch.float64)
    state = stack.initial_state(B)
    for _ in range(3):
        y = stream.step(y)
        output = stack(Sequences(given[:, None]), state)
        given, state = output.outputs.data[:, 0], output.state
        assert_equal(y, given)
    some = torch.tensor([4, 0])
    output = stack(Sequences(given[1:3, None]), select(state, some))
    assert_equal(stream.step(y[1:3], some), output.outputs.data[:, 0])


def _in_place(cell: Cell) -> None:
    with torch.no_grad():
        cell.get_parameter("bias_hh").add_(1)


def _assign(cell: Cell) -> None:
    cell.load_state_dict({name: 0.5 * weight for name, weight in cell.state_dict().items()}, assign=True)


def _data(cell: Cell) -> None:
    cell.get_parameter("weight_hh").data = torch.randn(4 * H, H, dtype=torch.float64)


def _behind_torchs_back(cell: Cell) -> None:
    cell.get_parameter("weight_ih").data.mul_(2)


def _parametrise(cell: Cell) -> None:
    torch.nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    _in_place(cell)


def _hook(cell: Cell) -> None:
    cell.register_forward_hook(lambda module, inputs, result: (result[0] + 1, result[1]))
    _in_place(cell)


@pytest.mark.parametrize("change", [_in_place, _assign, _data, _behind_torchs_back, _parametrise, _hook])
def test_changed_parameters_are_obeyed(change: Callable[[Cell], None]) -> None:
    cell = randomised(LSTMCell(I, H))
    stream, xs = cell.stream(B), torch.randn(B, T, I, dtype=torch.float64)
    take_steps(stream, xs)
    change(cell)
    before = stream.state
    ys, after = cell(xs, before)
    assert_equal(take_steps(stream, xs), ys)
    assert_equal(stream.state, after)


def test_another_precision_is_refused() -> None:
    cell = LSTMCell(I, H)
    stream = cell.stream(B)
    cell.double()
    with pytest.raises(ShapeError, match="float64"):
        stream.step(torch.zeros(B, I))


@needs_extension
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_several_threads(kind: str) -> None:
    """Few rows share the units of wide cells, many rows do not: the weights are packed both ways."""
    size = 192
    cell = CELLS[kind](size, size)
    torch.set_num_threads(2)
    try:
        stream = cell.stream(B)
        for rows in (range(B), [3], range(B), [0, 4], [2]):
            x, index = torch.randn(len(rows), size), torch.tensor(list(rows))
            before = select(stream.state, index)
            y = stream.step(x, index)
            wanted, after = cell.step(x, before)
            assert_equal(y, wanted.detach(), 1e-5)
            assert_equal(select(stream.state, index), tree_map(Tensor.detach, after), 1e-5)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("make", [torch.inference_mode, torch.no_grad, nullcontext])
@pytest.mark.parametrize("step", [torch.inference_mode, nullcontext])
def test_inference_mode(
    make: Callable[[], AbstractContextManager[Any]], step: Callable[[], AbstractContextManager[Any]], path: str
) -> None:
    cell, x = randomised(LSTMCell(I, H)), torch.randn(B, I, dtype=torch.float64)
    with make():
        stream = cell.stream(B)
    for context in (step, nullcontext, step):
        before = stream.state
        with context():
            y = stream.step(x)
        assert not y.requires_grad
        assert_equal(y, cell.step(x, before)[0].detach())
        stream.reset([0])


@needs_extension
def test_overwritten_outputs_are_missed_by_backward() -> None:
    stream, head = LSTMCell(I, H).stream(B), nn.Linear(H, 1)
    loss = head(stream.step(torch.randn(B, I))).sum()
    stream.step(torch.randn(B, I))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@needs_extension
def test_nothing_is_allocated() -> None:
    stream = Recurrent(I, RecurrentConfig(hidden_size=H, num_layers=2, residual=True)).stream(B)
    x, few, rows = torch.randn(B, I), torch.randn(2, I), torch.tensor([4, 1])

    def run(count: int) -> None:
        for _ in range(count):
            stream.step(x)
            stream.step(few, rows)

    run(3)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(5)
    taken = [event for event in profiler.events() or () if event.self_cpu_memory_usage > 0]
    assert not taken
    tracemalloc.start()
    try:
        run(10)
        before = tracemalloc.get_traced_memory()[0]
        run(200)
        assert tracemalloc.get_traced_memory()[0] - before < 200
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("x", "rows", "message"),
    [
        (torch.zeros(B, I + 1), None, r"`x` of shape \(5, 4\): a tensor \(5, 3\) is wanted"),
        (torch.zeros(I), None, r"a tensor \(5, 3\) is wanted"),
        (torch.zeros(2, I), None, "rows="),
        (torch.zeros(B, I, dtype=torch.float64), None, r"float64, its weights are torch.float32"),
        (torch.zeros(B, I, dtype=torch.int64), None, "embed indices first"),
        (torch.zeros(3, I), [0, 1], r"one row a sequence is wanted, \(2, 3\)"),
        (torch.zeros(2, I), [0, B], r"row 5 in `rows`, which is not there: 0\.\.4"),
        (torch.zeros(2, I), [-1, 0], "row -1 in `rows`"),
        (torch.zeros(3, I), [2, 0, 2], "row 2 in `rows`, which is named twice"),
        (torch.zeros(2, I), [0.0, 1.0], r"torch.bool mask \(5,\)"),
        (torch.zeros(2, I), [True, True], r"torch.bool mask \(5,\)"),
        (torch.zeros(1, I), torch.tensor(0), "whole numbers"),
    ],
)
def test_errors(x: Tensor, rows: Any, message: str, path: str) -> None:
    stream = LSTMCell(I, H).stream(B)
    stream.step(torch.randn(B, I))
    before = stream.state
    with pytest.raises(ShapeError, match=message):
        stream.step(x, rows)
    assert_equal(stream.state, before, 0)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="bidirectional"):
        Recurrent(I, RecurrentConfig(bidirectional=True)).stream()
    with pytest.raises(ConfigError, match="batch_size=0"):
        LSTMCell(I, H).stream(0)
    stream = LSTMCell(I, H).stream(B)
    with pytest.raises(ShapeError, match="state"):
        stream.load(LSTMCell(I, H).initial_state(B + 1))
    with pytest.raises(ShapeError, match="row 5"):
        stream.reset([5])
    assert all(leaf.shape[0] == B for leaf in leaves(stream.state))


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    stack = make_stack("learned").to("cuda")
    stream, xs = stack.stream(B), torch.randn(B, T, I, dtype=torch.float64, device="cuda")
    assert "cuda" in stream.obstacle
    output = stack.eval()(Sequences(xs))
    assert_equal(take_steps(stream, xs), output.outputs.data)
    stream.reset(torch.tensor([4, 2]))
    fresh = stack(Sequences(xs[:2, :2])).outputs.data
    for step, rows in enumerate((torch.tensor([2, 4]), torch.tensor([0, 0, 1, 0, 1], device="cuda").bool())):
        assert_equal(stream.step(xs[:2, step], rows), fresh[:, step])


@pytest.mark.parametrize("cell", [LSTMCell(40, 70, proj_size=30), GRUCell(40, 70, reset_after=False)])
def test_bfloat16_rounds_the_matrices_and_nothing_else(cell: Cell) -> None:
    if extension.MISSING:
        pytest.skip(extension.MISSING)
    rounded = copy.deepcopy(cell)
    with torch.no_grad():
        for weight in rounded.parameters():
            if weight.dim() == 2:
                weight.copy_(weight.bfloat16())
    xs = torch.randn(3, 5, 40)
    stream, wanted = cell.stream(3, bfloat16=True), rounded.stream(3)
    for x in xs.unbind(1):
        torch.testing.assert_close(stream.step(x), wanted.step(x))
    torch.testing.assert_close(stream.state, wanted.state)


def test_bfloat16_that_can_not_be_had() -> None:
    with pytest.raises(ConfigError, match="bfloat16=True"):
        LSTMCell(3, 4, dtype=torch.float64).stream(bfloat16=True)
