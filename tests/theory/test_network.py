"""Deep and bidirectional networks, losses, optimizers and clipping against recurra, torch and Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from recurra.cells import CELLS
from recurra.core.sequences import Sequences
from recurra.core.state import leaves
from recurra.layers import Recurrent, RecurrentConfig
from recurra.theory import (
    GRU,
    LSTM,
    SGD,
    Adam,
    Elman,
    Momentum,
    Network,
    binary_cross_entropy,
    clip_by_norm,
    clip_by_value,
    cross_entropy,
    mse,
)
from recurra.theory.losses import softmax
from recurra.theory.recurrence import Cell

EXACT = {"rtol": 1e-10, "atol": 1e-10}
KINDS: dict[str, Cell] = {"elman": Elman(), "lstm": LSTM(), "gru": GRU()}


def numbers(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def stack_of(kind: str, network: Network, num_layers: int, directions: int) -> tuple[Recurrent, nn.Linear]:
    """Recurra's stack and torch's linear layer with the network's weights, loaded by name."""
    config = RecurrentConfig(
        cell=CELLS[kind].Config(), hidden_size=4, num_layers=num_layers, bidirectional=directions == 2
    )
    stack, linear = Recurrent(2, config).double(), nn.Linear(4 * directions, 3).double()
    tensors = {name: torch.from_numpy(weight) for name, weight in network.parameters().items()}
    stack.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith("cells.")})
    linear.load_state_dict({name: tensors[f"output.{name}"] for name in ("weight", "bias")})
    return stack, linear


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_network_equals_recurrent_and_autograd(kind: str, num_layers: int, directions: int) -> None:
    network = Network(KINDS[kind], 2, [4] * num_layers, 3, directions)
    for index, weight in enumerate(network.parameters().values()):
        weight += 0.2 * numbers(index, *weight.shape)
    xs, dys = numbers(1, 3, 6, 2), numbers(2, 3, 6, 3)
    ys, states, tape = network.forward(xs)
    dw, dxs = network.backward(dys, tape)

    stack, linear = stack_of(kind, network, num_layers, directions)
    inputs = torch.from_numpy(xs).requires_grad_()
    output = stack(Sequences(inputs))
    outputs = linear(output.outputs.data)
    named = dict(stack.named_parameters()) | {f"output.{name}": p for name, p in linear.named_parameters()}
    wanted = torch.autograd.grad((outputs * torch.from_numpy(dys)).sum(), [inputs, *named.values()])
    np.testing.assert_allclose(ys, outputs.detach(), **EXACT)
    for ours, theirs in zip([leaf for state in states for leaf in state], leaves(output.state), strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), **EXACT)
    assert dw.keys() == named.keys()
    for ours, theirs in zip([dxs, *(dw[name] for name in named)], wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # keras's own
def test_two_bidirectional_layers_equal_keras() -> None:
    keras = pytest.importorskip("keras")
    network = Network(LSTM(), 2, [4, 4], 3, 2)
    xs = numbers(1, 3, 6, 2)
    half = {"return_sequences": True, "dtype": "float64"}
    both = [keras.layers.Bidirectional(keras.layers.LSTM(4, **half), dtype="float64") for _ in range(2)]
    model = keras.Sequential([keras.Input((6, 2)), *both, keras.layers.Dense(3, dtype="float64")])
    arrays = []
    for w in network.cells:
        arrays += [w["weight_ih"].T, w["weight_hh"].T, w["bias_ih"] + w["bias_hh"]]
    model.set_weights([*arrays, network.output["weight"].T, network.output["bias"]])
    np.testing.assert_allclose(network.forward(xs)[0], model(xs).detach().numpy(), atol=1e-6)


def test_state_goes_on_through_a_deep_network() -> None:
    network, xs = Network(GRU(), 2, [4, 5], 3), numbers(1, 3, 6, 2)
    whole = network.forward(xs)
    first = network.forward(xs[:, :2])
    second = network.forward(xs[:, 2:], first[1])
    np.testing.assert_array_equal(whole[0], np.concatenate([first[0], second[0]], 1))


@pytest.mark.parametrize(
    ("ours", "theirs", "target"),
    [
        (mse, F.mse_loss, numbers(3, 4, 5, 3)),
        (binary_cross_entropy, F.binary_cross_entropy_with_logits, (numbers(3, 4, 5, 3) > 0).astype(float)),
        (
            cross_entropy,
            lambda z, t: F.cross_entropy(z.flatten(0, 1), t.flatten()),
            np.arange(20).reshape(4, 5) % 3,
        ),
    ],
    ids=["mse", "binary", "softmax"],
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_losses_equal_torch(ours: Callable[..., Any], theirs: Callable[..., Any], target: Any, scale: float) -> None:
    z = scale * numbers(1, 4, 5, 3)
    logits = torch.from_numpy(z).requires_grad_()
    loss = theirs(logits, torch.from_numpy(target))
    loss.backward()
    value, dz = ours(z, target)
    assert value == pytest.approx(loss.item(), rel=1e-10)
    np.testing.assert_allclose(dz, logits.grad, **EXACT)


def test_softmax_of_large_numbers() -> None:
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0, -1000.0])), [0.5, 0.5, 0.0])


def run(optimizer: Any, gradients: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    w = {"a": np.ones((2, 3)), "b": np.zeros(4)}
    for gradient in gradients:
        optimizer.update(w, {"a": gradient, "b": 3 * gradient.ravel()[:4]})
    return np.concatenate([w["a"].ravel(), w["b"]])


def run_torch(make: Callable[[list[nn.Parameter]], Any], gradients: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    parameters = [nn.Parameter(torch.ones(2, 3).double()), nn.Parameter(torch.zeros(4).double())]
    optimizer = make(parameters)
    for gradient in gradients:
        parameters[0].grad = torch.from_numpy(gradient.copy())
        parameters[1].grad = torch.from_numpy(3 * gradient.ravel()[:4])
        optimizer.step()
    return np.concatenate([p.detach().numpy().ravel() for p in parameters])


GRADIENTS = [numbers(seed, 2, 3) for seed in range(12)]


def test_sgd_and_adam_equal_torch() -> None:
    np.testing.assert_allclose(
        run(SGD(0.3), GRADIENTS), run_torch(lambda p: torch.optim.SGD(p, 0.3), GRADIENTS), **EXACT
    )
    np.testing.assert_allclose(
        run(Adam(0.02), GRADIENTS), run_torch(lambda p: torch.optim.Adam(p, 0.02), GRADIENTS), **EXACT
    )


def test_momentum_is_adams_first_half() -> None:
    """Torch's momentum with each step (1 - beta1) / (1 - beta1^t) times as long is the article's."""

    class Scaled:
        def __init__(self, parameters: list[nn.Parameter]) -> None:
            self.inner, self.t = torch.optim.SGD(parameters, 0.3, momentum=0.8), 0

        def step(self) -> None:
            self.t += 1
            self.inner.param_groups[0]["lr"] = 0.3 * (1 - 0.8) / (1 - 0.8**self.t)
            self.inner.step()

    np.testing.assert_allclose(run(Momentum(0.3, 0.8), GRADIENTS), run_torch(Scaled, GRADIENTS), **EXACT)


def test_clipping_by_norm_equals_torch_and_keeps_the_direction() -> None:
    dw = {"a": numbers(1, 2, 3), "b": numbers(2, 4)}
    parameters = [nn.Parameter(torch.zeros_like(torch.from_numpy(g))) for g in dw.values()]
    for parameter, gradient in zip(parameters, dw.values(), strict=True):
        parameter.grad = torch.from_numpy(gradient.copy())
    norm = nn.utils.clip_grad_norm_(parameters, 0.5)
    clipped, found = clip_by_norm(dw, 0.5)
    assert found == pytest.approx(norm.item(), rel=1e-12)
    for ours, parameter in zip(clipped.values(), parameters, strict=True):
        np.testing.assert_allclose(ours, parameter.grad, rtol=1e-5)  # torch adds 1e-6 to the norm
    assert np.sqrt(sum((g**2).sum() for g in clipped.values())) == pytest.approx(0.5, rel=1e-12)


def test_clipping_leaves_small_gradients_alone() -> None:
    small = {"a": np.full((2, 2), 1e-9)}
    np.testing.assert_array_equal(clip_by_norm(small, 1.0)[0]["a"], small["a"])
    np.testing.assert_array_equal(clip_by_value(small, 1.0)["a"], small["a"])


def test_clipping_by_value() -> None:
    np.testing.assert_array_equal(clip_by_value({"a": np.array([-3.0, 0.2, 5.0])}, 1.0)["a"], [-1.0, 0.2, 1.0])
