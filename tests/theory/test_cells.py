"""Cells and their BPTT against recurra.cells with torch.autograd, Keras, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.cells import Cell as TorchCell
from recurra.cells import ElmanCell, GRUCell, LSTMCell
from recurra.convert import to_keras
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.state import leaves
from recurra.theory import GRU, LSTM, Elman, JoinedElman
from recurra.theory.elman import join, split
from recurra.theory.recurrence import Cell, State, Weights

ROWS, STEPS, INPUTS, SIZE = 3, 7, 2, 4
EXACT = {"rtol": 1e-10, "atol": 1e-10}
CASES: list[tuple[Cell, TorchCell]] = [
    (Elman("tanh"), ElmanCell(INPUTS, SIZE)),
    (Elman("sigmoid"), ElmanCell(INPUTS, SIZE, activation="sigmoid")),
    (Elman("relu"), ElmanCell(INPUTS, SIZE, activation="relu")),
    (LSTM(), LSTMCell(INPUTS, SIZE)),
    (GRU(), GRUCell(INPUTS, SIZE)),
    (GRU(reset_after=False), GRUCell(INPUTS, SIZE, reset_after=False)),
]
NAMES = ["tanh", "sigmoid", "relu", "lstm", "gru", "gru-reset-before"]
cases = pytest.mark.parametrize(("cell", "module"), CASES, ids=NAMES)


def numbers(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def weights_of(cell: Cell) -> Weights:
    """Weights without zeros, biases included."""
    w = cell.initial_weights(INPUTS, SIZE, np.random.default_rng(0))
    return {name: weight + 0.3 * numbers(5, *weight.shape) for name, weight in w.items()}


def state_of(cell: Cell) -> State:
    return tuple(0.5 * numbers(10 + leaf, ROWS, SIZE) for leaf in range(cell.num_leaves))


def loaded(module: TorchCell, w: Weights) -> TorchCell:
    module = module.double()
    module.load_state_dict({name: torch.from_numpy(weight) for name, weight in w.items()})
    return module


def as_torch(state: State) -> Any:
    tensors = tuple(torch.from_numpy(leaf).requires_grad_() for leaf in state)
    return tensors if len(tensors) > 1 else tensors[0]


@cases
def test_forward_and_bptt_equal_cells_and_autograd(cell: Cell, module: TorchCell) -> None:
    w, xs, state = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), state_of(cell)
    dhs, dlast = numbers(2, ROWS, STEPS, SIZE), tuple(numbers(20 + leaf, ROWS, SIZE) for leaf in range(cell.num_leaves))
    hs, last, tapes = cell.forward(xs, w, state)
    found = cell.backward(dhs, tapes, w, dlast)

    module = loaded(module, w)
    inputs, start = torch.from_numpy(xs).requires_grad_(), as_torch(state)
    outputs, after = module.scan(inputs, start)
    loss = (outputs * torch.from_numpy(dhs)).sum()
    loss = loss + sum((leaf * torch.from_numpy(d)).sum() for leaf, d in zip(leaves(after), dlast, strict=True))
    parameters = dict(module.named_parameters())
    wanted = torch.autograd.grad(loss, [inputs, *leaves(start), *parameters.values()])
    np.testing.assert_allclose(hs, outputs.detach(), **EXACT)
    for ours, theirs in zip(last, leaves(after), strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), **EXACT)
    ours_all = [found.xs, *found.state, *(found.weights[name] for name in parameters)]
    for ours, theirs in zip(ours_all, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


@cases
def test_gradient_at_each_state_equals_autograd(cell: Cell, module: TorchCell) -> None:
    w, xs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS)
    _, _, tapes = cell.forward(xs, w)
    dhs = np.zeros((ROWS, STEPS, SIZE))
    dhs[:, -1] = numbers(2, ROWS, SIZE)
    module, state, seen = loaded(module, w), module.double().initial_state(ROWS), []
    for t in range(STEPS):
        h, state = module.step(torch.from_numpy(xs[:, t]), state)
        h.retain_grad()
        seen.append(h)
    (h * torch.from_numpy(dhs[:, -1])).sum().backward()
    wanted = torch.stack([one.grad for one in seen], 1)  # type: ignore[misc]
    np.testing.assert_allclose(cell.backward(dhs, tapes, w).hs, wanted, **EXACT)


@cases
def test_finite_differences(cell: Cell, module: TorchCell) -> None:
    w, xs, dhs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), numbers(2, ROWS, STEPS, SIZE)
    found = cell.backward(dhs, cell.forward(xs, w)[2], w)
    direction = {name: numbers(index, *weight.shape) for index, (name, weight) in enumerate(w.items())}

    def loss(eps: float) -> float:
        return float((cell.forward(xs, {n: w[n] + eps * direction[n] for n in w})[0] * dhs).sum())

    along = sum((found.weights[name] * direction[name]).sum() for name in w)
    assert (loss(1e-5) - loss(-1e-5)) / 2e-5 == pytest.approx(along, rel=1e-6)


@cases
def test_two_halves_with_the_state_carried_are_the_whole(cell: Cell, module: TorchCell) -> None:
    w, xs, dhs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), numbers(2, ROWS, STEPS, SIZE)
    whole, last, tapes = cell.forward(xs, w)
    first, middle, first_tapes = cell.forward(xs[:, :3], w)
    second, end, second_tapes = cell.forward(xs[:, 3:], w, middle)
    np.testing.assert_array_equal(whole, np.concatenate([first, second], 1))
    np.testing.assert_array_equal(last[-1], end[-1])
    late = cell.backward(dhs[:, 3:], second_tapes, w)
    early = cell.backward(dhs[:, :3], first_tapes, w, late.state)
    full = cell.backward(dhs, tapes, w)
    for name in w:
        np.testing.assert_allclose(early.weights[name] + late.weights[name], full.weights[name], **EXACT)


def truncated_by_autograd(module: TorchCell, xs: Tensor, dhs: Tensor, k1: int, k2: int) -> list[Tensor]:
    """By the definition: each k1 steps, the last k2 are run again from a state without a history."""
    total = [torch.zeros_like(weight) for weight in module.parameters()]
    for begin in range(0, STEPS, k1):
        end = min(begin + k1, STEPS)
        start = max(0, end - k2)
        with torch.no_grad():
            _, state = module.scan(xs[:, :start])
        hs, _ = module.scan(xs[:, start:end], state)
        loss = (hs[:, begin - start :] * dhs[:, begin:end]).sum()
        for sum_, found in zip(total, torch.autograd.grad(loss, list(module.parameters())), strict=True):
            sum_ += found
    return total


@cases
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (2, 2), (2, 5), (3, 4), (7, 7), (1, 7)])
def test_truncated_equals_its_definition(cell: Cell, module: TorchCell, k1: int, k2: int) -> None:
    w, xs, dhs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), numbers(2, ROWS, STEPS, SIZE)
    found = cell.truncated(dhs, cell.forward(xs, w)[2], w, k1, k2)
    module = loaded(module, w)
    wanted = truncated_by_autograd(module, torch.from_numpy(xs), torch.from_numpy(dhs), k1, k2)
    for (name, _), theirs in zip(module.named_parameters(), wanted, strict=True):
        np.testing.assert_allclose(found[name], theirs, **EXACT)


def test_truncated_over_all_steps_is_full() -> None:
    cell = LSTM()
    w, xs, dhs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), numbers(2, ROWS, STEPS, SIZE)
    tapes = cell.forward(xs, w)[2]
    for name, full in cell.backward(dhs, tapes, w).weights.items():
        np.testing.assert_allclose(cell.truncated(dhs, tapes, w, 1, STEPS)[name], full, **EXACT)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_joined_form_is_the_same_network(activation: str) -> None:
    plain, joined = Elman(activation), JoinedElman(activation)
    w, xs, state, dhs = (
        weights_of(plain),
        numbers(1, ROWS, STEPS, INPUTS),
        state_of(plain),
        numbers(2, ROWS, STEPS, SIZE),
    )
    both = join(w)
    hs, _, tapes = plain.forward(xs, w, state)
    joined_hs, _, joined_tapes = joined.forward(xs, both, state)
    np.testing.assert_allclose(joined_hs, hs, **EXACT)
    found, wanted = joined.backward(dhs, joined_tapes, both), plain.backward(dhs, tapes, w)
    np.testing.assert_allclose(found.xs, wanted.xs, **EXACT)
    np.testing.assert_allclose(found.state[0], wanted.state[0], **EXACT)
    np.testing.assert_allclose(
        found.weights["weight"], np.hstack([wanted.weights[n] for n in ("weight_hh", "weight_ih")]), **EXACT
    )
    np.testing.assert_allclose(found.weights["bias"], wanted.weights["bias_ih"], **EXACT)
    np.testing.assert_allclose(plain.forward(xs, split(both), state)[0], hs, **EXACT)
    cell = ElmanCell.from_concatenated(*(torch.from_numpy(both[name]) for name in ("weight", "bias")), activation)
    np.testing.assert_allclose(cell.scan(torch.from_numpy(xs), torch.from_numpy(state[0]))[0].detach(), hs, **EXACT)


def test_joined_weights_have_the_distribution_of_plain_ones() -> None:
    w = JoinedElman().initial_weights(INPUTS, SIZE, np.random.default_rng(0))
    plain = Elman().initial_weights(INPUTS, SIZE, np.random.default_rng(0))
    np.testing.assert_array_equal(split(w)["weight_ih"], plain["weight_ih"])


@cases
def test_weights_come_back_from_a_cell(cell: Cell, module: TorchCell) -> None:
    w = weights_of(cell)
    back = {name: tensor.numpy() for name, tensor in loaded(module, w).state_dict().items()}
    assert back.keys() == w.keys()
    assert all(np.array_equal(back[name], w[name]) for name in w)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # keras's own
@pytest.mark.parametrize("index", range(len(CASES)), ids=NAMES)
def test_equals_keras(index: int) -> None:
    layers = pytest.importorskip("keras").layers
    cell, module = CASES[index]
    names = ["SimpleRNN"] * 3 + ["LSTM", "GRU", "GRU"]
    options: dict[str, Any] = {"activation": NAMES[index]} if index < 3 else {}
    options |= {"reset_after": NAMES[index] == "gru"} if names[index] == "GRU" else {}
    layer = getattr(layers, names[index])(SIZE, return_sequences=True, dtype="float64", **options)
    layer.build((None, STEPS, INPUTS))
    w, xs, dhs = weights_of(cell), numbers(1, ROWS, STEPS, INPUTS), numbers(2, ROWS, STEPS, SIZE)
    module = loaded(module, w)
    layer.set_weights(to_keras(module))
    inputs = torch.from_numpy(xs).requires_grad_()
    outputs = layer(inputs)
    kernel, recurrent, bias = (variable.value for variable in layer.trainable_weights)
    found_x, *found = torch.autograd.grad((outputs * torch.from_numpy(dhs)).sum(), [inputs, kernel, recurrent, bias])
    hs, _, tapes = cell.forward(xs, w)
    ours = cell.backward(dhs, tapes, w)
    gradients = {**ours.weights}
    if cell.num_gates == 3 and not options.get("reset_after"):
        assert np.allclose(gradients["bias_ih"], gradients["bias_hh"])  # one bias in Keras
    module.load_state_dict({name: torch.from_numpy(gradient) for name, gradient in gradients.items()})
    wanted = to_keras(module)  # the gradients in Keras's order
    one_bias = wanted[2].ndim == 1
    np.testing.assert_allclose(hs, outputs.detach(), atol=1e-6)
    np.testing.assert_allclose(ours.xs, found_x, atol=1e-6)
    np.testing.assert_allclose(wanted[0], found[0], atol=1e-6)
    np.testing.assert_allclose(wanted[1], found[1], atol=1e-6)
    np.testing.assert_allclose(wanted[2] / (2 if one_bias else 1), found[2], atol=1e-6)  # to_keras adds two equal ones


def test_clipping_on_the_way_bounds_every_state_gradient() -> None:
    cell = Elman()
    w = weights_of(cell)
    w["weight_hh"] *= 6
    tapes = cell.forward(0.01 * numbers(1, ROWS, 60, INPUTS), w)[2]
    dhs = np.zeros((ROWS, 60, SIZE))
    dhs[:, -1] = 0.5
    norms = np.linalg.norm(cell.backward(dhs, tapes, w, max_norm=0.7).hs, axis=-1)
    assert norms.max() == pytest.approx(0.7, rel=1e-12)
    free = cell.backward(dhs, tapes, w)
    loose = cell.backward(dhs, tapes, w, max_norm=1e9)
    np.testing.assert_array_equal(free.hs, loose.hs)


def test_wrong_use_is_told() -> None:
    cell = Elman()
    w = weights_of(cell)
    with pytest.raises(ShapeError, match=r"\(B, T, I\) is wanted"):
        cell.forward(np.zeros((STEPS, INPUTS)), w)
    with pytest.raises(ConfigError, match="k1=3, k2=2"):
        cell.truncated(np.zeros((ROWS, STEPS, SIZE)), [], w, 3, 2)
    with pytest.raises(ConfigError, match="Did you mean `tanh`"):
        Elman("tahn")
