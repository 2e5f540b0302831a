"""The fused scan as one operator of torch's."""

from __future__ import annotations

import pytest
import torch

from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.core.state import leaves, tree_map
from recurra.kernels import compiled
from recurra.kernels.dispatch import use
from recurra.kernels.fused import Fused


@pytest.mark.parametrize(
    "cell", [LSTMCell(3, 4), LSTMCell(3, 4, proj_size=2), GRUCell(3, 4, bias=False), ElmanCell(3, 4)]
)
@pytest.mark.parametrize("learned", [False, True])
def test_the_operator_obeys_torchs_rules(cell: Cell, learned: bool) -> None:
    kernel = cell.fused_kernel()
    assert isinstance(kernel, Fused)
    xs = torch.randn(3, 5, 3, requires_grad=True)
    state = [torch.randn_like(leaf).requires_grad_() for leaf in leaves(cell.initial_state(3))]
    initial = [torch.randn_like(leaf).requires_grad_(learned) for leaf in state]
    reset = torch.rand(3, 5) < 0.3
    arguments = ([xs, *kernel.weights], state, initial, torch.tensor([5, 0, 2]), reset, kernel.name, kernel.has_biases)
    torch.library.opcheck(
        torch.ops.recurra.fused_scan.default,
        (*arguments, False, learned),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_a_learned_initial_state_gets_its_gradient() -> None:
    cell = GRUCell(3, 4)
    kernel = cell.fused_kernel()
    assert isinstance(kernel, Fused)
    xs, reset = torch.randn(2, 5, 3), torch.tensor([[False, False, True, False, False]] * 2)
    found = []
    for scan in (compiled.scan, None):
        initial = torch.full((2, 4), 0.3, requires_grad=True)
        state = tree_map(torch.zeros_like, initial)
        if scan is None:
            with use("fused"):
                ys, _ = cell.scan(xs, state, None, reset, initial=initial)
        else:
            ys, _ = scan(kernel, xs, state, None, reset, initial, reverse=False)
        found += torch.autograd.grad(ys.square().sum(), [initial])
    torch.testing.assert_close(found[0], found[1])
    assert found[0].abs().max() > 0
