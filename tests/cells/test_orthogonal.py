"""The orthogonal cell's own points."""

from __future__ import annotations

import math

import pytest
import torch

from recurra.cells import OrthogonalCell
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.layers import DropoutConfig, RecurrentConfig

SIZE = 7


def test_the_recurrent_weights_are_a_rotation_that_training_keeps() -> None:
    cell = OrthogonalCell(3, SIZE)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.01)
    before = cell.rotation().detach()
    for _ in range(5):
        optimizer.zero_grad()
        cell.scan(torch.randn(4, 6, 3))[0].square().sum().backward()
        optimizer.step()
    after = cell.rotation().detach()
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(after @ after.T, torch.eye(SIZE), atol=1e-5, rtol=0)
    assert torch.linalg.det(after).item() == pytest.approx(1.0, abs=1e-5)


def test_the_start_rotates_pairs_of_units() -> None:
    found = torch.linalg.eigvals(OrthogonalCell(3, 200, angle=0.5).rotation()).angle()
    assert 0.4 < found.abs().max() <= 0.5 + 1e-5
    torch.testing.assert_close(OrthogonalCell(3, SIZE, angle=0.0).rotation(), torch.eye(SIZE))
    wide = torch.linalg.eigvals(OrthogonalCell(3, 200).rotation()).angle()
    assert 3 < wide.abs().max() <= math.pi + 1e-5


def test_states_and_gradients_keep_their_length() -> None:
    cell = OrthogonalCell(3, SIZE)
    h = torch.randn(2, SIZE).requires_grad_()
    ys, after = cell.scan(torch.zeros(2, 500, 3), h)
    assert isinstance(after, torch.Tensor)
    torch.testing.assert_close(after.norm(dim=1), h.norm(dim=1), rtol=1e-3, atol=0)
    (found,) = torch.autograd.grad(ys[:, -1, 0], [h], torch.ones(2))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2), rtol=1e-3, atol=0)


def test_modrelu_by_hand() -> None:
    cell = OrthogonalCell(1, 2, angle=0.0)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[1.0], [-2.0]]))
        cell.bias.copy_(torch.tensor([-1.5, 0.5]))
    h, _ = cell.step(torch.ones(1, 1), cell.initial_state(1))
    assert h.tolist() == [[0.0, -2.5]]


def test_one_unit_has_nothing_to_rotate() -> None:
    cell = OrthogonalCell(2, 1)
    assert cell.rotation().item() == 1.0
    assert cell.scan(torch.ones(1, 3, 2))[0].shape == (1, 3, 1)


def test_weights_that_are_not_there_can_not_drop() -> None:
    stack = RecurrentConfig(cell="orthogonal", hidden_size=4, dropout=DropoutConfig(weight=0.5)).build(3)
    with pytest.raises(ConfigError, match=r"`dropout.weight`: OrthogonalCell has no weight_hh"):
        stack(Sequences(torch.zeros(1, 2, 3)))


def test_an_angle_beyond_half_a_turn_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"OrthogonalCell: `angle`"):
        OrthogonalCell(3, 4, angle=4.0)
