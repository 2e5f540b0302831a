"""The simple recurrent network's own points."""

from __future__ import annotations

import pytest
import torch

from recurra.cells import ElmanCell
from recurra.core.errors import ConfigError, ShapeError

XS = torch.linspace(-1, 1, 2 * 5 * 3).reshape(2, 5, 3)


@pytest.mark.parametrize("activation", ["tanh", "relu", torch.sin])
@pytest.mark.parametrize("biased", [True, False])
def test_the_concatenated_form_is_the_same_maths(activation: str, biased: bool) -> None:
    weight, bias = torch.randn(4, 7), torch.randn(4) if biased else None
    cell = ElmanCell.from_concatenated(weight, bias, activation)
    function = getattr(torch, activation) if isinstance(activation, str) else activation
    h = torch.zeros(2, 4)
    for t in range(5):
        h = function(torch.cat([h, XS[:, t]], 1) @ weight.T + (0 if bias is None else bias))
    torch.testing.assert_close(cell.scan(XS)[1], h)


def test_a_concatenated_weight_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"got `weight` of shape \(7, 4\): \(H, H \+ I\) is wanted.*Transpose"):
        ElmanCell.from_concatenated(torch.zeros(7, 4))
    with pytest.raises(ShapeError, match=r"got `bias` of shape \(7,\): \(4,\) is wanted"):
        ElmanCell.from_concatenated(torch.zeros(4, 7), torch.zeros(7))


def test_initialisation() -> None:
    cell = ElmanCell(30, 20)
    torch.testing.assert_close(cell.weight_hh @ cell.weight_hh.T, torch.eye(20))
    assert cell.weight_ih.abs().max() <= (6 / 50) ** 0.5
    assert cell.weight_ih.abs().max() > 0.95 * (6 / 50) ** 0.5
    assert torch.equal(ElmanCell(3, 4, activation="relu").weight_hh, torch.eye(4))
    assert torch.equal(ElmanCell(3, 4, start="identity", radius=0.5).weight_hh, torch.eye(4) / 2)
    rotated = ElmanCell(3, 4, activation="relu", start="orthogonal", radius=2.0).weight_hh
    torch.testing.assert_close(rotated @ rotated.T, 4 * torch.eye(4))


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ElmanCell: `activation`: no such choice `tahn`. Did you mean `tanh`"):
        ElmanCell(3, 4, activation="tahn")
