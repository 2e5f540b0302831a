"""Recurra's own kernel against the reference, and as a citizen of torch."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parametrizations, prune

import recurra.nn
from recurra.cells import CELLS, NO_NOISE, Cell, GRUCell, Noise
from recurra.core.errors import ShapeError
from recurra.core.state import State, leaves, tree_map
from recurra.kernels import extension
from recurra.kernels.dispatch import NATIVE, use
from recurra.kernels.extension import Inputs, Options

pytestmark = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)

SIZES = (1, 2, 3, 7, 8, 9, 13, 17, 33, 50, 64, 65)
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("elman", {}),
    ("elman", {"activation": "relu", "bias": False}),
    ("elman", {"activation": "sigmoid"}),
    ("gru", {}),
    ("gru", {"bias": False}),
    ("gru", {"layer_norm": True}),
    ("gru", {"reset_after": False}),
    ("gru", {"reset_after": False, "bias": False}),
    ("gru", {"reset_after": False, "layer_norm": True}),
    ("lstm", {}),
    ("lstm", {"bias": False}),
    ("lstm", {"peephole": True}),
    ("lstm", {"coupled": True}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"proj_size": True}),
    ("lstm", {"cell_clip": 0.4}),
    ("lstm", {"peephole": True, "coupled": True, "cell_clip": 0.4}),
    ("lstm", {"peephole": True, "proj_size": True, "bias": False}),
    ("lstm", {"layer_norm": True, "proj_size": True, "cell_clip": 0.4}),
    ("lstm", {"layer_norm": True, "coupled": True, "bias": False}),
    ("lstm", {"peephole": True, "coupled": True, "layer_norm": True, "proj_size": True, "cell_clip": 0.4}),
]
every_config = pytest.mark.parametrize(("kind", "options"), CONFIGS, ids=lambda v: v if isinstance(v, str) else str(v))
every_kind = pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _ in CONFIGS))


def make(kind: str, input_size: int, hidden_size: int, dtype: torch.dtype = torch.float64, **options: Any) -> Cell:
    """The cell with random values in every parameter, of a size that leaves the gates open."""
    if "proj_size" in options and options["proj_size"] is True:
        options["proj_size"] = max(hidden_size // 2, 1) if hidden_size > 1 else 0
    cell = CELLS[kind].Config(**options).build(input_size, hidden_size).to(dtype)
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            scale = weight.shape[1] ** -0.5 if weight.dim() == 2 else 0.5
            weight.copy_(torch.randn_like(weight) * scale + (1 if name in ("norm_ih", "norm_hh", "norm_c") else 0))
    return cell


class Case(NamedTuple):
    """What a scan is asked for."""

    xs: Tensor
    state: State
    lengths: Tensor | None
    reset: Tensor | None
    initial: State | None
    noise: Noise
    reverse: bool

    def to(self, dtype: torch.dtype) -> Case:
        mask = self.noise.hidden_mask
        noise = Noise(None if mask is None else mask.to(dtype), self.noise.zoneout, training=self.noise.training)
        initial = None if self.initial is None else tree_map(lambda leaf: leaf.to(dtype), self.initial)
        state = tree_map(lambda leaf: leaf.to(dtype), self.state)
        return self._replace(xs=self.xs.to(dtype), state=state, initial=initial, noise=noise)


def draw_sizes(seed: int, bound: int = 40_000) -> tuple[int, int, int, int]:
    """T, B, I, H, in all of which the scan stays quick."""
    chosen = random.Random(seed)
    while True:
        num_steps, batch_size, input_size, hidden_size = (chosen.choice(SIZES) for _ in range(4))
        if num_steps <= 17 and num_steps * batch_size * max(input_size, hidden_size) <= bound:
            return num_steps, batch_size, input_size, hidden_size


def draw_case(seed: int, cell: Cell, num_steps: int, batch_size: int) -> Case:
    """Every option in about half of the cases."""
    chosen = random.Random(seed)
    torch.manual_seed(seed)

    def maybe(value: Any, otherwise: Any = None) -> Any:
        return value if chosen.random() < 0.5 else otherwise

    like = cell.initial_state(batch_size)
    lengths = torch.randint(num_steps + 1, (batch_size,))
    mask = torch.bernoulli(torch.full((batch_size, cell.output_size), 0.5)) * 2
    zoneout = maybe(0.3 if isinstance(like, Tensor) else (0.3, 0.2), 0.0)
    return Case(
        torch.randn(batch_size, num_steps, cell.input_size, dtype=torch.float64),
        tree_map(torch.randn_like, like),
        maybe(lengths),
        maybe(torch.rand(batch_size, num_steps) < 0.3),
        maybe(tree_map(torch.randn_like, like)),
        Noise(maybe(mask.double()), zoneout, training=maybe(True, False)),
        maybe(True, False),
    )


def outputs_and_gradients(
    cell: Cell, case: Case, kernel: str, needed: str = "xs state initial weights"
) -> list[Tensor]:
    """ys, states, and the gradients of a fixed sum of them."""
    xs = case.xs.clone().requires_grad_("xs" in needed)
    state = tree_map(lambda leaf: leaf.clone().requires_grad_("state" in needed), case.state)
    initial = case.initial
    if initial is not None:
        initial = tree_map(lambda leaf: leaf.clone().requires_grad_("initial" in needed), initial)
    torch.manual_seed(11)
    with use(kernel):  # type: ignore[arg-type]
        ys, after = cell.scan(
            xs, state, case.lengths, case.reset, noise=case.noise, reverse=case.reverse, initial=initial
        )
    assert cell.last_path.name == kernel
    found = [ys, *leaves(after)]
    loss = sum((out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)).sum() for out in found)
    sources = [xs, *leaves(state), *(leaves(initial) if initial is not None else ()), *cell.parameters()]
    sources = [source for source in sources if source.requires_grad]
    gradients = torch.autograd.grad(loss, sources, allow_unused=True)
    return found + [torch.zeros_like(s) if g is None else g for s, g in zip(sources, gradients, strict=True)]


def assert_same(found: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-10) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture
def num_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# the numbers


@every_config
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_reference(kind: str, options: dict[str, Any], seed: int) -> None:
    num_steps, batch_size, input_size, hidden_size = draw_sizes(seed * 101 + CONFIGS.index((kind, options)))
    cell = make(kind, input_size, hidden_size, **options)
    case = draw_case(seed, cell, num_steps, batch_size)
    found, wanted = (outputs_and_gradients(cell, case, kernel) for kernel in ("native", "reference"))
    # cancellation in the layer norm of a few units
    assert_same(found, wanted, 1e-7 if options.get("layer_norm") and hidden_size < 4 else 1e-10)


@every_config
@pytest.mark.parametrize("seed", range(3))
def test_single_precision_is_as_good_as_it_can_be(kind: str, options: dict[str, Any], seed: int) -> None:
    num_steps, batch_size, input_size, hidden_size = draw_sizes(seed * 77 + CONFIGS.index((kind, options)))
    hidden_size = max(hidden_size, 3)
    if options.get("layer_norm"):
        # The layer norm of a few numbers, or of cells that are all clipped, divides by next to nothing, and that of
        # multiples of one vector has no derivative but rounding: no single precision is good there.
        input_size, hidden_size = max(input_size, 7), max(hidden_size, 17)
        options = {name: value for name, value in options.items() if name != "cell_clip"}
    cell = make(kind, input_size, hidden_size, **options)
    case = draw_case(seed, cell, num_steps, batch_size)
    single = copy.deepcopy(cell).float()
    found, plain = (outputs_and_gradients(single, case.to(torch.float32), kernel) for kernel in ("native", "reference"))
    for a, b, c in zip(found, plain, outputs_and_gradients(cell, case, "reference"), strict=True):
        assert (a.double() - c).norm() <= 1e-5 * c.norm() + 1e-6 + 2 * (b.double() - c).norm()


@every_kind
@pytest.mark.parametrize("hidden_size", [8, 130])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_any_number_of_threads(
    kind: str, hidden_size: int, batch_size: int, num_threads: Callable[[int], None]
) -> None:
    cell = make(kind, 9, hidden_size)
    case = draw_case(3, cell, 33, batch_size)._replace(
        lengths=torch.randint(34, (batch_size,)), reset=torch.rand(batch_size, 33) < 0.1
    )
    wanted = outputs_and_gradients(cell, case, "reference")
    for count in (1, 2, 3):
        num_threads(count)
        assert_same(outputs_and_gradients(cell, case, "native"), wanted)


def test_the_number_of_threads_may_change_before_backward(num_threads: Callable[[int], None]) -> None:
    for batch_size, before, after in ((7, 3, 1), (7, 1, 3), (1, 1, 2)):
        cell, xs = make("lstm", 9, 130), torch.randn(batch_size, 33, 9, dtype=torch.float64)
        gradients = []
        for counts in ((before, before), (before, after)):
            num_threads(counts[0])
            ys, _ = cell.scan(xs)
            num_threads(counts[1])
            gradients.append(torch.autograd.grad(ys.square().sum(), list(cell.parameters())))
        assert_same(list(gradients[0]), list(gradients[1]))


@every_config
def test_one_unit_and_one_step(kind: str, options: dict[str, Any]) -> None:
    for num_steps, batch_size, input_size, hidden_size in ((1, 1, 1, 1), (1, 1, 1, 2), (2, 1, 3, 1), (1, 5, 2, 9)):
        cell = make(kind, input_size, hidden_size, **options)
        for seed in range(3):
            case = draw_case(seed, cell, num_steps, batch_size)
            found, wanted = (outputs_and_gradients(cell, case, kernel) for kernel in ("native", "reference"))
            assert_same(found, wanted, 1e-6 if options.get("layer_norm") else 1e-10)


@every_config
def test_without_gradients_the_numbers_are_the_same(kind: str, options: dict[str, Any]) -> None:
    cell = make(kind, 13, 17, **options)
    for seed in range(3):
        case = draw_case(seed, cell, 9, 8)
        wanted = outputs_and_gradients(cell, case, "native")[: 1 + len(list(leaves(case.state)))]
        for mode in (torch.no_grad, torch.inference_mode):
            for _ in range(3):  # as such, packed, prepared
                torch.manual_seed(11)
                with mode():
                    ys, after = cell.scan(*case[:4], noise=case.noise, reverse=case.reverse, initial=case.initial)
                assert_same([ys, *leaves(after)], [leaf.detach() for leaf in wanted], 1e-12)


@every_kind
def test_what_is_not_finite_flows_through(kind: str) -> None:
    cell = make(kind, 3, 9)
    for value in (float("nan"), float("inf"), -float("inf")):
        xs = torch.randn(4, 6, 3, dtype=torch.float64)
        xs[1, 3, 0] = value
        results = []
        for kernel in ("native", "reference"):
            with use(kernel):  # type: ignore[arg-type]
                results.append(cell.scan(xs, None, torch.tensor([6, 5, 0, 3]))[0])
        assert_same([results[0].nan_to_num(7.0)], [results[1].nan_to_num(7.0)])
        assert torch.equal(results[0].isnan(), results[1].isnan())


@pytest.mark.parametrize("needed", ["xs", "state", "initial", "weights", "xs weights", "state initial"])
def test_only_what_is_needed_gets_a_gradient(needed: str) -> None:
    for kind, options in CONFIGS:
        cell = make(kind, 3, 8, **options).requires_grad_("weights" in needed)
        case = draw_case(5, cell, 5, 4)._replace(reset=torch.rand(4, 5) < 0.3)
        case = case._replace(initial=tree_map(torch.randn_like, case.state))
        found, wanted = (outputs_and_gradients(cell, case, kernel, needed) for kernel in ("native", "reference"))
        assert_same(found, wanted, 1e-9)


@every_config
def test_one_weight_alone(kind: str, options: dict[str, Any]) -> None:
    cell = make(kind, 3, 8, **options)
    xs = torch.randn(4, 5, 3, dtype=torch.float64)
    wanted = torch.autograd.grad(cell.scan(xs)[0].square().sum(), list(cell.parameters()))
    for index, weight in enumerate(cell.parameters()):
        cell.requires_grad_(False)
        weight.requires_grad_()
        (found,) = torch.autograd.grad(cell.scan(xs)[0].square().sum(), [weight])
        assert_same([found], [wanted[index]])


@pytest.mark.parametrize("part", [1, 2])
def test_a_loss_of_the_last_state_alone(part: int) -> None:
    cell, xs = make("lstm", 3, 8), torch.randn(4, 5, 3, dtype=torch.float64)
    found = []
    for kernel in ("native", "reference"):
        with use(kernel):  # type: ignore[arg-type]
            ys, state = cell.scan(xs)
        loss = [ys, *leaves(state)][part].square().sum()
        found.append(list(torch.autograd.grad(loss, list(cell.parameters()))))
    assert_same(*found)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_final_states_gradient_that_is_a_part_of_another(kind: str) -> None:
    cell, xs = make(kind, 3, 8), torch.randn(4, 5, 3, dtype=torch.float64)
    lengths = torch.tensor([5, 2, 3, 5])
    weights = torch.randn(4, 24, dtype=torch.float64)
    found = []
    for kernel in ("native", "reference"):
        with use(kernel):  # type: ignore[arg-type]
            _, state = cell(xs, None, lengths)
        both = torch.cat([*leaves(state), xs[:, 0]], 1)
        loss = (both * weights[:, : both.shape[1]]).sum()
        found.append(list(torch.autograd.grad(loss, list(cell.parameters()))))
    assert_same(*found)


@pytest.mark.parametrize(
    "noise", [NO_NOISE, Noise(torch.tensor([[2.0, 0, 2], [0, 2, 2]]).double(), 0.4, training=True)]
)
@every_config
def test_first_and_second_derivatives(kind: str, options: dict[str, Any], noise: Noise) -> None:
    if options.get("activation") == "relu" or options.get("proj_size"):
        pytest.skip("in the contract of the cells")
    cell = make(kind, 2, 3, **options)
    parameters = dict(cell.named_parameters())
    reset = torch.tensor([[False, True, False], [False, False, True]])

    def run(xs: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(5)
        given = dict(zip(parameters, weights, strict=True))
        with use("native"):
            ys, state = functional_call(cell, given, (xs, None, torch.tensor([3, 2]), reset), {"noise": noise})
        assert cell.last_path.name == "native"
        return ys, *leaves(state)

    sources = [torch.randn(2, 3, 2, dtype=torch.float64), *parameters.values()]
    sources = [source.detach().clone().requires_grad_() for source in sources]
    assert torch.autograd.gradcheck(run, sources, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, sources, fast_mode=True)


# memory


def layouts(xs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The same numbers, otherwise in memory."""
    batch_size, num_steps, size = xs.shape
    yield "time first", xs.transpose(0, 1).contiguous().transpose(0, 1)
    yield "features first", xs.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    yield "every second feature", torch.stack([xs, xs + 1], -1).flatten(2)[..., ::2]
    yield "a part of wider rows", torch.cat([xs + 1, xs, xs + 2], 2)[..., size : 2 * size]
    huge = torch.zeros(batch_size, num_steps, 5000, dtype=xs.dtype)
    huge[..., 17 : 17 + size] = xs
    yield "far apart", huge[..., 17 : 17 + size]
    yield "negated lazily", torch._neg_view(-xs)
    flat = torch.zeros(xs.numel() + 1, dtype=xs.dtype)
    flat[1:] = xs.flatten()
    yield "not aligned", flat[1:].view_as(xs)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_any_layout_of_the_inputs(kind: str, batch_size: int) -> None:
    cell = make(kind, 3, 8)
    base = torch.randn(batch_size, 6, 3, dtype=torch.float64)
    lengths = torch.tensor([6, 2, 0, 5])[:batch_size]
    for name, xs in layouts(base):
        assert torch.equal(xs, base), name
        results = []
        for given in (base, xs):
            own = given.detach().requires_grad_()
            ys, _ = cell.scan(own, None, lengths)
            assert cell.last_path == NATIVE
            results.append([ys, *torch.autograd.grad(ys.square().sum(), [own, *cell.parameters()])])
            with torch.no_grad():
                assert_same([cell.scan(given, None, lengths)[0]], [ys])
        assert_same(*results)


def test_repeated_and_overlapping_inputs() -> None:
    cell = make("gru", 3, 8)
    step, row, line = torch.randn(4, 1, 3), torch.randn(1, 6, 3), torch.randn(4, 8)
    for xs in (step.expand(4, 6, 3), row.expand(4, 6, 3), line.unfold(1, 3, 1)):
        given = xs.double() if xs.stride(1) == 1 else xs.to(torch.float64).expand(4, 6, 3)
        given = line.double().unfold(1, 3, 1) if xs.stride(1) == 1 else given
        wanted = cell.scan(given.contiguous())
        assert_same([cell.scan(given)[0]], [wanted[0]])
    xs = step.double().requires_grad_()
    (found,) = torch.autograd.grad(cell.scan(xs.expand(4, 6, 3))[0].sum(), xs)
    copied = step.double().repeat(1, 6, 1).requires_grad_()
    (wanted,) = torch.autograd.grad(cell.scan(copied)[0].sum(), copied)
    assert_same([found], [wanted.sum(1, keepdim=True)])


def test_any_layout_of_weights_states_masks_and_resets() -> None:
    cell = make("lstm", 3, 8)
    strided = {name: w.detach().t().contiguous().t() if w.dim() == 2 else w for name, w in cell.named_parameters()}
    xs, state = torch.randn(4, 6, 3).double(), tree_map(torch.randn_like, cell.initial_state(4))
    turned = tree_map(lambda leaf: leaf.t().contiguous().t(), state)
    reset, mask = torch.rand(6, 4) < 0.3, torch.rand(8).double()
    lengths = torch.tensor([[6, 0], [2, 0], [0, 0], [5, 0]])[:, 0]
    found = functional_call(cell, strided, (xs, turned, lengths, reset.t()), {"noise": Noise(mask)})
    wanted = cell.scan(
        xs, state, lengths.contiguous(), reset.t().contiguous(), noise=Noise(mask.expand(4, 8).contiguous())
    )
    assert_same([found[0], *found[1]], [wanted[0], *wanted[1]])


@pytest.mark.parametrize("form", ["sum", "mean", "one step", "broadcast", "negative"])
def test_any_layout_of_the_outputs_gradient(form: str) -> None:
    cell, xs = make("gru", 3, 8), torch.randn(4, 6, 3, dtype=torch.float64)
    factor = {
        "sum": torch.ones(()),
        "mean": torch.tensor(0.1),
        "one step": torch.ones(4, 1, 8),
        "broadcast": torch.randn(6, 1),
        "negative": -torch.ones(8),
    }[form].double()
    found = []
    for kernel in ("native", "reference"):
        with use(kernel):  # type: ignore[arg-type]
            ys, _ = cell.scan(xs)
        found.append(list(torch.autograd.grad(ys, list(cell.parameters()), factor.expand_as(ys))))
    assert_same(*found)


def test_nothing_shares_memory() -> None:
    cell = make("lstm", 3, 8)
    state = tree_map(torch.randn_like, cell.initial_state(4))
    for num_steps in (1, 5):
        for lengths in (None, torch.zeros(4, dtype=torch.long)):
            xs = torch.randn(4, num_steps, 3, dtype=torch.float64)
            ys, after = cell.scan(xs, state, lengths)
            tensors = [xs, ys, *state, *leaves(after)]
            assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


# autograd


def test_an_output_changed_in_place_is_noticed() -> None:
    cell = make("lstm", 3, 8)
    xs = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)
    ys, _ = cell.scan(xs)
    loss = ys.square().sum()
    ys.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", ["weight_hh", "weight_ih", "bias_ih"])
def test_a_weight_changed_in_place_is_noticed(name: str) -> None:
    cell = make("gru", 3, 8)
    ys, _ = cell.scan(torch.randn(4, 6, 3, dtype=torch.float64))
    with torch.no_grad():
        cell.get_parameter(name).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ys.sum().backward()


def test_a_final_state_may_be_changed_in_place() -> None:
    cell = make("lstm", 3, 8)
    ys, (h, c) = cell.scan(torch.randn(4, 6, 3, dtype=torch.float64))
    h.mul_(0.5)
    c.detach_()
    (ys.sum() + h.sum()).backward()


def test_the_graph_can_be_kept() -> None:
    cell, xs = make("lstm", 3, 8), torch.randn(4, 6, 3, dtype=torch.float64)
    ys, _ = cell.scan(xs)
    weights = list(cell.parameters())
    first = torch.autograd.grad(ys.square().sum(), weights, retain_graph=True)
    assert_same(list(torch.autograd.grad(ys.square().sum(), weights, retain_graph=True)), list(first), 0)
    ys.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        ys.sum().backward()


def test_the_initial_state_may_serve_twice() -> None:
    """As the state and as what resets return to: its gradient is the sum, in second derivatives too."""
    cell, xs = make("gru", 3, 4), torch.randn(2, 5, 3, dtype=torch.float64)
    reset = torch.tensor([[False, False, True, False, True], [False, True, False, False, False]])
    start = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    results = []
    for kernel in ("native", "reference"):
        with use(kernel):  # type: ignore[arg-type]
            ys, _ = cell.scan(xs, start, None, reset, initial=start)
        (first,) = torch.autograd.grad(ys.square().sum(), start, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), [start, *cell.parameters()])])
    assert_same(*results)


def test_hooks_on_saved_tensors_and_checkpointing() -> None:
    cell, noise = make("gru", 3, 8), Noise(zoneout=0.5, training=True)
    xs = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)

    def run(xs: Tensor) -> Tensor:
        return cell.scan(xs, noise=noise)[0]

    torch.manual_seed(2)
    wanted = torch.autograd.grad(run(xs).square().sum(), [xs, *cell.parameters()])
    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        ys = run(xs)
    assert_same(list(torch.autograd.grad(ys.square().sum(), [xs, *cell.parameters()])), list(wanted), 0)
    torch.manual_seed(2)
    ys = torch.utils.checkpoint.checkpoint(run, xs, use_reentrant=False)
    assert_same(list(torch.autograd.grad(ys.square().sum(), [xs, *cell.parameters()])), list(wanted), 0)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_a_jacobian_row_by_row_and_at_once() -> None:
    cell, xs = make("lstm", 2, 3), torch.randn(2, 3, 2, dtype=torch.float64)
    found = [
        torch.autograd.functional.jacobian(lambda xs: cell.scan(xs)[0], xs, vectorize=vectorize)
        for vectorize in (True, False)
    ]
    assert_same([found[0]], [found[1]])


def test_weights_that_torch_computes_for_each_call() -> None:
    for change in (parametrizations.weight_norm, prune.random_unstructured):
        cell = make("lstm", 3, 8)
        change(cell, name="weight_hh", **({"amount": 0.5} if change is prune.random_unstructured else {}))
        xs, results = torch.randn(4, 5, 3, dtype=torch.float64), []
        for kernel in ("native", "reference"):
            with use(kernel):  # type: ignore[arg-type]
                ys, _ = cell(xs)
            assert cell.last_path.name == kernel
            first = torch.autograd.grad(ys.square().sum(), list(cell.parameters()), create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in first), list(cell.parameters()))
            results.append([ys, *first, *second])
        assert_same(*results)


# vmap


def members(kind: str, count: int = 3) -> list[Cell]:
    return [make(kind, 3, 8) for _ in range(count)]


@every_kind
def test_vmap_over_rows(kind: str) -> None:
    cell = make(kind, 3, 8)
    xs = torch.randn(4, 5, 6, 3, dtype=torch.float64)  # (B, mapped, T, I)
    state = tree_map(torch.randn_like, cell.initial_state(20))
    state = tree_map(lambda leaf: leaf.reshape(5, 4, -1), state)
    lengths, reset = torch.randint(7, (5, 4)), torch.rand(4, 6) < 0.3

    def run(xs: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, ...]:
        ys, after = cell.scan(xs, state, lengths, reset)
        return ys, *leaves(after)

    found = vmap(run, in_dims=(1, 0, 0))(xs, state, lengths)
    assert cell.last_path == NATIVE
    calls = [run(xs[:, i], tree_map(lambda leaf, i=i: leaf[i], state), lengths[i]) for i in range(5)]
    wanted = [torch.stack(parts) for parts in zip(*calls, strict=True)]
    assert_same(list(found), wanted)
    weights = list(cell.parameters())
    assert_same(
        list(torch.autograd.grad(found[0].square().sum(), weights)),
        list(torch.autograd.grad(wanted[0].square().sum(), weights)),
    )


@every_kind
def test_vmap_over_weights_and_nested(kind: str) -> None:
    cells = members(kind)
    weights, _ = stack_module_state(cells)
    xs = torch.randn(2, 4, 6, 3, dtype=torch.float64)

    def run(weights: dict[str, Tensor], xs: Tensor) -> Tensor:
        return functional_call(cells[0], weights, (xs,))[0]

    found = vmap(vmap(run, in_dims=(None, 0)), in_dims=(0, None))(weights, xs)
    assert cells[0].last_path == NATIVE
    wanted = torch.stack([torch.stack([cell.scan(part)[0] for part in xs]) for cell in cells])
    assert_same([found], [wanted])
    gradients = torch.autograd.grad(found.square().sum(), list(weights.values()))
    for index, cell in enumerate(cells):
        own = torch.autograd.grad(wanted[index].square().sum(), list(cell.parameters()), retain_graph=True)
        assert_same([gradient[index] for gradient in gradients], list(own))


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_zoneout_under_vmap(randomness: str) -> None:
    cell, noise = make("gru", 3, 50), Noise(zoneout=0.5, training=True)
    xs = torch.randn(1, 4, 6, 3, dtype=torch.float64).expand(3, 4, 6, 3)
    found = vmap(lambda xs: cell.scan(xs, noise=noise)[0], randomness=randomness)(xs)
    assert cell.last_path == NATIVE
    assert torch.equal(found[0], found[1]) == (randomness == "same")
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda xs: cell.scan(xs, noise=noise)[0])(xs)


# torch.compile, torch.export, operators


def operator_arguments(cell: Cell, batch_size: int = 4, num_steps: int = 5, save: bool = True) -> tuple[Any, ...]:
    """Those of torch.ops.recurra.scan."""
    kernel = cell.native_kernel()
    assert not isinstance(kernel, str)
    xs = torch.randn(batch_size, num_steps, cell.input_size, requires_grad=True)
    like = leaves(cell.initial_state(batch_size))
    states = [torch.randn_like(leaf).requires_grad_() for leaf in like]
    inputs = Inputs(xs, *kernel.weights, *[*states, None][:2])
    return *inputs, *Options(kernel.kind, kernel.coupled, False, False, 0.0, 0.0, kernel.cell_clip), save


@every_config
@pytest.mark.parametrize("save", [True, False])
def test_the_operator_obeys_torchs_rules(kind: str, options: dict[str, Any], save: bool) -> None:
    # 16 units: the columns of what is saved are all written, so that torch may compare them.
    arguments = operator_arguments(
        make(kind, 3, 32 if options.get("proj_size") else 16, torch.float32, **options), save=save
    )
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    if options.get("layer_norm"):
        tests = tests[:3]
    torch.library.opcheck(torch.ops.recurra.scan.default, arguments, test_utils=tests)


def test_the_operator_obeys_torchs_rules_with_everything() -> None:
    arguments = operator_arguments(make("lstm", 3, 9, torch.float32, peephole=True))
    inputs, rest = Inputs(*arguments[: len(Inputs._fields)]), arguments[len(Inputs._fields) :]
    inputs = inputs._replace(
        h_initial=torch.randn(4, 9, requires_grad=True),
        c_initial=torch.randn(4, 9, requires_grad=True),
        mask=torch.rand(4, 9),
        lengths=torch.tensor([5, 0, 2, 3]),
        reset=torch.rand(4, 5) < 0.3,
        seed=torch.tensor(12345),
    )
    options = Options(*rest[:-1])._replace(draws=True, zoneout_h=0.3, zoneout_c=0.2, reverse=True)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.recurra.scan.default, (*inputs, *options, True), test_utils=tests)


@every_kind
def test_the_operators_backward_works_with_and_without_what_was_saved(kind: str) -> None:
    cell = make(kind, 3, 16, torch.float32)
    found = []
    for save in (True, False):
        torch.manual_seed(0)
        arguments = operator_arguments(cell, save=save)
        ys, h, *_ = torch.ops.recurra.scan.default(*arguments)
        sources = [tensor for tensor in arguments if isinstance(tensor, Tensor) and tensor.requires_grad]
        found.append([ys, *torch.autograd.grad(ys.square().sum() + h.sum(), sources)])
    assert_same(*found, 1e-6)
    ys = torch.ops.recurra.scan.default(*arguments)[0]
    (first,) = torch.autograd.grad(ys.square().sum(), arguments[0], create_graph=True)
    with pytest.raises(RuntimeError, match="has first derivatives only"):
        first.sum().backward()


@every_kind
@pytest.mark.parametrize(("num_steps", "batch_size"), [(0, 3), (3, 0), (0, 0)])
def test_the_operator_on_no_steps_or_rows(kind: str, num_steps: int, batch_size: int) -> None:
    cell = make(kind, 3, 8, torch.float32)
    arguments = operator_arguments(cell, batch_size, num_steps)
    ys, h, *_ = torch.ops.recurra.scan.default(*arguments)
    assert ys.shape == (num_steps, batch_size, 8)
    before = Inputs(*arguments[: len(Inputs._fields)]).h
    assert before is not None
    assert torch.equal(h, before)
    d_xs, d_h, d_weight = torch.autograd.grad(h.sum() + ys.sum(), [arguments[0], before, arguments[1]])
    assert d_xs.shape == arguments[0].shape
    assert (d_h == 1).all()
    assert (d_weight == 0).all()


@pytest.mark.parametrize("save", [True, False])
def test_the_operator_under_vmap(save: bool) -> None:
    cell = make("lstm", 3, 8, torch.float32)
    arguments = list(operator_arguments(cell, save=save))
    xs = torch.randn(6, 4, 5, 3)

    def run(xs: Tensor) -> tuple[Tensor, Tensor]:
        outputs = torch.ops.recurra.scan.default(xs, *arguments[1:])
        return outputs[0], outputs[2]

    found = vmap(run)(xs)
    wanted = [torch.stack(parts) for parts in zip(*map(run, xs), strict=True)]
    assert_same(list(found), wanted, 1e-5)
    ys = torch.ops.recurra.scan.default(*arguments)[0]
    directions = torch.randn(3, *ys.shape)
    sources = [arguments[0], arguments[1]]
    rows = vmap(lambda d: torch.autograd.grad(ys, sources, d, retain_graph=True))(directions)
    calls = [torch.autograd.grad(ys, sources, d, retain_graph=True) for d in directions]
    assert_same(list(rows), [torch.stack(parts) for parts in zip(*calls, strict=True)], 1e-5)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (lambda inputs: inputs._replace(weight_hh=inputs.weight_hh[:-1]), "weight_ih"),
        (lambda inputs: inputs._replace(weight_hh=inputs.weight_hh[:, :-1]), "`h`"),
        (lambda inputs: inputs._replace(weight_ih=inputs.weight_ih.double()), "weight_ih"),
        (lambda inputs: inputs._replace(bias_ih=inputs.bias_ih[:-1]), "bias_ih"),
        (lambda inputs: inputs._replace(h=inputs.h[:1]), "h"),
        (lambda inputs: inputs._replace(mask=torch.ones(3, 8)), "mask"),
        (lambda inputs: inputs._replace(reset=torch.zeros(4, 5)), "reset"),
        (lambda inputs: inputs._replace(lengths=torch.tensor([5, 6, 1, 1])), "lengths from 1 to 6"),
        (lambda inputs: inputs._replace(lengths=torch.tensor([5, -1, 1, 1])), "lengths from -1 to 5"),
        (lambda inputs: Inputs(*(t.bfloat16() if isinstance(t, Tensor) else t for t in inputs)), "float32 or float64"),
    ],
)
def test_the_operator_touches_no_memory_that_does_not_fit(fault: Callable[[Inputs], Inputs], name: str) -> None:
    arguments = operator_arguments(make("gru", 3, 8, torch.float32))
    count = len(Inputs._fields)
    with pytest.raises(ShapeError, match=name):
        torch.ops.recurra.scan.default(*fault(Inputs(*arguments[:count])), *arguments[count:])


@pytest.mark.parametrize(
    ("kind", "options"), [("gru", {"layer_norm": True}), ("lstm", {"peephole": True, "cell_clip": 1.0})]
)
def test_compiled_with_noise_for_any_rows_and_steps(kind: str, options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    cell = make(kind, 3, 8, **options)

    def run(xs: Tensor, mask: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        ys, state = cell.scan(xs, None, lengths, noise=Noise(mask, 0.3, training=True), reverse=True)
        return ys, *leaves(state)

    compiled = torch.compile(run, fullgraph=True, dynamic=True, backend="aot_eager")
    for index, (batch_size, num_steps) in enumerate(((4, 6), (5, 3), (2, 9))):
        xs = torch.randn(batch_size, num_steps, 3, dtype=torch.float64)
        mask, lengths = torch.rand(batch_size, 8).double(), torch.randint(num_steps + 1, (batch_size,))
        results = []
        with torch._dynamo.config.patch(error_on_recompile=index > 0):
            for function in (run, compiled):
                torch.manual_seed(3)
                outputs = function(xs, mask, lengths)
                results.append([*outputs, *torch.autograd.grad(outputs[0].square().sum(), list(cell.parameters()))])
        assert_same(*results)
    assert cell.last_path == NATIVE


@every_kind
def test_exported_for_any_rows_and_steps(kind: str) -> None:
    cell = make(kind, 3, 8, torch.float32)
    rows, steps = torch.export.Dim("rows"), torch.export.Dim("steps")
    program = torch.export.export(
        cell, (torch.randn(3, 5, 3),), {"lengths": torch.tensor([5, 2, 0])},
        dynamic_shapes={"xs": {0: rows, 1: steps}, "lengths": {0: rows}},
    )  # fmt: skip
    assert "torch.ops.recurra.scan.default" in program.graph_module.code
    module = program.module()
    for batch_size, num_steps in ((3, 5), (6, 11), (2, 2)):
        xs, lengths = torch.randn(batch_size, num_steps, 3), torch.randint(num_steps + 1, (batch_size,))
        found, wanted = module(xs, lengths=lengths), cell.scan(xs, None, lengths)
        assert_same([found[0], *leaves(found[1])], [wanted[0], *leaves(wanted[1])], 1e-6)
        ours = torch.autograd.grad(found[0].sum(), [module.get_parameter("weight_hh")])
        assert_same(list(ours), list(torch.autograd.grad(wanted[0].sum(), [cell.weight_hh])), 1e-5)


def test_modes_that_watch_operators_see_the_scan() -> None:
    cell, xs = make("gru", 3, 8, torch.float32), torch.randn(4, 5, 3)
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    wanted = cell.scan(xs)[0]
    with Watch():
        ys, _ = cell.scan(xs)
        ys.sum().backward()
    assert_same([ys], [wanted], 0)
    assert {"recurra.scan.default", "recurra.scan_backward.default"} <= set(seen)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert cell.scan(mode.from_tensor(xs))[0].shape == (4, 5, 8)
    fake = mode.from_tensor(xs)
    with pytest.raises(AssertionError), FakeTensorMode():
        cell.scan(fake)


# what is kept between calls


class Changed(NamedTuple):
    """A way to change weights, and whether torch's counter tells of it."""

    name: str
    change: Callable[[Cell], object]


def in_place(cell: Cell) -> None:
    with torch.no_grad():
        for weight in cell.parameters():
            weight.mul_(1.5)


def behind_torchs_back(cell: Cell) -> None:
    for weight in cell.parameters():
        weight.data.mul_(1.5)


def by_other_memory(cell: Cell) -> None:
    for weight in cell.parameters():
        weight.data = weight.data * 1.5


def twice_by_other_memory(cell: Cell) -> None:
    """The second tensors may get the addresses of the first."""
    for weight in cell.parameters():
        weight.data = weight.data * 3
    for weight in cell.parameters():
        weight.data = weight.data / 2


def by_loading(cell: Cell) -> None:
    cell.load_state_dict({name: weight * 1.5 for name, weight in cell.state_dict().items()})


def by_assigning(cell: Cell) -> None:
    cell.load_state_dict({name: weight * 1.5 for name, weight in cell.state_dict().items()}, assign=True)


def by_new_parameters(cell: Cell) -> None:
    for name, weight in list(cell.named_parameters()):
        setattr(cell, name, nn.Parameter(weight.detach() * 1.5))


def by_an_update(cell: Cell) -> None:
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
    with torch.enable_grad():
        cell.scan(torch.randn(2, 3, 3))[0].sum().backward()
    optimizer.step()


CHANGES = [
    in_place, behind_torchs_back, by_other_memory, twice_by_other_memory, by_loading, by_assigning, by_new_parameters,
    by_an_update,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_changed_weights_are_noticed(kind: str, change: Callable[[Cell], object]) -> None:
    cell = make(kind, 3, 50, torch.float32)
    xs = torch.randn(2, 1, 3)
    state = tree_map(torch.randn_like, cell.initial_state(2))
    for mode in (torch.no_grad, torch.inference_mode):
        for _ in range(2):
            with mode():
                for _ in range(3):
                    found = cell.scan(xs, state)
                with use("reference"):
                    wanted = cell.scan(xs, state)
            assert_same([found[0], *leaves(found[1])], [wanted[0], *leaves(wanted[1])], 1e-5)
            change(cell)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_streaming_through_the_drop_in_layers(kind: str) -> None:
    for options in ({}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}, {"num_layers": 2, "dropout": 0.5}):
        module = getattr(recurra.nn, kind)(3, 9, **options).eval()
        peer = getattr(nn, kind)(3, 9, **options).eval()
        peer.load_state_dict(module.state_dict())
        ours = theirs = peer(torch.randn(1, 2, 3))[1]
        with torch.inference_mode():
            for step in range(6):
                xs = torch.randn(1, 2, 3)
                ys, ours = module(xs, ours)
                wanted, theirs = peer(xs, theirs)
                torch.testing.assert_close(ys, wanted, rtol=1e-5, atol=1e-6)
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
                if step == 3:
                    for weight, other in zip(module.parameters(), peer.parameters(), strict=True):
                        other.mul_(1.5)
                        weight.data.mul_(1.5)
        assert {path.name for path in module.last_path} == {"native"}


def test_dropout_acts_without_gradients_too() -> None:
    module, hx = recurra.nn.GRU(3, 50, num_layers=2, dropout=0.5), torch.zeros(2, 2, 50)
    with torch.no_grad():
        outputs = [module(torch.ones(1, 2, 3), hx)[0] for _ in range(4)]
    assert not torch.equal(outputs[2], outputs[3])


def test_calls_that_differ_are_not_taken_for_one_another() -> None:
    cell = make("lstm", 3, 9, torch.float32)
    states = {size: tree_map(torch.randn_like, cell.initial_state(size)) for size in (1, 4)}
    chosen = random.Random(0)
    with torch.inference_mode():
        for _ in range(60):
            size, num_steps, reverse = chosen.choice((1, 4)), chosen.choice((1, 1, 3)), chosen.choice((False, True))
            xs = torch.randn(size, num_steps, 3)
            xs = xs if chosen.random() < 0.7 else xs.transpose(0, 1).contiguous().transpose(0, 1)
            lengths = chosen.choice((None, None, torch.full((size,), num_steps - 1)))
            with use("reference"):
                wanted = cell.scan(xs, states[size], lengths, reverse=reverse)
            for _ in range(chosen.choice((1, 3))):
                found = cell.scan(xs, states[size], lengths, reverse=reverse)
                assert_same([found[0], *found[1]], [wanted[0], *wanted[1]], 1e-5)


def test_a_state_that_does_not_fit_is_refused_while_streaming() -> None:
    cell, xs = make("lstm", 3, 9, torch.float32), torch.randn(2, 1, 3)
    state = cell.initial_state(2)
    assert isinstance(state, tuple)
    with torch.inference_mode():
        for _ in range(4):
            cell.scan(xs, state)
        for wrong in ((state[0], state[1][:1]), (state[0][:, :8], state[1]), (state[0], state[1].double()), state[0]):
            with pytest.raises(ShapeError):
                cell.scan(xs, wrong)
        with pytest.raises(ShapeError):
            cell.scan(xs.double(), state)
        cell.scan(xs, (state[0].t().contiguous().t(), state[1]))


def test_what_is_kept_is_not_saved_or_copied() -> None:
    cell, xs = make("gru", 3, 50, torch.float32), torch.randn(2, 1, 3)
    state, size = cell.initial_state(2), len(pickle.dumps(make("gru", 3, 50, torch.float32)))
    with torch.no_grad():
        for _ in range(4):
            wanted = cell.scan(xs, state)[0]
        assert cell._packing.has_call()
        assert abs(len(pickle.dumps(cell)) - size) < 200
        for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
            assert not twin._packing.has_call()
            assert_same([twin.scan(xs, state)[0]], [wanted], 0)
        assert set(cell.state_dict()) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
        cell.double()
        assert not cell._packing.has_call()


def test_weights_without_a_version_are_not_kept() -> None:
    with torch.inference_mode():
        cell, xs = GRUCell(3, 9), torch.randn(2, 1, 3)
        for _ in range(3):
            cell.scan(xs, cell.initial_state(2))
            cell.weight_hh.mul_(1.5)
            with use("reference"):
                wanted = cell.scan(xs)
            assert_same([cell.scan(xs)[0]], [wanted[0]], 1e-5)
        assert not cell._packing.has_call()


# processes and threads


def _child(cell: Cell, xs: Tensor, answers: Any) -> None:
    torch.set_num_threads(1)
    ys, _ = cell.scan(xs)
    answers.put([ys.detach().numpy(), *(g.numpy() for g in torch.autograd.grad(ys.sum(), list(cell.parameters())))])


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("count", [1, 2])
def test_a_forked_child_computes_the_same(count: int, num_threads: Callable[[int], None]) -> None:
    num_threads(count)
    cell, xs = make("lstm", 9, 130), torch.randn(4, 20, 9, dtype=torch.float64)
    ys, _ = cell.scan(xs)
    wanted = [ys, *torch.autograd.grad(ys.sum(), list(cell.parameters()))]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_child, args=(cell, xs, answers))
    child.start()
    found = answers.get(timeout=30)
    child.join(timeout=30)
    assert child.exitcode == 0
    assert_same([torch.from_numpy(array) for array in found], [leaf.detach() for leaf in wanted])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("owner", ["cell", "layer"])
def test_several_python_threads_at_once(owner: str, count: int, num_threads: Callable[[int], None]) -> None:
    num_threads(count)
    module: Any = (
        make("lstm", 9, 100, torch.float32) if owner == "cell" else recurra.nn.LSTM(9, 100, 2, batch_first=True)
    )
    inputs = [torch.randn(size, 12, 9) for size in (1, 3, 5, 7)]
    wanted = []
    for xs in inputs:
        ys = module(xs)[0]
        wanted.append([ys.detach(), *torch.autograd.grad(ys.square().sum(), list(module.parameters()))])
    faults: list[str] = []

    def work(index: int) -> None:
        torch.set_num_threads(count)
        try:
            for _ in range(10):
                ys = module(inputs[index])[0]
                found = [ys, *torch.autograd.grad(ys.square().sum(), list(module.parameters()))]
                assert_same(found, wanted[index], 1e-4)
                with torch.no_grad():
                    assert_same([module(inputs[index])[0]], [wanted[index][0]], 1e-4)
        except BaseException as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
