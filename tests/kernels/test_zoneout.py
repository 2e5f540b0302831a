"""The counted draws of zoneout: against plain integers, and as random as dropout needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.cells import Cell, LSTMCell, Noise
from recurra.core.state import State, leaves
from recurra.kernels.zoneout import draw, draw_keys

MASK = 2**64 - 1
SEED = 0x1234_5678_9ABC_DEF0


def value_by_hand(seed: int, place: int, unit: int) -> int:
    """The 32 bits that decide on one unit, in Python's integers."""
    z = (seed + (place + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    v = ((z & 0xFFFFFFFF) + unit * 0x9E3779B9) & 0xFFFFFFFF
    v = ((v ^ (v >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    v = ((v ^ (v >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return v ^ (v >> 16)


def drawn(seed: int, num_rows: int, num_steps: int, num_units: int, probability: float, num_leaves: int = 2) -> Tensor:
    """(T, leaves, B, units) bool."""
    steps = torch.arange(num_steps).expand(num_rows, -1)
    keys = draw_keys(torch.tensor(seed), steps, num_leaves)
    return torch.stack([torch.stack([draw(leaf, num_units, probability) for leaf in step]) for step in keys])


@pytest.mark.parametrize("num_leaves", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, SEED, 2**63 - 1])
def test_the_draws_are_those_of_plain_integers(seed: int, num_leaves: int) -> None:
    found = drawn(seed, 3, 4, 5, 0.4, num_leaves)
    for t in range(4):
        for leaf in range(num_leaves):
            for b in range(3):
                place = (t * 3 + b) * max(num_leaves, 2) + leaf
                wanted = [value_by_hand(seed, place, unit) < int(0.4 * 2**32) for unit in range(5)]
                assert found[t, leaf, b].tolist() == wanted


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, SEED])
def test_the_rate_is_right_along_every_axis(probability: float, seed: int) -> None:
    found = drawn(seed, 40, 50, 60, probability).double()
    deviation = (probability * (1 - probability)) ** 0.5
    for axes in ((), (0,), (1,), (2,), (3,), (0, 1), (2, 3), (0, 3)):
        others = [axis for axis in range(4) if axis not in axes]
        means = found.mean(others)
        count = found.numel() / means.numel()
        # 6 deviations: a wrong alarm once in a million means, skewed as they are.
        assert ((means - probability).abs() < 6 * deviation / count**0.5).all()


@pytest.mark.parametrize("seed", [0, SEED])
def test_neighbours_do_not_hang_together(seed: int) -> None:
    found = drawn(seed, 40, 50, 60, 0.5).double() - 0.5
    for axis in range(4):
        for distance in (1, 2, 8):
            if distance >= found.shape[axis]:
                continue
            size = found.shape[axis] - distance
            product = found.narrow(axis, 0, size) * found.narrow(axis, distance, size)
            assert abs(4 * product.mean()) < 5 / product.numel() ** 0.5
    other = drawn(seed + 1, 40, 50, 60, 0.5).double() - 0.5
    assert abs(4 * (found * other).mean()) < 5 / found.numel() ** 0.5


def test_probability_one_keeps_all_and_zero_none() -> None:
    assert drawn(SEED, 10, 10, 10, 1.0).all()
    assert not drawn(SEED, 10, 10, 10, 0.0).any()


class Three(Cell):
    """A cell with three leaves, of several axes."""

    def initial_state(self, batch_size: int) -> State:
        return tuple(torch.zeros(batch_size, *shape) for shape in ((4,), (2, 3), (5,)))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new = tuple(leaf + 1 for leaf in leaves(state))
        return new[0], new


def test_every_leaf_of_a_users_state_draws_for_itself() -> None:
    ys, state = Three(1, 4).scan(torch.zeros(6, 30, 1), noise=Noise(zoneout=0.5, training=True))
    assert torch.equal(ys[:, -1], next(leaves(state)))
    counts = torch.cat([leaf.flatten() for leaf in leaves(state)])
    assert abs(counts.mean() - 15) < 1
    assert counts.std() > 1.5
    assert not torch.equal(state[0], state[2][:, :4])  # type: ignore[index]


def test_a_row_draws_the_same_forwards_and_backwards() -> None:
    """What is drawn belongs to a stored step, whichever way a row is run."""
    cell, lengths = LSTMCell(1, 4), torch.tensor([6, 4])
    xs, kept = torch.randn(2, 6, 1), []
    for reverse in (False, True):
        torch.manual_seed(7)
        state = (torch.full((2, 4), 9.0), torch.full((2, 4), 9.0))
        ys, _ = cell.scan(xs, state, lengths, noise=Noise(zoneout=(0.5, 0.0), training=True), reverse=reverse)
        # h' is far from 9, so that a kept unit shows as long as it was kept from the start
        kept.append(ys == 9)
    torch.manual_seed(7)
    wanted = drawn(int(torch.randint(2**63 - 1, ())), 2, 6, 4, 0.5)[:, 0].transpose(0, 1)
    assert torch.equal(kept[0][:, 0], wanted[:, 0])
    assert torch.equal(kept[1][0, 5], wanted[0, 5])
    assert torch.equal(kept[1][1, 3], wanted[1, 3])
