"""The cells against torch.nn on copied weights: outputs, states and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.cells import CELLS, Cell
from recurra.core.state import State, leaves
from recurra.kernels import extension
from recurra.kernels.dispatch import use

CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("elman", {}, lambda: nn.RNN(3, 4, batch_first=True)),
    ("elman", {"activation": "relu"}, lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True)),
    ("lstm", {}, lambda: nn.LSTM(3, 4, batch_first=True)),
    ("lstm", {"bias": False}, lambda: nn.LSTM(3, 4, bias=False, batch_first=True)),
    ("lstm", {"proj_size": 2}, lambda: nn.LSTM(3, 4, proj_size=2, batch_first=True)),
    ("gru", {}, lambda: nn.GRU(3, 4, batch_first=True)),
    ("gru", {"bias": False}, lambda: nn.GRU(3, 4, bias=False, batch_first=True)),
]
needs_native = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)
LENGTHS = torch.tensor([2, 6, 1, 5])


def torch_scan(module: nn.RNNBase, xs: Tensor, state: State) -> tuple[Tensor, State]:
    """torch.nn over packed rows."""
    packed = pack_padded_sequence(xs, LENGTHS, batch_first=True, enforce_sorted=False)
    before = tuple(leaf[None] for leaf in leaves(state))
    ys, after = module(packed, before if isinstance(state, tuple) else before[0])
    padded, _ = pad_packed_sequence(ys, batch_first=True, total_length=xs.shape[1])
    return padded, (after[0][0], after[1][0]) if isinstance(after, tuple) else after[0]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "options", "build"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", ["fused", "reference", pytest.param("native", marks=needs_native)])
def test_equals_torch_nn(kind: str, options: dict[str, Any], build: Any, dtype: torch.dtype, kernel: str) -> None:
    module: nn.RNNBase = build().to(dtype)
    cell: Cell = CELLS[kind](3, 4, **options).to(dtype)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in module.state_dict().items()})
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    results = []
    xs, seed = torch.randn(4, 6, 3, dtype=dtype), torch.randn(4, 4, dtype=dtype)
    for owner in (module, cell):
        own_xs, own_seed = xs.clone().requires_grad_(), seed.clone().requires_grad_()
        state: State = (own_seed[:, : cell.output_size], own_seed * 2) if kind == "lstm" else own_seed
        if isinstance(owner, Cell):
            with use(kernel):  # type: ignore[arg-type]
                ys, after = owner.scan(own_xs, state, LENGTHS)
            assert owner.last_path.name == kernel
        else:
            ys, after = torch_scan(owner, own_xs, state)
        loss = ys.pow(2).sum() + sum(leaf.sum() for leaf in leaves(after))
        gradients = torch.autograd.grad(loss, [own_xs, own_seed, *(owner.get_parameter(n) for n in names(owner))])
        results.append([ys, *leaves(after), *gradients])
    for found, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def names(owner: nn.Module) -> list[str]:
    return sorted(name for name, _ in owner.named_parameters())


@pytest.mark.parametrize(("kind", "module"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("elman", nn.RNN)])
def test_two_directions_equal_torch_nn(kind: str, module: type[nn.RNNBase]) -> None:
    both = module(3, 4, bidirectional=True, batch_first=True)
    weights = both.state_dict()
    xs = torch.randn(4, 6, 3)
    wanted, states = torch_scan_bidirectional(both, xs)
    for direction, suffix in enumerate(("_l0", "_l0_reverse")):
        cell = CELLS[kind](3, 4)
        cell.load_state_dict({name: weights[name + suffix] for name in cell.state_dict()})
        ys, after = cell.scan(xs, None, LENGTHS, reverse=direction == 1)
        torch.testing.assert_close(ys, wanted[..., 4 * direction : 4 * direction + 4], rtol=1e-5, atol=1e-6)
        for found, state in zip(leaves(after), states, strict=True):
            torch.testing.assert_close(found, state[direction], rtol=1e-5, atol=1e-6)


def torch_scan_bidirectional(module: nn.RNNBase, xs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    ys, after = module(pack_padded_sequence(xs, LENGTHS, batch_first=True, enforce_sorted=False))
    padded, _ = pad_packed_sequence(ys, batch_first=True, total_length=xs.shape[1])
    return padded, after if isinstance(after, tuple) else (after,)
