"""The LSTM's options, against the papers' formulas written unit by unit in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.cells import LSTMCell
from recurra.core.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float64]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalise(x: Array, gain: Array) -> Array:
    return gain * (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def randomised(**options: Any) -> LSTMCell:
    cell = LSTMCell(3, 4, dtype=torch.float64, **options)
    with torch.no_grad():
        for weight in cell.parameters():
            weight.copy_(torch.randn_like(weight))
    return cell


def by_hand(cell: LSTMCell, xs: Array) -> Array:
    """One row (T, 3), from zeros."""
    p = {name: weight.detach().numpy() for name, weight in cell.named_parameters()}
    options = cell.options
    h, c, ys = np.zeros(cell.output_size), np.zeros(4), []
    for x in xs:
        from_x, from_h = p["weight_ih"] @ x, p["weight_hh"] @ h
        if options.layer_norm:
            from_x, from_h = normalise(from_x, p["norm_ih"]), normalise(from_h, p["norm_hh"])
        gates = dict(
            zip(
                "fgo" if options.coupled else "ifgo",
                (from_x + from_h + p["bias_ih"] + p["bias_hh"]).reshape(-1, 4),
                strict=True,
            )
        )
        peep = dict(
            zip(
                "fo" if options.coupled else "ifo",
                p.get("peephole", np.zeros(8 if options.coupled else 12)).reshape(-1, 4),
                strict=True,
            )
        )
        f = sigmoid(gates["f"] + peep["f"] * c)
        i = 1 - f if options.coupled else sigmoid(gates["i"] + peep["i"] * c)
        c = f * c + i * np.tanh(gates["g"])
        o = sigmoid(gates["o"] + peep["o"] * c)
        h = o * np.tanh(normalise(c, p["norm_c"]) + p["norm_c_bias"] if options.layer_norm else c)
        h = p["weight_hr"] @ h if options.proj_size else h
        ys.append(h)
    return np.stack(ys)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"peephole": True},
        {"coupled": True},
        {"layer_norm": True},
        {"proj_size": 2},
        {"peephole": True, "coupled": True},
        {"peephole": True, "layer_norm": True, "proj_size": 3},
    ],
)
def test_options_do_what_their_papers_say(options: dict[str, Any]) -> None:
    cell = randomised(**options)
    xs = torch.randn(2, 6, 3, dtype=torch.float64)
    found = cell.scan(xs)[0].detach().numpy()
    np.testing.assert_allclose(found, np.stack([by_hand(cell, row) for row in xs.numpy()]), rtol=1e-10, atol=1e-12)


def test_initialisation() -> None:
    cell = LSTMCell(30, 20)
    for block in cell.weight_hh.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(20))
    for block in cell.weight_ih.chunk(4):
        assert 0.9 * (6 / 50) ** 0.5 < block.abs().max() <= (6 / 50) ** 0.5
    assert cell.bias_ih is not None
    assert cell.bias_ih.reshape(4, 20).mean(1).tolist() == [0, 1, 0, 0]
    assert cell.bias_hh is not None
    assert cell.bias_hh.abs().max() == 0
    coupled = LSTMCell(3, 4, coupled=True, forget_bias=2.5)
    assert coupled.bias_ih is not None
    assert coupled.bias_ih.reshape(3, 4).mean(1).tolist() == [2.5, 0, 0]


def test_chrono_initialisation() -> None:
    cell = LSTMCell(3, 500, chrono_max=100)
    assert cell.bias_ih is not None
    i, f, g, o = cell.bias_ih.chunk(4)
    assert torch.equal(i, -f)
    assert f.min() >= 0
    assert f.max() <= np.log(99)
    assert abs(f.exp().mean() - 50) < 5
    assert torch.cat([g, o]).abs().max() == 0


def test_half_precision_and_meta_weights_can_be_made() -> None:
    assert LSTMCell(3, 4, dtype=torch.bfloat16).weight_hh.dtype == torch.bfloat16
    assert LSTMCell(3, 4, device="meta").weight_hh.is_meta


def test_a_projection_that_does_not_shrink_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hidden_size=4, proj_size=4\): the projection must be smaller"):
        LSTMCell(3, 4, proj_size=4)


def test_repr_names_the_options_given() -> None:
    assert repr(LSTMCell(3, 4, peephole=True)) == "LSTMCell(3, 4, peephole=True)"
