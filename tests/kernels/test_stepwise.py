"""Scans of a traced step against the plain loop: numbers, gradients, and everything a scan can be asked for.

But for the tests marked slow, the stages run as they were traced, without a compiler.
"""

from __future__ import annotations

import copy
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from recurra.cells import Cell, GRUCell, LSTMCell, Noise
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves, tree_map
from recurra.kernels import stepwise
from recurra.kernels.dispatch import use
from recurra.kernels.stepwise import Stepwise
from recurra.layers import Recurrent, RecurrentConfig

B, T, I, H = 5, 7, 3, 4  # noqa: E741 (the axes' names)
LENGTHS = torch.tensor([3, 7, 0, 1, 6])
RESET = torch.zeros(B, T, dtype=torch.bool)
for row, step in ((0, 1), (0, 5), (1, 0), (1, 3), (1, 4), (2, 2), (4, 5)):
    RESET[row, step] = True


class Own(Cell):
    """What most cells of a user's share."""

    def __init__(self, input_size: int = I, hidden_size: int = H, gates: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.randn(gates * hidden_size, input_size) * 0.5)
        self.weight_hh = nn.Parameter(torch.randn(gates * hidden_size, hidden_size) * 0.5)
        self.bias = nn.Parameter(torch.randn(gates * hidden_size) * 0.1)

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, self.hidden_size)


class Own4(Own):
    """An LSTM."""

    def __init__(self, input_size: int = I, hidden_size: int = H) -> None:
        super().__init__(input_size, hidden_size, 4)

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, self.hidden_size), self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        i, f, g, o = (x @ self.weight_ih.T + h @ self.weight_hh.T + self.bias).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class Nested(Own):
    """Submodules, a buffer, a nested state with a counter, an output that takes a product of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave, self.norm = nn.Linear(I, H), nn.Linear(H, H + 2), nn.LayerNorm(H)
        self.output_size = H + 2
        self.register_buffer("scale", torch.rand(H) + 0.5)
        self.keep = 0.9

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, H), (self.zeros(batch_size, 1) + 0.5, torch.zeros(batch_size, dtype=torch.int64))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, (level, count) = state
        late = (count > 2)[:, None]
        new = self.keep * h + torch.tanh(self.norm(self.enter(x).relu()) * self.scale + h @ self.weight_hh.T) * level
        new = torch.where(late, new * F.softplus(self.bias), new)
        return torch.sigmoid(self.leave(new)) * x.mean(1, keepdim=True), (
            new,
            (0.5 * level + 0.1 * x[:, :1], count + 1),
        )


class Columns(Own):
    """Batch as the last axis inside, and an output that is the old state."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(state, Tensor)
        new = torch.tanh(self.weight_ih @ x.T + self.weight_hh @ state.T + self.bias[:, None])
        return state, new.T


class Heads(Own):
    """Two heads by einsum; weight_hh's rows are shared by both; the output is the input."""

    def __init__(self) -> None:
        super().__init__()
        self.output_size = I

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(state, Tensor)
        blocks = self.weight_hh.view(2, 2, H)[:, :, :2]
        heads = torch.einsum("bki,kji->bkj", state.unflatten(1, (2, 2)), blocks).flatten(1)
        new = torch.tanh(heads + torch.einsum("bi,hi->bh", x, self.weight_ih))
        return x, new


class Plain(Own):
    """No state to speak of: the new one is the input's."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = x @ self.weight_ih.T
        return new * self.bias, new


def peephole() -> Cell:
    return LSTMCell(I, H, peephole=True, layer_norm=True, proj_size=2)


def normed() -> Cell:
    cell = Own4()
    return weight_norm(cell, "weight_hh")


CELLS: dict[str, Callable[[], Cell]] = {
    "lstm": Own4,
    "nested": Nested,
    "columns": Columns,
    "heads": Heads,
    "plain": Plain,
    "peephole": peephole,
    "gru": lambda: GRUCell(I, H, reset_after=False),
    "weight_norm": normed,
}
ASKED: dict[str, dict[str, Any]] = {
    "plainly": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": RESET},
    "all": {"lengths": LENGTHS, "reset": RESET, "reverse": True},
    "zoneout": {"lengths": LENGTHS, "noise": Noise(zoneout=0.4, training=True)},
    "expected zoneout": {"reset": RESET, "noise": Noise(zoneout=0.4), "reverse": True},
}


@pytest.fixture(autouse=True)
def _no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scans of the built-in cells are to come to the step, too."""
    for kind in (LSTMCell, GRUCell):
        for kernel in ("fused_kernel", "native_kernel"):
            monkeypatch.setattr(kind, kernel, getattr(Cell, kernel))
    yield


def make(name: str, dtype: torch.dtype = torch.float64) -> Cell:
    return CELLS[name]().to(dtype)


def traced(cell: Cell) -> Cell:
    """The same cell and weights, with its step traced but not compiled."""
    twin = copy.deepcopy(cell)
    twin._stepwise = Stepwise(compiler=False)
    return twin


def given(cell: Cell, num_rows: int = B) -> tuple[Tensor, State, State]:
    xs = torch.randn(num_rows, T, I, dtype=cell.first_weight().dtype)
    state, initial = (
        tree_map(
            lambda leaf: leaf + torch.randn_like(leaf) * 0.3 if leaf.is_floating_point() else leaf,
            cell.initial_state(num_rows),
        )
        for _ in range(2)
    )
    return xs, state, initial


def run(cell: Cell, xs: Tensor, state: State, initial: State, **asked: Any) -> list[Tensor | None]:
    """Outputs, last state and all gradients of a fixed sum of them."""
    torch.manual_seed(1)
    xs = xs.clone().requires_grad_()
    state, initial = (
        tree_map(lambda leaf: leaf.clone().requires_grad_(leaf.is_floating_point()), each) for each in (state, initial)
    )
    ys, after = cell.scan(xs, state, initial=initial, **asked)
    outputs = [ys, *leaves(after)]
    loss = sum(
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)).sum()
        for out in outputs
        if out.is_floating_point()
    )
    sources = [xs, *(leaf for each in (state, initial) for leaf in leaves(each) if leaf.requires_grad)]
    sources += [weight for weight in cell.parameters() if weight.requires_grad]
    return [*outputs, *torch.autograd.grad(loss, sources, allow_unused=True)]


def assert_same(found: list[Tensor | None], wanted: list[Tensor | None], tolerance: float = 1e-10) -> None:
    for a, b in zip(found, wanted, strict=True):
        a, b = (torch.zeros(()) if value is None else value for value in (a, b))
        if a.dim() == 0 or b.dim() == 0:  # no gradient is a gradient of zeros
            assert (a == 0).all() and (b == 0).all()
        else:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_same_as_the_loop(cell: Cell, twin: Cell, **asked: Any) -> None:
    values = given(cell)
    found = run(twin, *values, **asked)
    assert twin.last_path.name == "compiled", twin.last_path
    assert_same(found, run(cell, *values, **asked))


@pytest.mark.parametrize(
    ("name", "asked"), [(name, "all") for name in CELLS] + [("lstm", asked) for asked in ASKED if asked != "all"]
)
def test_a_traced_step_gives_the_numbers_and_gradients_of_the_loop(name: str, asked: str) -> None:
    cell = make(name)
    assert_same_as_the_loop(cell, traced(cell), **ASKED[asked])


@pytest.mark.parametrize("num_rows", [1, B])
def test_without_gradients_only_the_forward_is_traced(num_rows: int) -> None:
    cell = make("nested")
    twin = traced(cell)
    xs, state, _ = given(cell, num_rows)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            found, wanted = twin.scan(xs, state), cell.scan(xs, state)
            assert_same([found[0], *leaves(found[1])], [wanted[0], *leaves(wanted[1])])
    ((program),) = twin._stepwise._programs.values()
    assert set(program.stages.stages) <= {"before", "loop", "after"}


def test_frozen_weights_get_no_gradient_and_the_others_theirs() -> None:
    cell = make("nested")
    cell.enter.requires_grad_(False)
    cell.bias.requires_grad_(False)
    assert_same_as_the_loop(cell, traced(cell), lengths=LENGTHS)


def test_the_state_alone_may_learn() -> None:
    cell = make("lstm").requires_grad_(False)
    xs, state, _ = given(cell)
    found = []
    for each in (traced(cell), cell):
        own = tree_map(lambda leaf: leaf.clone().requires_grad_(), state)
        ys, _ = each.scan(xs, own)
        found.append([ys, *torch.autograd.grad(ys.square().sum(), list(leaves(own)))])
    assert_same(*found)


def test_gradients_of_gradients() -> None:
    cell = make("nested")
    xs, state, _ = given(cell)
    found = []
    for each in (traced(cell), cell):
        own = xs.clone().requires_grad_()
        ys, after = each.scan(own, state, LENGTHS)
        (first,) = torch.autograd.grad(ys.square().sum() + next(leaves(after)).sum(), own, create_graph=True)
        second = torch.autograd.grad(first.square().sum(), [own, *each.parameters()], allow_unused=True)
        found.append([first, *second])
    assert_same(*found)


def test_outputs_may_be_changed_in_place() -> None:
    cell = make("lstm")
    xs, found = given(cell)[0], []
    for each in (traced(cell), cell):
        ys, _ = each.scan(xs)
        ys.mul_(ys.detach().clone())
        found.append([ys, *torch.autograd.grad(ys.sum(), [*each.parameters()])])
    assert_same(*found)


def test_noise_on_the_weights_and_on_h() -> None:
    cell = make("gru")
    noise = Noise(
        hidden_mask=torch.bernoulli(torch.full((B, H), 0.5, dtype=torch.float64)) * 2,
        weight_mask={"weight_hh": torch.bernoulli(torch.full((3 * H, H), 0.5, dtype=torch.float64)) * 2},
    )
    twin = traced(cell)
    assert_same_as_the_loop(cell, twin, noise=noise)
    # the masks are no part of the traced form
    again = Noise(
        hidden_mask=noise.hidden_mask.flip(0), weight_mask={"weight_hh": noise.weight_mask["weight_hh"].flip(0)}
    )
    assert_same_as_the_loop(cell, twin, noise=again)
    assert len(twin._stepwise._programs) == 1


def test_a_number_of_the_cell_that_changes_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make("nested")
    twin = traced(cell)
    assert_same_as_the_loop(cell, twin)
    cell.keep = twin.keep = 0.5
    assert_same_as_the_loop(cell, twin)
    monkeypatch.setattr(stepwise, "_MOST_FORMS", 2)
    twin.keep = 0.6
    twin.scan(given(cell)[0])
    assert "changes from scan to scan" in twin.last_path.reason


def test_copies_are_traced_anew() -> None:
    cell = make("lstm").compile_step()
    cell._stepwise._programs["something"] = "a reason"
    for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert isinstance(twin._stepwise, Stepwise)
        assert twin._stepwise._programs == {}


def test_a_stack_takes_cells_of_ones_own() -> None:
    plain = Recurrent(I, RecurrentConfig(hidden_size=H, num_layers=2, bidirectional=True), Own4).double()
    stack = copy.deepcopy(plain)
    for cell in stack.cells:
        cell._stepwise = Stepwise(compiler=False)
    inputs = Sequences(torch.randn(B, T, I, dtype=torch.float64), LENGTHS, RESET)
    found = []
    for each in (stack, plain):
        output = each(inputs)
        found.append(
            [output.outputs.data, *torch.autograd.grad(output.outputs.data.square().sum(), [*each.parameters()])]
        )
    assert {path.name for path in stack.last_path} == {"compiled"}
    assert_same(*found)


class Noisy(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = F.dropout(x @ self.weight_ih.T + state, 0.5)
        return new, new


class InPlace(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = (x @ self.weight_ih.T).add_(state)
        return new, new


class Sized(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = x @ self.weight_ih.T + (state if x.shape[0] > 3 else -state)
        return new, new


class Branching(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = x @ self.weight_ih.T + (state if x.sum() > 0 else -state)
        return new, new


class Stranger(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = x @ self.weight_ih.T + state * OUTSIDE
        return new, new


class Mixing(Own):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        each = x @ self.weight_ih.T
        new = state + each - each.mean(0)
        return new, new


class Growing(Own):
    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, 1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = state + x @ self.weight_ih.T
        return new, new


OUTSIDE = torch.tensor(0.5)
REFUSED = {
    Noisy: "it draws random numbers",
    InPlace: "it changes a tensor in place",
    Sized: "it looks at the batch size",
    Branching: "it can't be traced",
    Stranger: "it can't be traced|neither a parameter nor a buffer",
    Mixing: "the rows of a batch see one another",
    Growing: "its state changes from",
}


@pytest.mark.parametrize(("kind", "reason"), REFUSED.items())
def test_what_cant_be_cut_runs_by_the_loop_and_says_why(kind: type[Own], reason: str) -> None:
    cell = kind()
    twin = traced(cell)
    xs = torch.randn(B, T, I)
    torch.manual_seed(0)
    found, _ = twin.scan(xs)
    assert twin.last_path.name == "reference"
    assert re.search(f"the step can't be compiled: .*({reason})", twin.last_path.reason), twin.last_path
    torch.manual_seed(0)
    assert torch.equal(found, cell.scan(xs)[0])


def test_where_a_traced_step_does_not_run() -> None:
    cell = traced(make("lstm", torch.float32))
    xs = torch.randn(B, T, I)
    cell.scan(xs[:, :1])
    assert "a single step" in cell.last_path.reason
    with torch.autocast("cpu", torch.bfloat16):
        cell.scan(xs)
    assert "autocast" in cell.last_path.reason
    torch.func.vmap(lambda each: cell.scan(each[None])[0])(xs)
    assert "torch.func" in cell.last_path.reason
    with use("reference"):
        cell.scan(xs)
    assert cell.last_path.reason == "asked for by recurra.kernels.dispatch.use('reference')"
    traced(make("lstm", torch.bfloat16)).scan(xs.bfloat16())
    half = traced(make("lstm", torch.bfloat16))
    half.scan(xs.bfloat16())
    assert "float32 and float64" in half.last_path.reason


def test_what_torch_cant_compile_runs_by_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("No working C++ compiler found\nand more")

    monkeypatch.setattr(torch._inductor, "compile", refuse)
    cell = make("lstm").compile_step()
    cell.scan(given(cell)[0])
    assert cell.last_path.name == "reference"
    assert cell.last_path.reason.endswith("torch can't compile the step: RuntimeError: No working C++ compiler found")


def test_what_torch_compiles_wrongly_runs_by_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_wrongly(graph: torch.fx.GraphModule, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return lambda *inputs: [output * 1.01 for output in graph(*inputs)]

    monkeypatch.setattr(torch._inductor, "compile", compile_wrongly)
    cell = make("lstm").compile_step()
    with torch.no_grad():
        cell.scan(given(cell)[0])
    assert cell.last_path.reason.endswith("torch compiled the step to something else")


needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


@needs_compiler
def test_a_compiled_step_takes_any_number_of_rows_and_steps() -> None:
    cell = make("lstm", torch.float32)
    twin = copy.deepcopy(cell).compile_step()
    for num_rows, num_steps in ((4, 6), (9, 3), (4, 4), (4, 5)):
        xs = torch.randn(num_rows, num_steps, I)
        with torch.inference_mode():
            found, wanted = twin.scan(xs), cell.scan(xs)
        assert twin.last_path.name == "compiled", twin.last_path
        assert_same([found[0], *found[1]], [wanted[0], *wanted[1]], 1e-5)
    torch.compiler.reset()  # what was compiled is gone, and is to be made in the same way


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("name", "asked"), [("lstm", "all"), ("lstm", "zoneout"), ("nested", "plainly"), ("peephole", "reset")]
)
def test_a_compiled_step_gives_the_numbers_and_gradients_of_the_loop(name: str, asked: str) -> None:
    cell = make(name)
    assert_same_as_the_loop(cell, copy.deepcopy(cell).compile_step(), **ASKED[asked])


@pytest.mark.slow
@needs_compiler
def test_one_row_and_many_and_threads() -> None:
    cell = make("lstm")
    twin = copy.deepcopy(cell).compile_step()
    for num_rows in (1, 2, 8, 1):
        values = given(cell, num_rows)
        assert_same(run(twin, *values), run(cell, *values))
        assert twin.last_path.name == "compiled"
    torch.set_num_threads(2)
    try:
        assert_same(run(twin, *values), run(cell, *values))
    finally:
        torch.set_num_threads(1)
