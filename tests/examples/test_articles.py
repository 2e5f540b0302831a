"""The articles' programs: they learn, and with copied weights they equal the Keras programs put right."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from recurra.cells import Cell
from recurra.convert import to_keras
from recurra.theory.sources import sunspots

EXAMPLES = Path(__file__).parents[2] / "examples"
# Keras's own: its variables have numpy's older __array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keras() -> Any:
    """Imported late, as it takes seconds."""
    return pytest.importorskip("keras")


def copied(model: nn.Module, difference: bool = False) -> list[NDArray[np.float32]]:
    """The weights for `set_weights`: cells, then Dense; of two logits their difference, which one sigmoid unit has."""
    (output,) = [module for module in model.modules() if isinstance(module, nn.Linear)]
    arrays = [array for cell in model.modules() if isinstance(cell, Cell) for array in to_keras(cell)]
    weight, bias = output.weight.detach().numpy().T, output.bias.detach().numpy()
    if difference:
        weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
    return [*arrays, weight, bias]


def test_000_stacked_stateful_regression(keras: Any) -> None:
    """Outputs and gradients of three pieces; `stateful` carries the state in one program, the test in the other."""
    article = example("article_000")
    model = article.RNNModel(hidden_size=8, num_layers=2)
    stateful = [keras.layers.LSTM(8, return_sequences=True, stateful=True) for _ in range(2)]
    program = keras.Sequential([keras.Input(batch_shape=(1, 10, 1)), *stateful, keras.layers.Dense(1)])
    program.set_weights(copied(model))
    layers = [keras.layers.LSTM(8, return_sequences=True, return_state=True) for _ in range(2)]
    dense, states = keras.layers.Dense(1), [[torch.zeros(1, 8)] * 2] * 2
    for layer, size in zip((*layers, dense), (1, 8, 8), strict=True):
        layer.build((1, 10, size))
    state, series = None, torch.tensor(sunspots()[1][:31] / 100, dtype=torch.float32)
    for start in (0, 10, 20):
        piece = series[start : start + 11].view(1, 11, 1)
        output, state = model(piece[:, :-1], state)
        np.testing.assert_allclose(output.detach(), program(piece[:, :-1]).detach(), atol=1e-6)

        weights = copied(model)
        for layer, own in zip((*layers, dense), (weights[:3], weights[3:6], weights[6:]), strict=True):
            layer.set_weights(own)
        hidden, carried = piece[:, :-1], []
        for layer, before in zip(layers, states, strict=True):
            hidden, *after = layer(hidden, initial_state=before)
            carried.append([leaf.detach() for leaf in after])
        nn.functional.mse_loss(dense(hidden), piece[:, 1:]).backward()
        model.zero_grad()
        nn.functional.mse_loss(output, piece[:, 1:]).backward()
        gradients = [variable.value.grad for layer in (*layers, dense) for variable in layer.trainable_weights]
        for layer in (*layers, dense):
            for variable in layer.trainable_weights:
                variable.value.grad = None
        for cell, (kernel, recurrent, bias) in zip(model.rnn.cells, (gradients[:3], gradients[3:6]), strict=True):
            for ours, theirs in zip((cell.weight_ih, cell.weight_hh), (kernel, recurrent), strict=True):
                np.testing.assert_allclose(ours.grad.T, theirs, atol=1e-6)
            np.testing.assert_allclose(cell.bias_ih.grad, bias, atol=1e-6)
        np.testing.assert_allclose(model.dense.weight.grad.T, gradients[6], atol=1e-6)
        state, states = article.states.detach(state), carried


def test_000_learns(capsys: pytest.CaptureFixture[str]) -> None:
    article = example("article_000")
    article.train(article.RNNModel(16, 2), torch.tensor(sunspots()[1][:60] / 100, dtype=torch.float32), epochs=3)
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_001_softmax_classifier(keras: Any) -> None:
    article = example("article_001")
    texts, labels = zip(*article.read()[:300], strict=True)
    assert set(labels) == set(article.SCRIPTS)
    fitted = article.build(epochs=1).fit(texts, labels).model_
    network = fitted.model
    table = network.encoder.embedding.weight
    program = keras.Sequential(
        [
            keras.layers.Embedding(*table.shape),
            keras.layers.SimpleRNN(64, activation="tanh"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    program.build((None, None))
    program.set_weights([table.detach().numpy(), *copied(network)])
    probabilities = fitted.predict_proba(texts[:8])
    for text, found in zip(texts[:8], probabilities, strict=True):
        (coded,) = fitted.task.encode([text])
        np.testing.assert_allclose(found, program(np.array([coded.tokens]))[0].detach(), atol=1e-6)


def test_002_lstm_with_dropout_and_a_sigmoid(keras: Any) -> None:
    article = example("article_002")
    x, y = article.windows(sunspots()[1][:120] / 100)
    fitted = article.build(epochs=1).fit(x, y)
    program = keras.Sequential(
        [
            keras.Input((22, 1)),
            keras.layers.LSTM(50),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network = fitted.model_.model
    assert network.head.dropout.p == 0.2
    program.set_weights(copied(network, difference=True))
    wanted = program(torch.tensor(x[:, :, None].copy(), dtype=torch.float32))
    np.testing.assert_allclose(fitted.predict_proba(x)[:, 1:], wanted.detach(), atol=1e-6)


def test_003_two_simple_layers_on_a_series(keras: Any) -> None:
    article = example("article_003")
    x, y = article.windows(sunspots()[1][:120])
    fitted = article.build(epochs=1).fit(x, y)
    program = keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.SimpleRNN(50, return_sequences=True),
            keras.layers.SimpleRNN(50),
            keras.layers.Dense(1),
        ]
    )
    network, task = fitted.model_.model, fitted.model_.task
    program.set_weights(copied(network))
    coding, targets = task.fitted.coding, task.targets
    scaled = torch.tensor((x[:, :, None] - coding.mean) / coding.scale, dtype=torch.float32)
    wanted = targets.mean + targets.scale * program(scaled).detach().numpy()
    np.testing.assert_allclose(fitted.predict(x), wanted[:, 0], rtol=1e-5, atol=1e-4)


def test_004_binary_classifier(keras: Any) -> None:
    article = example("article_004")
    x, y = article.pairs(sunspots()[1][:120] / 100)
    fitted = article.build(epochs=1).fit(x, y)
    program = keras.Sequential(
        [
            keras.Input((2, 1)),
            keras.layers.SimpleRNN(1, activation="sigmoid", return_sequences=True),
            keras.layers.SimpleRNN(1, activation="sigmoid"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network = fitted.model_.model
    program.set_weights(copied(network, difference=True))
    wanted = program(torch.tensor(x[:, :, None], dtype=torch.float32))
    np.testing.assert_allclose(fitted.predict_proba(x)[:, 1:], wanted.detach(), atol=1e-6)


@pytest.mark.parametrize("number", ["000", "001", "002", "003", "004"])
def test_examples_are_short_and_say_what_is_mended(number: str) -> None:
    source = (EXAMPLES / f"article_{number}.py").read_text(encoding="utf-8")
    assert f"article {number}" in source and f"python examples/article_{number}.py" in source
    assert len(source.splitlines()) < 80


def test_from_scratch(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("from_scratch")
    module.series(epochs=2)
    module.text(epochs=1)
    printed = capsys.readouterr().out
    (differs,) = [float(line.split()[-1]) for line in printed.splitlines() if "differs" in line]
    assert differs < 1e-12
    assert "nats a character" in printed and "Now" in printed
