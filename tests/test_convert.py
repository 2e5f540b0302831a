from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import recurra.nn
from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.convert import from_keras, from_torch, to_keras
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.kernels.dispatch import use

# Keras's own: its variables have numpy's older __array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
needs_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")

INPUT_SIZE, HIDDEN_SIZE, BATCH_SIZE, NUM_STEPS = 3, 4, 5, 6
LENGTHS = torch.tensor([6, 1, 4, 6, 3])
# Keras layer -> its options, and the cell that it becomes.
LAYERS: list[tuple[str, dict[str, Any], type[Cell]]] = [
    ("SimpleRNN", {}, ElmanCell),
    ("SimpleRNN", {"activation": "relu", "use_bias": False}, ElmanCell),
    ("LSTM", {}, LSTMCell),
    ("LSTM", {"use_bias": False}, LSTMCell),
    ("GRU", {"reset_after": True}, GRUCell),
    ("GRU", {"reset_after": False}, GRUCell),
    ("GRU", {"reset_after": False, "use_bias": False}, GRUCell),
]


@pytest.fixture(scope="module")
def layers() -> Any:
    """`keras.layers`; imported late, as it takes seconds."""
    return pytest.importorskip("keras").layers


def make_keras(layers: Any, name: str, units: int = HIDDEN_SIZE, **options: Any) -> Any:
    """A layer whose weights, biases included, are random."""
    layer = getattr(layers, name)(units, return_sequences=True, **options)
    layer.build((None, NUM_STEPS, INPUT_SIZE))
    return randomise(layer)


def randomise(layer: Any) -> Any:
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=array.shape, scale=0.5).astype(np.float32) for array in layer.get_weights()])
    return layer


def keras_results(layer: Any, xs: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Output, gradient of the inputs, gradients of the weights, in Keras's order."""
    xs = xs.clone().requires_grad_()
    output = layer(xs, mask=mask)
    weights = [variable.value for variable in layer.trainable_weights]
    grad, *weight_grads = torch.autograd.grad(weighted(output, mask), [xs, *weights])
    return output.detach(), grad, weight_grads


def weighted(output: Tensor, mask: Tensor | None) -> Tensor:
    kept = output if mask is None else output * mask[..., None]
    return (kept.square() * torch.arange(1, 1 + kept.shape[-1])).sum()


@needs_keras
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("name", "options", "kind"), LAYERS, ids=str)
def test_keras_layers_give_the_same_numbers_and_gradients(
    layers: Any, name: str, options: dict[str, Any], kind: type[Cell], padded: bool
) -> None:
    layer = make_keras(layers, name, **options)
    cell = from_keras(layer)
    assert isinstance(cell, kind)
    xs = torch.randn(BATCH_SIZE, NUM_STEPS, INPUT_SIZE)
    mask = torch.arange(NUM_STEPS) < LENGTHS[:, None] if padded else None
    output, grad, weight_grads = keras_results(layer, xs, mask)
    ours = xs.clone().requires_grad_()
    ys, _ = cell(ours, lengths=LENGTHS if padded else None)
    names = [name for name, _ in cell.named_parameters()]
    our_grad, *our_grads = torch.autograd.grad(weighted(ys, mask), [ours, *cell.parameters()])
    torch.testing.assert_close(ys, output if mask is None else output * mask[..., None], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(our_grad, grad, rtol=1e-4, atol=1e-5)
    by_name = dict(zip(names, our_grads, strict=True))
    # A cell that holds the gradients as its weights turns them into Keras's order.
    holder = kind(INPUT_SIZE, HIDDEN_SIZE, **options_of(cell))
    if "bias_ih" in by_name and not (kind is GRUCell and options["reset_after"]):
        by_name["bias_hh"] = torch.zeros_like(by_name["bias_ih"])
    holder.load_state_dict(by_name)
    for array, expected in zip(to_keras(holder), weight_grads, strict=True):
        torch.testing.assert_close(torch.from_numpy(array), expected, rtol=1e-4, atol=1e-5)


def options_of(cell: Cell) -> dict[str, Any]:
    options = {"bias": getattr(cell, "bias_ih", None) is not None}
    return options | ({"reset_after": cell.options.reset_after} if isinstance(cell, GRUCell) else {})


@needs_keras
@pytest.mark.parametrize(("name", "options", "kind"), LAYERS, ids=str)
def test_weights_go_to_keras_and_back(layers: Any, name: str, options: dict[str, Any], kind: type[Cell]) -> None:
    layer = make_keras(layers, name, **options)
    cell = from_keras(layer)
    arrays = to_keras(cell)
    for array, original in zip(arrays, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(array, original)
    names = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
    again = from_keras(
        arrays,
        names[name],
        activation=options.get("activation", "tanh"),
        reset_after=options.get("reset_after", True),
    )
    xs = torch.randn(2, NUM_STEPS, INPUT_SIZE)
    assert torch.equal(again(xs)[0], cell(xs)[0])


@needs_keras
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_a_bidirectional_stack(layers: Any, name: str) -> None:
    stack = [layers.Bidirectional(getattr(layers, name)(units, return_sequences=True)) for units in (HIDDEN_SIZE, 2)]
    expected = xs = torch.randn(BATCH_SIZE, NUM_STEPS, INPUT_SIZE)
    for layer in stack:
        layer.build(tuple(expected.shape))
        expected = randomise(layer)(expected)
    converted = from_keras(stack)
    torch.testing.assert_close(converted(Sequences(xs)).outputs.data, expected, rtol=1e-4, atol=1e-5)
    one = from_keras(stack[0])
    torch.testing.assert_close(one(Sequences(xs)).outputs.data, stack[0](xs), rtol=1e-4, atol=1e-5)


@needs_keras
def test_cells_inside_rnn_and_a_plain_stack(layers: Any) -> None:
    stack = [layers.RNN(layers.GRUCell(HIDDEN_SIZE), return_sequences=True) for _ in range(2)]
    expected = xs = torch.randn(BATCH_SIZE, NUM_STEPS, INPUT_SIZE)
    for layer in stack:
        layer.build(tuple(expected.shape))
        expected = randomise(layer)(expected)
    torch.testing.assert_close(from_keras(stack)(Sequences(xs)).outputs.data, expected, rtol=1e-4, atol=1e-5)


@needs_keras
def test_what_can_not_be_converted_is_refused(layers: Any) -> None:
    for layer, message in (
        (layers.Dense(3), "no counterpart of the layer Dense"),
        (make_keras(layers, "LSTM", recurrent_activation="hard_sigmoid"), "recurrent_activation='hard_sigmoid'"),
        (make_keras(layers, "GRU", activation="relu"), "activation='relu'"),
        (layers.LSTM(3), "no weights yet"),
        (layers.Bidirectional(layers.LSTM(3), merge_mode="sum"), "merge_mode='sum'"),
        ([make_keras(layers, "LSTM"), make_keras(layers, "GRU")], "different kinds"),
        ([make_keras(layers, "LSTM", units) for units in (2, 3, 4)], "all but the last"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_keras(layer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RNN", {"nonlinearity": "relu", "bias": False}),
        ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 2, "batch_first": True, "dropout": 0.5}),
        ("GRU", {"num_layers": 3, "batch_first": True}),
    ],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_torch_layers(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    theirs = getattr(torch.nn, name)(INPUT_SIZE, HIDDEN_SIZE, dtype=dtype, **options).eval()
    theirs.weight_hh_l0.requires_grad_(False)
    ours = from_torch(theirs)
    assert isinstance(ours, getattr(recurra.nn, name))
    xs = torch.randn(BATCH_SIZE, NUM_STEPS, INPUT_SIZE, dtype=dtype)
    torch.testing.assert_close(ours(xs)[0], theirs(xs)[0])
    with use("fused"):
        assert torch.equal(ours(xs)[0], theirs(xs)[0])
    assert not ours.training
    assert [weight.requires_grad for weight in ours.parameters()] == [w.requires_grad for w in theirs.parameters()]
    assert all(a.data_ptr() != b.data_ptr() for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [("RNNCell", {"nonlinearity": "relu"}, ElmanCell), ("LSTMCell", {}, LSTMCell), ("GRUCell", {}, GRUCell)],
)
def test_torch_cells(name: str, options: dict[str, Any], kind: type[Cell], bias: bool) -> None:
    theirs = getattr(torch.nn, name)(INPUT_SIZE, HIDDEN_SIZE, bias=bias, **options)
    ours = from_torch(theirs)
    assert isinstance(ours, kind)
    x = torch.randn(BATCH_SIZE, INPUT_SIZE)
    expected = theirs(x)
    y, _ = ours.step(x, ours.initial_state(BATCH_SIZE))
    torch.testing.assert_close(y, expected[0] if name == "LSTMCell" else expected)


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.zeros(shape, dtype=np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (lambda: from_torch(torch.nn.Linear(2, 3)), ConfigError, "no counterpart of Linear"),
        (lambda: from_keras(arrays((3, 16), (4, 16)), "lstmm"), ConfigError, "Did you mean `lstm`"),
        (lambda: from_keras(arrays((3, 16)), "lstm"), ShapeError, "1 arrays"),
        (lambda: from_keras(arrays((3, 12), (4, 16)), "lstm"), ShapeError, r"\(I, 16\), \(4, 16\)"),
        (lambda: from_keras(arrays((3, 16), (4, 16), (2, 16)), "lstm"), ShapeError, r"a bias of \(16,\)"),
        (lambda: to_keras(LSTMCell(3, 4, peephole=True)), ConfigError, "no peephole"),
        (lambda: to_keras(GRUCell(3, 4, layer_norm=True)), ConfigError, "no layer_norm"),
    ],
)
def test_errors(fault: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fault()


def test_two_biases_of_a_cell_become_kerass_one() -> None:
    cell = LSTMCell(INPUT_SIZE, HIDDEN_SIZE)
    torch.nn.init.normal_(cell.bias_ih)
    torch.nn.init.normal_(cell.bias_hh)
    xs = torch.randn(2, NUM_STEPS, INPUT_SIZE)
    torch.testing.assert_close(from_keras(to_keras(cell), "lstm")(xs)[0], cell(xs)[0])
