"""Weights from torch.nn and Keras, and back to Keras; Keras itself is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import recurra.nn as drop_in
from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.cells.elman import ElmanConfig
from recurra.cells.gru import GRUConfig
from recurra.cells.lstm import LSTMConfig
from recurra.core.errors import ConfigError, ShapeError, did_you_mean
from recurra.layers.recurrent import Recurrent, RecurrentConfig

__all__ = ["KerasKind", "from_keras", "from_torch", "to_keras"]

KerasKind = Literal["simple_rnn", "lstm", "gru"]
Arrays = Sequence[Any]

_KERAS_CLASSES: dict[str, KerasKind] = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
_NUM_GATES: dict[KerasKind, int] = {"simple_rnn": 1, "lstm": 4, "gru": 3}
_LAYERS: list[tuple[type[nn.Module], type[drop_in.RNN | drop_in.LSTM | drop_in.GRU]]] = [
    (nn.RNN, drop_in.RNN),
    (nn.LSTM, drop_in.LSTM),
    (nn.GRU, drop_in.GRU),
]


def from_torch(module: nn.Module) -> nn.Module:
    """A copy of a torch.nn recurrent module with the same weights.

    Args:
        module: torch.nn.RNN, LSTM or GRU, or RNNCell, LSTMCell or GRUCell.
    Returns:
        The `recurra.nn` layer of the same name, or the recurra cell; same dtype, device, training mode and frozen
        weights.
    Raises:
        ConfigError: a module of another kind.
    """
    if isinstance(module, nn.RNNCellBase):
        copy: nn.Module = _cell_like(module)
    else:
        copy = _layer_like(module)
    copy.load_state_dict(module.state_dict())
    for name, parameter in module.named_parameters():
        copy.get_parameter(name).requires_grad_(parameter.requires_grad)
    return copy.train(module.training)


def from_keras(
    source: Any, kind: KerasKind | None = None, *, activation: str = "tanh", reset_after: bool = True
) -> Cell | Recurrent:
    """Recurra's form of Keras weights.

    Args:
        source: a built Keras layer (SimpleRNN, LSTM, GRU, their cells, RNN around one of them, Bidirectional with
            merge_mode "concat"); a list of such layers; or with `kind` the arrays of `get_weights()`: kernel,
            recurrent kernel, and bias if there is one.
        kind: what the arrays are.
        activation: of a simple_rnn given as arrays.
        reset_after: of a gru given as arrays without a bias; a bias tells it.
    Returns:
        The cell for one layer; a `Recurrent` for Bidirectional or a list. Dropout rates are not taken over.
    Raises:
        ConfigError: another layer, or an option that recurra's cell does not have.
        ShapeError: arrays that don't fit each other.
    """
    if kind is not None:
        return _cell_from_arrays(kind, source, activation, reset_after)
    if isinstance(source, list | tuple):
        return _stack([_directions(layer) for layer in source])
    cells = _directions(source)
    return cells[0] if len(cells) == 1 else _stack([cells])


def to_keras(cell: Cell) -> list[NDArray[Any]]:
    """The arrays for `set_weights()` of the Keras layer that computes the same.

    Args:
        cell: ElmanCell (SimpleRNN), LSTMCell without options, or GRUCell without layer norm.
    Raises:
        ConfigError: a cell, or an option of it, that Keras does not have.
    """
    if isinstance(cell, LSTMCell):
        _refuse_options(cell, ("peephole", "coupled", "layer_norm", "proj_size"))
        order = [0, 1, 2, 3]
    elif isinstance(cell, GRUCell):
        _refuse_options(cell, ("layer_norm",))
        order = [1, 0, 2]
    elif isinstance(cell, ElmanCell):
        order = [0]
    else:
        raise ConfigError(f"to_keras: Keras has no {type(cell).__name__}. Known: ElmanCell, LSTMCell, GRUCell.")
    arrays = [_reorder(weight, order).T for weight in (cell.weight_ih, cell.weight_hh)]
    if cell.bias_ih is None or cell.bias_hh is None:
        return [_to_numpy(array) for array in arrays]
    biases = torch.stack([_reorder(bias, order) for bias in (cell.bias_ih, cell.bias_hh)])
    two_biases = isinstance(cell, GRUCell) and cell.options.reset_after
    return [_to_numpy(array) for array in (*arrays, biases if two_biases else biases.sum(0))]


def _layer_like(module: nn.Module) -> nn.Module:
    for theirs, ours in _LAYERS:
        if isinstance(module, theirs):
            weight: Any = module.weight_ih_l0
            names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
            names += {nn.RNN: ["nonlinearity"], nn.LSTM: ["proj_size"]}.get(theirs, [])
            arguments = {name: getattr(module, name) for name in names}
            return ours(**arguments, device=weight.device, dtype=weight.dtype)
    raise ConfigError(
        f"from_torch: no counterpart of {type(module).__name__}. Known: torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell, "
        "GRUCell. For a whole model, convert each of them in it."
    )


def _cell_like(module: nn.RNNCellBase) -> Cell:
    weight = module.weight_ih
    sizes = module.input_size, module.hidden_size
    options: dict[str, Any] = {"bias": module.bias, "device": weight.device, "dtype": weight.dtype}
    if isinstance(module, nn.LSTMCell):
        return LSTMCell(*sizes, **options)
    if isinstance(module, nn.GRUCell):
        return GRUCell(*sizes, **options)
    if isinstance(module, nn.RNNCell):
        return ElmanCell(*sizes, activation=module.nonlinearity, **options)
    raise ConfigError(f"from_torch: no counterpart of {type(module).__name__}. Known: RNNCell, LSTMCell, GRUCell.")


def _directions(layer: Any) -> list[Cell]:
    """The cell of a Keras layer; forward and backward cell of a Bidirectional."""
    if type(layer).__name__ != "Bidirectional":
        return [_cell_from_layer(layer)]
    if layer.merge_mode != "concat":
        raise ConfigError(
            f"from_keras: Bidirectional has merge_mode={layer.merge_mode!r}: only 'concat' can be converted."
        )
    return [_cell_from_layer(layer.forward_layer), _cell_from_layer(layer.backward_layer)]


def _cell_from_layer(layer: Any) -> Cell:
    name = type(layer).__name__
    if name == "RNN":
        return _cell_from_layer(layer.cell)
    kind = _KERAS_CLASSES.get(name.removesuffix("Cell"))
    if kind is None:
        known = [*_KERAS_CLASSES, "Bidirectional"]
        raise ConfigError(f"from_keras: no counterpart of the layer {name}.{did_you_mean(name, known)}")
    config = layer.get_config()
    wanted = {} if kind == "simple_rnn" else {"activation": "tanh", "recurrent_activation": "sigmoid"}
    for option, value in wanted.items():
        if config[option] != value:
            raise ConfigError(
                f"from_keras: {name} has {option}={config[option]!r}: recurra's cell has {value!r} there. Write a cell "
                "of your own (recurra.cells.Cell) for another."
            )
    arrays = layer.get_weights()
    if not arrays:
        raise ConfigError(f"from_keras: {name} has no weights yet: call it once, or build(input_shape), first.")
    return _cell_from_arrays(kind, arrays, config["activation"], config.get("reset_after", True))


def _cell_from_arrays(kind: KerasKind, arrays: Arrays, activation: str, reset_after: bool) -> Cell:
    if kind not in get_args(KerasKind):
        raise ConfigError(f"from_keras: no kind `{kind}`.{did_you_mean(kind, get_args(KerasKind))}")
    if len(arrays) not in (2, 3):
        raise ShapeError(f"from_keras: {len(arrays)} arrays; kernel, recurrent kernel and perhaps a bias are wanted.")
    kernel, recurrent, *bias = (torch.tensor(np.asarray(array)) for array in arrays)
    hidden_size = recurrent.shape[0]
    rows = _NUM_GATES[kind] * hidden_size
    bias_shapes = [(rows,), (2, rows)] if kind == "gru" else [(rows,)]
    fits = kernel.dim() == 2 and kernel.shape[1] == rows and recurrent.shape == (hidden_size, rows)
    if not fits or any(tuple(part.shape) not in bias_shapes for part in bias):
        raise ShapeError(
            f"from_keras: {kind} arrays of shapes {[tuple(np.shape(array)) for array in arrays]}: (I, {rows}), "
            f"({hidden_size}, {rows}) and a bias of {' or '.join(map(str, bias_shapes))} are wanted."
        )
    if bias and kind == "gru":
        reset_after = bias[0].dim() == 2
    cell = _new_cell(kind, (kernel.shape[0], hidden_size), bool(bias), activation, reset_after).to(kernel.dtype)
    order = [1, 0, 2] if kind == "gru" else list(range(_NUM_GATES[kind]))
    weights = {"weight_ih": _reorder(kernel.T, order), "weight_hh": _reorder(recurrent.T, order)}
    if bias:
        both = bias[0] if bias[0].dim() == 2 else torch.stack([bias[0], torch.zeros_like(bias[0])])
        weights |= {"bias_ih": _reorder(both[0], order), "bias_hh": _reorder(both[1], order)}
    cell.load_state_dict(weights)
    return cell


def _new_cell(kind: KerasKind, sizes: tuple[int, int], bias: bool, activation: str, reset_after: bool) -> Cell:
    if kind == "lstm":
        return LSTMCell(*sizes, bias=bias)
    if kind == "gru":
        return GRUCell(*sizes, bias=bias, reset_after=reset_after)
    return ElmanCell(*sizes, activation=activation, bias=bias)


def _stack(layers: list[list[Cell]]) -> Recurrent:
    """One `Recurrent` of cells that Keras ran one after another."""
    cells = [cell for directions in layers for cell in directions]
    if not cells or any(len(directions) != len(layers[0]) for directions in layers):
        raise ConfigError("from_keras: a list of layers must be all Bidirectional, or none.")
    hidden_size, last_size = cells[0].hidden_size, cells[-1].hidden_size
    sizes = [cell.hidden_size for cell in cells]
    num_last = len(layers[-1])
    if sizes != [hidden_size] * (len(cells) - num_last) + [last_size] * num_last:
        raise ConfigError(f"from_keras: layers of {sizes} units: all but the last must have the same.")
    if any(_config_of(cell) != _config_of(cells[0]) for cell in cells):
        raise ConfigError("from_keras: layers of different kinds or options; convert them one by one.")
    remaining = iter(cells)
    config = RecurrentConfig(
        cell=_config_of(cells[0]),
        hidden_size=hidden_size,
        num_layers=len(layers),
        bidirectional=len(layers[0]) == 2,
        last_size=None if last_size == hidden_size else last_size,
    )
    return Recurrent(cells[0].input_size, config, lambda input_size, size: next(remaining))


def _config_of(cell: Cell) -> ElmanConfig | LSTMConfig | GRUConfig:
    if isinstance(cell, LSTMCell | GRUCell):
        return cell.options
    assert isinstance(cell, ElmanCell), "only these three come from Keras"
    return ElmanConfig(activation=cell.activation_name, bias=cell.bias_ih is not None)


def _refuse_options(cell: LSTMCell | GRUCell, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(cell.options, name):
            raise ConfigError(f"to_keras: Keras's {type(cell).__name__} has no {name}, this cell has.")


def _reorder(rows: Tensor, order: list[int]) -> Tensor:
    """Blocks of rows, one a gate, in another order."""
    blocks = rows.chunk(len(order))
    return torch.cat([blocks[index] for index in order])


def _to_numpy(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy().copy()
    return array
