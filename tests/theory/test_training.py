"""The articles' loop on data that is always there; a trained network goes on as recurra's cells."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from recurra.cells import GRUCell
from recurra.theory import GRU, LSTM, SGD, Adam, Elman, Momentum, Network, cross_entropy, mse, sample, train
from recurra.theory.sources import next_characters, next_values, sunspots, zen


def test_sunspots_are_those_of_statsmodels() -> None:
    data = pytest.importorskip("statsmodels.datasets.sunspots").load_pandas().data.to_numpy()
    years, values = sunspots()
    np.testing.assert_array_equal(years, data[:, 0])
    np.testing.assert_array_equal(values, data[:, 1])


def test_zen_is_what_this_prints() -> None:
    done = subprocess.run([sys.executable, "-c", "import this"], capture_output=True, text=True, timeout=60)
    assert zen().strip() == done.stdout.strip()


def test_pieces_of_a_series_follow_one_another() -> None:
    pieces = next_values(np.arange(10.0), 3)
    assert [x.ravel().tolist() for x, _ in pieces] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [y.ravel().tolist() for _, y in pieces] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_pieces_of_a_text_name_the_next_character() -> None:
    pieces, alphabet = next_characters("abcab", 2)
    assert alphabet == "abc"
    assert [y.tolist() for _, y in pieces] == [[[1, 2]], [[0, 1]]]
    assert [x.argmax(-1).tolist() for x, _ in pieces] == [[[0, 1]], [[2, 0]]]


@pytest.mark.parametrize("cell", [Elman(), LSTM(), GRU()], ids=["elman", "lstm", "gru"])
def test_sunspots_are_learnt(cell: Elman | LSTM | GRU) -> None:
    """The last sixty years, never seen in training, against taking last year's number again: error 0.33."""
    values = sunspots()[1] / 100
    network = Network(cell, 1, [16], 1)
    losses = train(network, next_values(values[:-60], 20), mse, Adam(2e-2), 25, theta=1.0, carry=True)
    ys, _, _ = network.forward(values[None, :-1, None])
    error = float(np.sqrt(np.mean((ys[0, -60:, 0] - values[-60:]) ** 2)))
    copied = float(np.sqrt(np.mean(np.diff(values[-61:]) ** 2)))
    assert losses[-1] < 0.2 * losses[0]
    assert copied == pytest.approx(0.329, abs=1e-3)
    assert error < 0.7 * copied


@pytest.mark.parametrize("optimizer", [SGD(1.0), Momentum(1.0), Adam(1e-2)], ids=["sgd", "momentum", "adam"])
def test_zen_is_learnt(optimizer: SGD | Momentum | Adam) -> None:
    """Guessing by frequency costs 2.9 nats a character."""
    pieces, alphabet = next_characters(zen(), 25)
    network = Network(GRU(), len(alphabet), [24], len(alphabet))
    losses = train(network, pieces, cross_entropy, optimizer, 10, theta=1.0, carry=True)
    assert losses[-1] < 2.4
    text = sample(network, alphabet, "Sim", 20, np.random.default_rng(0))
    assert len(text) == 23 and set(text) <= set(alphabet)


def test_training_equals_torch_update_by_update() -> None:
    """The same pieces, clipping, carried state and Adam around recurra's cell end at the same weights."""
    pieces = next_values(sunspots()[1][:120] / 100, 20)
    network = Network(GRU(), 1, [5], 1)
    cell, linear = GRUCell(1, 5).double(), nn.Linear(5, 1).double()
    cell.load_state_dict({name: torch.from_numpy(weight) for name, weight in network.cells[0].items()})
    linear.load_state_dict({name: torch.from_numpy(weight) for name, weight in network.output.items()})
    train(network, pieces, mse, Adam(1e-2), 4, theta=0.1, carry=True)
    parameters = [*cell.parameters(), *linear.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(4):
        state = None
        for x, y in pieces:
            hs, state = cell.scan(torch.from_numpy(x), state)
            state = state.detach()  # type: ignore[union-attr]
            optimizer.zero_grad()
            nn.functional.mse_loss(linear(hs), torch.from_numpy(y)).backward()
            norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))  # type: ignore[arg-type]
            for parameter in parameters:
                parameter.grad *= min(1.0, 0.1 / norm.item())  # type: ignore[operator]
            optimizer.step()
    for ours, theirs in zip(network.parameters().values(), parameters, strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-9, atol=1e-9)


def test_nothing_but_numpy_is_loaded() -> None:
    script = (
        "import sys, json, recurra.theory, recurra.theory.attention, recurra.theory.vanishing, "
        "recurra.theory.worked_example; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    third_party = set(json.loads(done.stdout)) - sys.stdlib_module_names - {"__main__"}
    assert {name for name in third_party if not name.startswith(("_", "cython"))} == {"numpy", "recurra"}
