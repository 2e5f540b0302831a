"""What every cell inherits: noise, sizes, and cells of a user's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recurra.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell, Noise
from recurra.core.errors import ConfigError
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.state import State, leaves

XS = torch.linspace(-1, 1, 5 * 8 * 3).reshape(5, 8, 3)


class Sum(Cell):
    """h' = h + W x."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_hh = nn.Parameter(torch.ones(hidden_size, input_size))

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(state, Tensor)
        h = state + x @ self.weight_hh.T
        return h, h


@pytest.mark.parametrize("cell", [Sum(3, 4), *(kind(3, 4) for kind in CELLS.values())])
def test_zoneout_keeps_units_in_training_and_blends_in_eval(cell: Cell) -> None:
    _, before = cell.scan(XS[:, :1])
    _, plain = cell.scan(XS[:, 1:2], before)
    ys, after = cell.scan(XS[:, 1:2], before, noise=Noise(zoneout=0.5, training=True))
    for old, new, kept in zip(leaves(before), leaves(plain), leaves(after), strict=True):
        is_old, is_new = torch.isclose(kept, old), torch.isclose(kept, new)
        assert (is_old | is_new).all()
        assert 0 < is_old.float().mean() < 1
    assert torch.equal(ys[:, 0], next(leaves(after)))
    _, blended = cell.scan(XS[:, 1:2], before, noise=Noise(zoneout=0.25))
    for old, new, found in zip(leaves(before), leaves(plain), leaves(blended), strict=True):
        torch.testing.assert_close(found, 0.25 * old + 0.75 * new)


def test_zoneout_of_one_leaf_and_of_probability_one() -> None:
    cell = LSTMCell(3, 4)
    state = (torch.rand(5, 4), torch.rand(5, 4))
    _, (h, c) = cell.scan(XS, state, noise=Noise(zoneout=(0.0, 1.0), training=True))
    assert torch.equal(c, state[1])
    assert not torch.equal(h, state[0])
    ys, (h, c) = cell.scan(XS, state, noise=Noise(zoneout=1.0, training=True))
    assert torch.equal(h, state[0])
    assert torch.equal(ys, state[0][:, None].expand_as(ys))
    for wrong in (1.5, (0.1, 0.1, 0.1)):
        with pytest.raises(ConfigError, match=r"one probability \(0..1\) a leaf of the state is wanted, 2"):
            cell.scan(XS, noise=Noise(zoneout=wrong))


def test_zoneout_draws_each_step_row_and_unit_anew_at_the_right_rate() -> None:
    cell = Sum(1, 50)
    xs = torch.ones(40, 50, 1)
    ys, _ = cell.scan(xs, noise=Noise(zoneout=0.3, training=True))
    kept = ys[:, 1:] == ys[:, :-1]
    assert abs(kept.float().mean() - 0.3) < 0.01
    for axis in range(3):
        assert (kept.float().mean([a for a in range(3) if a != axis]) - 0.3).abs().max() < 0.1


def test_zoneout_stops_at_padding_and_restarts_at_resets() -> None:
    cell = Sum(1, 4)
    reset = torch.zeros(2, 6, dtype=torch.bool)
    reset[:, 3] = True
    ys, state = cell.scan(
        torch.ones(2, 6, 1), None, torch.tensor([6, 4]), reset, noise=Noise(zoneout=1.0, training=True)
    )
    assert (ys == 0).all()
    assert isinstance(state, Tensor)
    assert (state == 0).all()


def test_noise_comes_from_torchs_default_generator() -> None:
    cell, noise = GRUCell(3, 4), Noise(zoneout=0.5, training=True)
    before = rng_state()
    first = cell.scan(XS, noise=noise)[0]
    assert not torch.equal(cell.scan(XS, noise=noise)[0], first)
    load_rng_state(before)
    assert torch.equal(cell.scan(XS, noise=noise)[0], first)


@pytest.mark.parametrize(
    "cell",
    [ElmanCell(3, 4), LSTMCell(3, 4), LSTMCell(3, 4, proj_size=2), GRUCell(3, 4), GRUCell(3, 4, reset_after=False)],
)
def test_recurrent_dropout_acts_only_where_h_enters_the_product(cell: Cell) -> None:
    mask = torch.bernoulli(torch.full((5, cell.output_size), 0.5)) * 2
    found, _ = cell.scan(XS, noise=Noise(hidden_mask=mask, training=True))
    wanted = []
    for row in range(5):
        # the same as columns of weight_hh scaled, which leaves h's other uses alone
        scaled = {"weight_hh": cell.get_parameter("weight_hh") * mask[row]}
        wanted.append(torch.func.functional_call(cell, scaled, (XS[row : row + 1],))[0])
    torch.testing.assert_close(found, torch.cat(wanted))


def test_recurrent_dropout_of_a_cell_without_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Sum has no recurrent dropout: Sum\.recur is to be written for that"):
        Sum(3, 4).scan(XS, noise=Noise(hidden_mask=torch.ones(5, 4)))


@pytest.mark.parametrize("cell", [Sum(3, 4), *(kind(3, 4) for kind in CELLS.values())])
def test_weight_drop_masks_one_weight_for_all_steps(cell: Cell) -> None:
    name = "skew" if hasattr(cell, "skew") else "weight_hh"
    weight = cell.get_parameter(name)
    mask = torch.nn.functional.dropout(torch.ones_like(weight), 0.5)
    found, _ = cell.scan(XS, noise=Noise(weight_mask={name: mask}, training=True))
    found.sum().backward()
    assert weight.grad is not None
    assert (weight.grad[mask == 0] == 0).all()
    assert weight.grad.abs().max() > 0
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(mask)
        torch.testing.assert_close(cell.scan(XS)[0], found)
        weight.copy_(kept)
    with pytest.raises(ConfigError, match=rf"no parameter `{name}h` to mask\. Did you mean `{name}`"):
        cell.scan(XS, noise=Noise(weight_mask={f"{name}h": mask}))


@pytest.mark.parametrize("kind", CELLS.values())
def test_sizes_and_options_are_checked(kind: type[LSTMCell | GRUCell | ElmanCell]) -> None:
    for sizes in ((0, 4), (3, 0), (3, 2.5)):
        with pytest.raises(ConfigError, match="a whole number of at least 1 is wanted"):
            kind(*sizes)
    with pytest.raises(ConfigError, match=rf"{kind.__name__}: no option `baias`. Did you mean `bias`"):
        kind(3, 4, baias=False)


@pytest.mark.parametrize(("name", "kind"), CELLS.items())
def test_the_config_builds_the_cell(name: str, kind: type[LSTMCell | GRUCell | ElmanCell]) -> None:
    cell = kind.Config(bias=False).build(3, 4)
    assert type(cell) is kind
    assert kind.Config().kind == name
    assert "bias_ih" not in cell.state_dict()
    assert (cell.input_size, cell.hidden_size, cell.output_size) == (3, 4, 4)


def test_calling_a_cell_is_scanning_it_with_hooks() -> None:
    cell, seen = GRUCell(3, 4), []
    cell.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    assert torch.equal(cell(XS)[0], cell.scan(XS)[0])
    assert len(seen) == 1
