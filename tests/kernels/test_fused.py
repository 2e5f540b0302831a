"""What only the fused kernel has to prove: the contract of the cells holds the rest."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.core.state import leaves, tree_map
from recurra.kernels.blanks import Spread
from recurra.kernels.dispatch import use
from recurra.kernels.pieces import Pieces

CELLS = [
    LSTMCell(3, 4),
    GRUCell(3, 4),
    GRUCell(3, 4, bias=False),
    ElmanCell(3, 4),
    ElmanCell(3, 4, activation="relu"),
    LSTMCell(3, 4, proj_size=2),
]


@pytest.fixture(autouse=True)
def _fused() -> Iterator[None]:
    with use("fused"):
        yield


def compare(cell: Cell, xs: Tensor, *arguments: Tensor | None, initial: Tensor | None = None, tolerance: float) -> None:
    found, wanted = [], []
    for results, kernel in ((found, "fused"), (wanted, "reference")):
        own = xs.clone().requires_grad_()
        fresh = None if initial is None else tree_map(lambda leaf: leaf + initial, cell.initial_state(len(xs)))
        with use(kernel):  # type: ignore[arg-type]
            ys, state = cell.scan(own, None, *arguments, initial=fresh)
        loss = ys.square().sum() + sum(leaf.sum() for leaf in leaves(state))
        results += [ys, *leaves(state), *torch.autograd.grad(loss, [own, *cell.parameters()])]
        assert cell.last_path.name == kernel
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("initial", [None, torch.tensor(0.3)])
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_resets_of_any_density(cell: Cell, initial: Tensor | None, density: float) -> None:
    xs, reset = torch.randn(6, 40, 3), torch.rand(6, 40) < density
    # A relu network starts from the identity, so that its numbers grow and roundings add up.
    tolerance = 1e-4 if getattr(cell, "activation_name", "") == "relu" else 2e-5
    compare(cell, xs, None, reset, initial=initial, tolerance=tolerance)
    compare(cell, xs, torch.tensor([40, 1, 0, 17, 33, 2]), reset, initial=initial, tolerance=tolerance)


def test_pieces_of_very_different_lengths_run_in_groups() -> None:
    reset = torch.zeros(6, 40, dtype=torch.bool)
    reset[1:] = True
    pieces = Pieces.cut(reset, None)
    assert [group.num_steps for group in pieces.groups] == [1, 40]
    compare(ElmanCell(3, 4), torch.randn(6, 40, 3), None, reset, tolerance=2e-5)


def test_blank_steps_stand_before_each_reset_but_those_at_the_start() -> None:
    reset = torch.tensor([[True, False, True, True], [False, True, False, True]])
    rows = Spread.before(reset, torch.tensor([4, 3]))
    assert rows.lengths.tolist() == [6, 4]
    xs = torch.arange(1.0, 9.0).reshape(2, 4, 1)
    assert rows.spread(xs)[..., 0].tolist() == [[1, 2, 0, 3, 0, 4], [5, 0, 6, 7, 0, 0]]
    assert rows.blank.tolist() == [[False, False, True, False, True, False], [False, True, False, False, False, False]]
    assert rows.gather(rows.spread(xs))[..., 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]


@pytest.mark.parametrize("cell", [LSTMCell(3, 4), GRUCell(3, 4), ElmanCell(3, 4, activation="relu")])
def test_a_reset_forgets_exactly(cell: Cell) -> None:
    xs = torch.randn(1, 6, 3)
    reset = torch.zeros(1, 6, dtype=torch.bool)
    reset[:, 4] = True
    changed = xs.clone()
    changed[:, :4] += 100
    assert torch.equal(cell.scan(xs, None, None, reset)[0][:, 4:], cell.scan(changed, None, None, reset)[0][:, 4:])


def test_the_cell_state_of_an_lstm_is_carried_over_padding_exactly() -> None:
    cell = LSTMCell(3, 4)
    state = (torch.randn(2, 4), 50 * torch.randn(2, 4))
    _, (h, c) = cell.scan(torch.randn(2, 300, 3), state, torch.tensor([0, 300]))
    assert torch.equal(h[0], state[0][0])
    assert torch.equal(c[0], state[1][0])


def test_a_relu_network_does_not_explode_on_padding() -> None:
    cell = ElmanCell(3, 4, activation="relu")
    with torch.no_grad():
        cell.weight_hh.fill_(9.0)
    xs, reset = torch.rand(2, 300, 3), torch.zeros(2, 300, dtype=torch.bool)
    reset[:, 1] = True
    for lengths in (torch.tensor([3, 2]), torch.tensor([0, 4])):
        ys, h = cell.scan(xs, None, lengths, reset)
        gradients = torch.autograd.grad(ys.sum() + h.sum(), list(cell.parameters()))
        assert all(value.isfinite().all() for value in (ys, h, *gradients))


@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_in_single_precision(cell: Cell) -> None:
    xs, lengths = torch.randn(3, 6, 3), torch.tensor([4, 6, 0])
    reset = torch.zeros(3, 6, dtype=torch.bool)
    reset[1, 3] = True
    results = []
    for dtype in (torch.float32, torch.float64):
        cell = cell.to(dtype)
        own = xs.to(dtype).requires_grad_()
        sources = [own, *cell.parameters()]
        first = torch.autograd.grad(cell.scan(own, None, lengths, reset)[0].square().sum(), sources, create_graph=True)
        results.append(torch.autograd.grad(sum(g.square().sum() for g in first), sources))
    cell.to(torch.float32)
    for single, double in zip(*results, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_in_eval_mode(cell: Cell) -> None:
    xs = torch.randn(2, 5, 3, requires_grad=True)
    cell.eval().scan(xs)[0].sum().backward()
    assert xs.grad is not None
    assert xs.grad.abs().max() > 0


@pytest.mark.gpu
@pytest.mark.parametrize("cell", CELLS)
def test_on_a_gpu(cell: Cell) -> None:
    cell = copy.deepcopy(cell).to("cuda", torch.float64)
    xs = torch.randn(4, 9, 3, dtype=torch.float64, device="cuda")
    reset = torch.rand(4, 9, device="cuda") < 0.2
    for lengths in (None, torch.tensor([9, 0, 3, 5]), torch.tensor([9, 0, 3, 5], device="cuda")):
        compare(cell, xs, lengths, reset, tolerance=1e-8)
        compare(cell, xs, lengths, None, tolerance=1e-8)
