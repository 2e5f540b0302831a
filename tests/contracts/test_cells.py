"""The laws of a cell, for every cell, option and kernel: forward and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from recurra.cells import CELLS, Cell, LSTMCell, Noise
from recurra.core.errors import ShapeError
from recurra.core.state import State, concatenate, leaves, select, tree_map
from recurra.kernels import extension
from recurra.kernels.dispatch import use

B, T, I, H = 5, 7, 3, 4  # noqa: E741 (the axes' names)
LENGTHS = torch.tensor([3, 7, 0, 1, 6])
RESET = torch.zeros(B, T, dtype=torch.bool)
for row, step in ((0, 1), (0, 5), (1, 0), (1, 3), (1, 4), (2, 2), (4, 5)):
    RESET[row, step] = True


class Leaky(Cell):
    """A user's cell that writes only what it must, with a nested state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.randn(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.randn(hidden_size, hidden_size))

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, self.hidden_size), (self.zeros(batch_size, 1) + 0.5,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, (level,) = state
        new = 0.9 * h + 0.1 * torch.tanh(x @ self.weight_ih.T + h @ self.weight_hh.T) * level
        return 2 * new, (new, (0.5 * level + 0.1 * x.mean(1, keepdim=True),))


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "elman": [{}, {"activation": "relu"}, {"activation": "sigmoid"}, {"bias": False}],
    "lstm": [
        {},
        {"bias": False},
        {"proj_size": 2},
        {"peephole": True},
        {"coupled": True},
        {"layer_norm": True},
        {"cell_clip": 0.3},
        {"peephole": True, "coupled": True, "layer_norm": True, "proj_size": 2, "bias": False},
    ],
    "gru": [
        {},
        {"bias": False},
        {"reset_after": False},
        {"layer_norm": True},
        {"reset_after": False, "layer_norm": True},
    ],
    "orthogonal": [{}, {"bias": False}],
}
KINDS = [(kind, options) for kind, choices in OPTIONS.items() for options in choices]
BUILDERS: dict[str, Callable[[], Cell]] = {
    " ".join([kind, *(f"{name}={value}" for name, value in options.items())]): (
        lambda kind=kind, options=options: CELLS[kind].Config(**options).build(I, H)
    )
    for kind, options in KINDS
} | {"own": lambda: Leaky(I, H)}


def make(name: str, dtype: torch.dtype = torch.float64) -> Cell:
    """The cell with random values in every parameter, so that no term is zero."""
    cell = BUILDERS[name]().to(dtype)
    with torch.no_grad():
        for weight in cell.parameters():
            weight.copy_(torch.randn_like(weight) * 0.6)
    return cell


FUSED = [name for name in BUILDERS if not isinstance(BUILDERS[name]().fused_kernel(), str)]
NATIVE = [name for name in BUILDERS if not isinstance(BUILDERS[name]().native_kernel(), str)]
needs_native = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)
fast_kernels = [("fused", name) for name in FUSED] + [
    pytest.param("native", name, marks=needs_native) for name in NATIVE
]
every_cell = pytest.mark.parametrize("name", BUILDERS)
every_fast_kernel = pytest.mark.parametrize(("kernel", "name"), fast_kernels)
every_cell_and_kernel = pytest.mark.parametrize(
    ("kernel", "name"), [("reference", name) for name in BUILDERS] + fast_kernels
)


@pytest.fixture(autouse=True)
def _kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    parameters = getattr(request.node, "callspec", None)
    kernel = None if parameters is None else parameters.params.get("kernel")
    with nullcontext() if kernel is None else use(kernel):
        yield


def random_state(cell: Cell, batch_size: int = B) -> State:
    return tree_map(lambda leaf: torch.randn_like(leaf) * 0.5, cell.initial_state(batch_size))


def inputs(cell: Cell, batch_size: int = B, num_steps: int = T) -> Tensor:
    return torch.randn(batch_size, num_steps, I, dtype=next(cell.parameters()).dtype)


def flat(result: tuple[Tensor, State]) -> list[Tensor]:
    return [result[0], *leaves(result[1])]


def gradients(outputs: list[Tensor], cell: Cell, *sources: Tensor | State) -> list[Tensor]:
    """Of a fixed sum of the outputs, in the parameters and the sources."""
    loss = sum((out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)).sum() for out in outputs)
    wanted = [*cell.parameters(), *(leaf for source in sources for leaf in leaves(source))]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return [torch.zeros_like(a) if b is None else b for a, b in zip(wanted, found, strict=True)]


def tracked(value: State) -> State:
    return tree_map(lambda leaf: leaf.clone().requires_grad_(), value)


def assert_same(found: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-10) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_law(
    cell: Cell,
    xs: Tensor,
    state: State,
    first: Callable[..., Any],
    second: Callable[..., Any],
    tolerance: float = 1e-10,
) -> None:
    """`first` and `second` of (xs, state) have the same outputs, final states and gradients."""
    results = []
    for function in (first, second):
        own_xs, own_state = tracked(xs), tracked(state)
        outputs = flat(function(own_xs, own_state))
        results.append((outputs, gradients(outputs, cell, own_xs, own_state)))
    assert_same(results[1][0], results[0][0], tolerance)
    assert_same(results[1][1], results[0][1], tolerance * 10)


def rows_alone(cell: Cell, reverse: bool = False, reset: Tensor | None = None) -> Callable[..., Any]:
    """Each row by itself without padding, cut at its resets; padded again with zeros afterwards."""

    def run(xs: Tensor, state: State) -> tuple[Tensor, State]:
        all_ys, states = [], []
        for row in range(B):
            length = int(LENGTHS[row])
            borders = [] if reset is None else [t for t in range(length) if reset[row, t] and (t > 0 or not reverse)]
            cuts = [0, *(t for t in borders if t > 0), length]
            own = select(state, torch.tensor([row]))
            before = cell.initial_state(1) if 0 in borders and not reverse else own
            ys = [xs.new_zeros(1, T - length, cell.output_size)]
            pieces = list(pairwise(cuts))
            for start, end in reversed(pieces) if reverse else pieces:
                y, before = cell.scan(xs[row : row + 1, start:end], before, reverse=reverse)
                last = (start, end) == (pieces[0] if reverse else pieces[-1])
                ys.insert(0 if reverse else -1, y)
                before = before if last else cell.initial_state(1)
            states.append(before)
            all_ys.append(torch.cat(ys, 1))
        return torch.cat(all_ys), concatenate(states)

    return run


def test_every_cell_is_tested() -> None:
    assert set(OPTIONS) == set(CELLS)


@every_cell_and_kernel
def test_scan_equals_steps(name: str, kernel: str) -> None:
    cell = make(name)

    def steps(xs: Tensor, state: State) -> tuple[Tensor, State]:
        ys = []
        for t in range(T):
            y, state = cell.step(xs[:, t], state)
            ys.append(y)
        return torch.stack(ys, 1), state

    assert_law(cell, inputs(cell), random_state(cell), steps, cell.scan)
    assert cell.last_path.name == kernel


@every_cell_and_kernel
@pytest.mark.parametrize("reset", [None, RESET])
def test_whole_equals_split_with_the_state_carried(name: str, kernel: str, reset: Tensor | None) -> None:
    cell, cut = make(name), 4

    def part(wanted: slice) -> Tensor | None:
        return None if reset is None else reset[:, wanted]

    def split(xs: Tensor, state: State) -> tuple[Tensor, State]:
        first, state = cell.scan(xs[:, :cut], state, LENGTHS.clamp(max=cut), part(slice(None, cut)))
        second, state = cell.scan(xs[:, cut:], state, (LENGTHS - cut).clamp(min=0), part(slice(cut, None)))
        return torch.cat([first, second], 1), state

    assert_law(cell, inputs(cell), random_state(cell), lambda xs, s: cell.scan(xs, s, LENGTHS, reset), split)


@every_cell_and_kernel
@pytest.mark.parametrize("reverse", [False, True])
def test_a_row_alone_equals_the_row_in_a_padded_batch(name: str, kernel: str, reverse: bool) -> None:
    cell = make(name)
    assert_law(
        cell, inputs(cell), random_state(cell), rows_alone(cell, reverse),
        lambda xs, s: cell.scan(xs, s, LENGTHS, reverse=reverse),
    )  # fmt: skip


@every_cell_and_kernel
@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_equals_two_rows(name: str, kernel: str, reverse: bool) -> None:
    cell = make(name)
    assert_law(
        cell, inputs(cell), random_state(cell), rows_alone(cell, reverse, RESET),
        lambda xs, s: cell.scan(xs, s, LENGTHS, RESET, reverse=reverse),
    )  # fmt: skip


@every_cell_and_kernel
@pytest.mark.parametrize("reset", [None, RESET])
def test_padding_is_never_read(name: str, kernel: str, reset: Tensor | None) -> None:
    cell = make(name)
    real = torch.arange(T) < LENGTHS[:, None]
    xs = torch.where(real[..., None], inputs(cell), torch.nan)
    for reverse in (False, True):

        def run(xs: Tensor, state: State) -> Any:
            return cell.scan(xs, state, LENGTHS, reset, reverse=reverse)  # noqa: B023

        assert_law(cell, xs, random_state(cell), lambda xs, s: run(xs.nan_to_num(9.0), s), run)
    xs = tracked(xs)
    found = gradients(flat(cell.scan(xs, None, LENGTHS, reset)), cell, xs)[-1]
    assert found.isfinite().all()
    assert (found[~real] == 0).all()


@every_cell_and_kernel
def test_state_stands_still_and_output_is_zero_on_padding(name: str, kernel: str) -> None:
    cell = make(name)
    state = random_state(cell)
    ys, after = cell.scan(inputs(cell), state, LENGTHS, RESET)
    assert (ys[torch.arange(T) >= LENGTHS[:, None]] == 0).all()
    row = torch.tensor([2])
    assert_same(list(leaves(select(after, row))), list(leaves(select(state, row))), 0)


@every_cell_and_kernel
@pytest.mark.parametrize("reverse", [False, True])
def test_the_last_output_is_the_state_where_a_cell_says_so(name: str, kernel: str, reverse: bool) -> None:
    cell = make(name)
    assert cell.emits_state == (name != "own")
    noise = Noise(zoneout=(0.3,) * len(list(leaves(cell.initial_state(1)))))
    for options in ({}, {"noise": noise}) if cell.emits_state else ():
        ys, state = cell.scan(inputs(cell), random_state(cell), reverse=reverse, **options)
        torch.testing.assert_close(next(iter(leaves(state))), ys[:, 0 if reverse else -1], rtol=0, atol=0)


def test_a_step_of_ones_own_promises_nothing() -> None:
    class Doubled(LSTMCell):
        def recur(self, *arguments: Any) -> Any:
            h, state = super().recur(*arguments)
            return 2 * h, state

    assert LSTMCell.emits_state and not Doubled.emits_state


@every_cell_and_kernel
def test_nothing_leaks_from_the_future(name: str, kernel: str) -> None:
    cell, cut = make(name), 3
    for reverse in (False, True):
        xs = tracked(inputs(cell))
        ys, _ = cell.scan(xs, None, torch.full((B,), T), RESET, reverse=reverse)
        seen = ys[:, cut:] if reverse else ys[:, :cut]
        (found,) = torch.autograd.grad(seen.square().sum(), [xs])
        assert (found[:, :cut] if reverse else found[:, cut:]).abs().max() == 0
        assert (found[:, cut:] if reverse else found[:, :cut]).abs().max() > 0


@every_cell_and_kernel
def test_no_rows_and_no_steps(name: str, kernel: str) -> None:
    cell = make(name)
    for batch_size, num_steps in ((0, T), (B, 0), (0, 0)):
        state = random_state(cell, batch_size)
        lengths, reset = torch.zeros(batch_size, dtype=torch.long), torch.zeros(batch_size, num_steps, dtype=torch.bool)
        for arguments in ((state,), (state, lengths, reset)):
            ys, after = cell.scan(inputs(cell, batch_size, num_steps), *arguments)
            assert ys.shape == (batch_size, num_steps, cell.output_size)
            assert_same(list(leaves(after)), list(leaves(state)), 0)


@every_fast_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_the_fast_kernel_equals_the_reference(
    name: str, kernel: str, dtype: torch.dtype, reverse: bool, learned: bool
) -> None:
    cell = make(name, dtype)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    initial = random_state(cell) if learned else None
    for lengths in (None, LENGTHS, torch.full((B,), T)):
        for reset in (None, RESET):

            def run(xs: Tensor, state: State) -> Any:
                own = None if initial is None else tree_map(lambda a, b=state: a + next(leaves(b)).sum() * 0.1, initial)
                return cell.scan(xs, state, lengths, reset, reverse=reverse, initial=own)  # noqa: B023

            def reference(xs: Tensor, state: State) -> Any:
                with use("reference"):
                    return run(xs, state)

            assert_law(cell, inputs(cell), random_state(cell), reference, run, tolerance)
            assert cell.last_path.name == kernel


@every_cell_and_kernel
def test_first_and_second_derivatives(name: str, kernel: str) -> None:
    cell = make(name)
    parameters = {key: weight.detach() for key, weight in cell.named_parameters()}
    if "relu" in name:
        parameters = {key: weight + 0.05 for key, weight in parameters.items()}
    lengths, reset = torch.tensor([3, 2]), torch.tensor([[False, True, False], [False, False, True]])

    def run(xs: Tensor, state_leaf: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        state = tree_map(lambda leaf: leaf + state_leaf.mean(1, keepdim=True), cell.initial_state(2))
        result = functional_call(cell, dict(zip(parameters, weights, strict=True)), (xs, state, lengths, reset))
        return tuple(flat(result))

    sources = [
        tracked(inputs(cell, 2, 3)),
        tracked(torch.randn(2, 2, dtype=torch.float64)),
        *map(tracked, parameters.values()),
    ]
    assert torch.autograd.gradcheck(run, sources, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, sources, fast_mode=True)


@every_cell
def test_per_row_gradients_by_vmap(name: str) -> None:
    cell = make(name)
    parameters = {key: weight.detach() for key, weight in cell.named_parameters()}
    xs = inputs(cell)

    def loss(weights: dict[str, Tensor], row: Tensor, length: Tensor) -> Tensor:
        ys, state = functional_call(cell, weights, (row[None], None, length[None]))
        return ys.square().sum() + sum(leaf.sum() for leaf in leaves(state))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, xs, LENGTHS)
    assert cell.last_path.name == "reference"
    for row in range(B):
        wanted = torch.autograd.grad(
            loss(dict(cell.named_parameters()), xs[row], LENGTHS[row]), list(cell.parameters())
        )
        assert_same([found[key][row] for key in parameters], list(wanted))


@every_cell
def test_an_ensemble_by_vmap_over_weights(name: str) -> None:
    cells = [make(name) for _ in range(3)]
    stacked = {
        key: torch.stack([dict(c.named_parameters())[key].detach() for c in cells])
        for key, _ in cells[0].named_parameters()
    }
    xs = inputs(cells[0])
    found = vmap(lambda weights: functional_call(cells[0], weights, (xs, None, LENGTHS, RESET))[0])(stacked)
    for member, cell in zip(found, cells, strict=True):
        assert_same([member], [cell.scan(xs, None, LENGTHS, RESET)[0]])


@every_cell
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own rules use it
def test_forward_mode_derivatives(name: str) -> None:
    cell = make(name)
    xs, direction = inputs(cell), inputs(cell)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(xs, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(cell.scan(dual)[0]).tangent
    assert tangent is not None
    found = torch.func.jvp(lambda xs: cell.scan(xs)[0], (xs,), (direction,))[1]
    assert_same([found], [tangent])
    tiny = 1e-6
    slope = (cell.scan(xs + tiny * direction)[0] - cell.scan(xs - tiny * direction)[0]) / (2 * tiny)
    torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [("fused", "elman"), ("fused", "lstm"), ("fused", "lstm proj_size=2"), ("fused", "gru")]
    + [pytest.param("native", name, marks=needs_native) for name in NATIVE],
)
def test_compiled_equals_eager_without_compiling_each_length(name: str, kernel: str) -> None:
    torch._dynamo.reset()
    cell = make(name)
    compiled = torch.compile(cell, fullgraph=True, dynamic=True, backend="aot_eager")
    for num_steps in (6, 9, 8):
        xs, lengths = inputs(cell, B, num_steps), LENGTHS.clamp(max=num_steps)
        reset = RESET.repeat(1, 2)[:, :num_steps]
        with torch._dynamo.config.patch(error_on_recompile=num_steps != 6):
            assert_law(
                cell, xs, random_state(cell), lambda xs, s: cell.scan(xs, s, lengths, reset),  # noqa: B023
                lambda xs, s: compiled(xs, s, lengths, reset), 1e-9,  # noqa: B023
            )  # fmt: skip
    assert cell.last_path.name == kernel


@pytest.mark.parametrize("kernel", ["reference"])
@pytest.mark.parametrize("name", ["elman activation=sigmoid", "lstm peephole=True", "gru reset_after=False", "own"])
def test_the_compiled_reference_equals_eager(name: str, kernel: str) -> None:
    torch._dynamo.reset()
    cell = make(name)
    compiled = torch.compile(cell, fullgraph=True, backend="aot_eager")
    lengths, reset = LENGTHS.clamp(max=3), RESET[:, :3]
    assert_law(
        cell, inputs(cell, B, 3), random_state(cell), lambda xs, s: cell.scan(xs, s, lengths, reset),
        lambda xs, s: compiled(xs, s, lengths, reset), 1e-9,
    )  # fmt: skip


@every_cell
def test_what_does_not_fit_is_refused(name: str) -> None:
    cell = make(name)
    xs = inputs(cell)
    longer = LENGTHS.clone()
    longer[1] = T + 1
    class_name = type(cell).__name__
    for arguments, message in [
        ((xs[..., :2],), rf"{class_name}\(input_size=3\) got `xs` of shape \(5, 7, 2\): the last axis must be 3"),
        ((xs.transpose(1, 2),), r"xs.transpose\(1, 2\)"),
        ((xs[0],), r"three axes \(B, T, 3\) are wanted. Add the batch axis: xs\[None\]"),
        ((xs.float(),), "torch.float32, its weights are torch.float64. Convert one of them"),
        ((xs.long(),), "embed indices first"),
        ((xs.to("meta"),), "on meta, its weights are on cpu"),
        ((xs, torch.zeros(1)), r"got `state` of shape \(1,\)"),
        ((xs, random_state(cell, B + 1)), r"got `state` of shape .*6, .* is wanted"),
        ((xs, tree_map(torch.Tensor.float, random_state(cell))), "got `state` of torch.float32"),
        ((xs, None, LENGTHS[:2]), r"got `lengths` of shape \(2,\)"),
        ((xs, None, LENGTHS.double()), r"got `lengths` of torch.float64"),
        ((xs, None, longer), r"lengths\[1\] = 8 .* a length is 0..7"),
        ((xs, None, -longer), r"lengths\[0\] = -3"),
        ((xs, None, None, RESET[:, :2]), r"got `reset` of shape \(5, 2\)"),
        ((xs, None, None, RESET.long()), r"torch.int64 .* torch.bool flag"),
        ((nn.utils.rnn.pack_padded_sequence(xs, torch.tensor([7] * 5), batch_first=True),), "pad_packed_sequence"),
    ]:
        with pytest.raises(ShapeError, match=message):
            cell.scan(*arguments)


def test_lengths_may_be_of_any_integer_type() -> None:
    cell = LSTMCell(I, H)
    xs = inputs(cell)
    for dtype in (torch.int32, torch.uint8):
        assert_same(flat(cell.scan(xs, None, LENGTHS.to(dtype), RESET)), flat(cell.scan(xs, None, LENGTHS, RESET)), 0)
