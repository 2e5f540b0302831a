"""The GRU's options, against the papers' formulas written unit by unit in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.cells import GRUCell

Array = np.ndarray[Any, np.dtype[np.float64]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalise(x: Array, gain: Array) -> Array:
    return gain * (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def by_hand(cell: GRUCell, xs: Array) -> Array:
    """One row (T, 3), from zeros."""
    p = {name: weight.detach().numpy() for name, weight in cell.named_parameters()}
    gates, new = slice(0, 8), slice(8, 12)

    def product(side: str, part: slice, x: Array) -> Array:
        y = p[f"weight_{side}"][part] @ x
        return (normalise(y, p[f"norm_{side}"][part]) if cell.options.layer_norm else y) + p[f"bias_{side}"][part]

    h, ys = np.zeros(4), []
    for x in xs:
        r, z = sigmoid(product("ih", gates, x) + product("hh", gates, h)).reshape(2, 4)
        recurrent = r * product("hh", new, h) if cell.options.reset_after else product("hh", new, r * h)
        h = (1 - z) * np.tanh(product("ih", new, x) + recurrent) + z * h
        ys.append(h)
    return np.stack(ys)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_options_do_what_their_papers_say(reset_after: bool, layer_norm: bool) -> None:
    cell = GRUCell(3, 4, dtype=torch.float64, reset_after=reset_after, layer_norm=layer_norm)
    with torch.no_grad():
        for weight in cell.parameters():
            weight.copy_(torch.randn_like(weight))
    xs = torch.randn(2, 6, 3, dtype=torch.float64)
    found = cell.scan(xs)[0].detach().numpy()
    np.testing.assert_allclose(found, np.stack([by_hand(cell, row) for row in xs.numpy()]), rtol=1e-10, atol=1e-12)


def test_initialisation() -> None:
    cell = GRUCell(30, 20)
    for block in cell.weight_hh.chunk(3):
        torch.testing.assert_close(block @ block.T, torch.eye(20))
    for bias in (cell.bias_ih, cell.bias_hh):
        assert bias is not None
        assert bias.abs().max() == 0


def test_chrono_initialisation_fills_the_gate_that_keeps() -> None:
    cell = GRUCell(3, 500, chrono_max=100)
    assert cell.bias_ih is not None
    r, z, n = cell.bias_ih.chunk(3)
    assert abs(z.exp().mean() - 50) < 5
    assert torch.cat([r, n]).abs().max() == 0
