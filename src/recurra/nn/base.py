"""What the drop-in layers share: torch.nn's arguments, layouts and parameter names around recurra's cells."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.cells import CELLS, NO_NOISE, Cell, ElmanCell, GRUCell, LSTMCell, Noise
from recurra.cells.checks import check_inputs, check_lengths, require_positive
from recurra.core.config import Config, parse
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.state import State, leaves
from recurra.kernels.dispatch import NATIVE, Path, Shape, choose, is_plain_inference
from recurra.kernels.extension import KINDS
from recurra.kernels.packing import Packing
from recurra.layers.dropout import locked_dropout, locked_mask
from recurra.layers.recurrent import Probability

Hidden = Tensor | tuple[Tensor, Tensor]
Device = torch.device | str | None
Mode = Literal["RNN_TANH", "RNN_RELU", "LSTM", "GRU"]


class Extras(Config):
    """What the constructors take beyond torch.nn's arguments; keyword only, all off by default."""

    input_dropout: Probability = Field(default=0.0, description="features of the input, the same ones at every step")
    hidden_dropout: Probability = Field(default=0.0, description="likewise between layers; `dropout` draws each step")
    output_dropout: Probability = Field(default=0.0, description="likewise on the output")
    recurrent_dropout: Probability = Field(default=0.0, description="likewise on h inside (Gal and Ghahramani, 2016)")
    zoneout: Probability | tuple[Probability, Probability] = Field(
        default=0.0, description="units of the state that keep their value (Krueger et al., 2017); LSTM: also (h, c)"
    )
    weight_drop: Probability = Field(default=0.0, description="recurrent weights (Merity et al., 2018)")
    initialisation: Literal["torch", "cell"] = Field(
        default="torch", description="uniform as torch.nn, or as recurra's cells (orthogonal, forget bias 1)"
    )


class Slot(NamedTuple):
    """One layer and direction.

    Attributes:
        layer: its number.
        is_reverse: whether it runs from the end.
        suffix: of its parameters' names.
        names: a cell's name for each of its parameters -> the module's.
        packing: of its weights.
    """

    layer: int
    is_reverse: bool
    suffix: str
    names: dict[str, str]
    packing: Packing


class Recurrence(nn.Module):
    """What RNN, LSTM and GRU share.

    Attributes:
        last_path: which kernel each layer and direction took in the last call, and why not a faster one.
    """

    last_path: list[Path]

    def __init__(
        self,
        mode: Mode,
        sizes: tuple[int, int, int, int],
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        extras: dict[str, Any],
        device: Device,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = sizes
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.extras = parse(Extras, extras, source=self._name)
        self.last_path = []
        self._check_arguments()
        # These hold no numbers: they lend their scan to the parameters below. A tuple, which torch does not register.
        self._cells = tuple(self._new_cell(layer, _HOLLOW, device="meta") for layer in range(min(self.num_layers, 2)))
        self._slots = self._make_slots()
        for slot in self._slots:
            for name, parameter in self._cell(slot.layer).named_parameters():
                empty = torch.empty(parameter.shape, device=device, dtype=dtype)
                self.register_parameter(slot.names[name], nn.Parameter(empty))
        self.reset_parameters()
        self.flatten_parameters()

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Hidden]:
        """Run over whole sequences.

        Args:
            input: (T, B, input_size), with `batch_first` (B, T, input_size); (T, input_size); or packed.
            hx: h of (num_layers * directions, B, H), for an LSTM (h, c); no axis B where the input has none; None is
                zeros.
            lengths: (B,) steps of each row, 0..T; what stands behind them is never read. Not with packed input.
            reset: bool, the input's axes without the last; True starts the row afresh, from zeros, before that step.
        Returns:
            The output in the layout of `input`, zero behind the lengths, and the state after each row's last step.
        Raises:
            ShapeError: a shape, dtype or device does not fit.
        """
        batched = isinstance(input, PackedSequence) or input.dim() == 3
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ShapeError(f"{self._name} got packed input, which has its own lengths: leave out `lengths`.")
            xs, lengths = pad_packed_sequence(input, batch_first=True)
        else:
            self._check_axes(input)
            xs = self._to_batch_first(input, batched)
            lengths = lengths if lengths is None or batched else lengths.reshape(1)
        reset = None if reset is None else self._to_batch_first(reset, batched)
        check_inputs(self._name, self.input_size, xs, self._weight("weight_ih_l0"), "input")
        check_lengths(self._name, lengths, reset, xs.shape)
        before = None if hx is None else self._checked_state(hx, xs.shape[0], batched)
        ys, after = self._run(xs, before, lengths, reset)
        if isinstance(input, PackedSequence):
            assert lengths is not None
            return _pack_like(ys, lengths, input), _as_hidden(after)
        if not batched:
            return ys[0], _as_hidden([leaf[:, 0] for leaf in after])
        return (ys if self.batch_first else ys.transpose(0, 1)), _as_hidden(after)

    def reset_parameters(self) -> None:
        """Draw the first values anew, as `initialisation` says."""
        bound = 1 / math.sqrt(self.hidden_size)
        for slot in self._slots:
            weights = self._weights(slot)
            like = weights["weight_ih"]
            drawn = None
            if self.extras.initialisation == "cell":
                drawn = self._new_cell(slot.layer, device=like.device, dtype=like.dtype)
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.uniform_(-bound, bound) if drawn is None else weight.copy_(drawn.get_parameter(name))

    def flatten_parameters(self) -> None:
        """Move the weights into one block of memory, as cuDNN wants them; elsewhere do nothing."""
        cudnn: Any = torch.backends.cudnn
        weights: list[Tensor] = [weight for group in self.all_weights for weight in group]
        if not all(weight.is_cuda and cudnn.is_acceptable(weight) for weight in weights):
            return
        if len({weight.data_ptr() for weight in weights}) < len(weights):
            return
        sizes = self.hidden_size, self.proj_size, self.num_layers
        with torch.no_grad(), torch.cuda.device(weights[0].device):
            mode = cudnn.rnn.get_cudnn_mode(self.mode)
            torch._cudnn_rnn_flatten_weight(
                weights, len(self._slots[0].names), self.input_size, mode, *sizes, self.batch_first, self.bidirectional
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for slot in self._slots:
            slot.packing.forget()
        cast(Any, super())._apply(fn, recurse)
        self.flatten_parameters()
        return self

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction."""
        return [list(self._weights(slot).values()) for slot in self._slots]

    def extra_repr(self) -> str:
        """The arguments that are not the default, for print(model)."""
        defaults = {"num_layers": 1, "proj_size": 0, "bias": True, "batch_first": False, "dropout": 0.0}
        defaults["bidirectional"] = False
        given = [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        given += [f"{name}={value}" for name, value in self.extras.model_dump(exclude_defaults=True).items()]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _make_slots(self) -> tuple[Slot, ...]:
        """In torch's order."""
        names = [name for name, _ in self._cells[0].named_parameters()]
        slots = []
        for layer, is_reverse in itertools.product(range(self.num_layers), (False, True)[: self._num_directions]):
            suffix = f"l{layer}{'_reverse' if is_reverse else ''}"
            slots.append(Slot(layer, is_reverse, suffix, {name: f"{name}_{suffix}" for name in names}, Packing()))
        return tuple(slots)

    def _weights(self, slot: Slot) -> dict[str, Tensor]:
        """The parameters of one layer and direction, under a cell's names for them."""
        return {name: self._weight(own) for name, own in slot.names.items()}

    def _weight(self, name: str) -> Tensor:
        """A parameter, or what torch.nn.utils put in its place."""
        own = self._parameters
        return cast(Tensor, own[name] if name in own else getattr(self, name))

    def _cell(self, layer: int) -> Cell:
        return self._cells[min(layer, 1)]

    def _new_cell(self, layer: int, classes: Mapping[str, Callable[..., Cell]] = CELLS, **options: Any) -> Cell:
        input_size = self.input_size if layer == 0 else self._num_directions * (self.proj_size or self.hidden_size)
        kind = {"LSTM": "lstm", "GRU": "gru"}.get(self.mode, "elman")
        if kind == "lstm":
            options["proj_size"] = self.proj_size
        if kind == "elman":
            options["activation"] = self.mode.removeprefix("RNN_").lower()
        return classes[kind](input_size, self.hidden_size, bias=self.bias, **options)

    def _run(
        self, xs: Tensor, before: list[Tensor] | None, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """(B, T, input_size) and the state's leaves (layers * directions, B, H) -> outputs (B, T, O) and new leaves."""
        is_noisy = self._is_noisy()
        plain = lengths is None and reset is None and not is_noisy and xs.numel() > 0
        plain = plain and not torch.compiler.is_compiling() and not torch.is_autocast_enabled(xs.device.type)
        # Else the last call chose recurra's kernel, and this one may be like it.
        if plain and not self._slots[0].packing.has_call():
            name, shape = self.mode.lower(), None
            # Without gradients, and from a state to the next, the weights stay packed between calls.
            if before is None or torch.is_grad_enabled():
                shape = Shape(KINDS[name], xs.shape[1], xs.shape[0], self.input_size, self.hidden_size)
            path = choose("", lambda: (name, ""), xs, self._weight("weight_ih_l0").dtype, shape)
            if path.name == "fused":
                self.last_path = [path] * len(self._slots)
                return self._run_torch(xs, before)
        return self._run_cells(xs, before, lengths, reset, is_noisy)

    def _run_torch(self, xs: Tensor, before: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Torch's own kernel over all layers and directions at once."""
        if before is None:
            before = [xs.new_zeros(len(self._slots), xs.shape[0], size) for size in self._leaf_sizes()]
        weights: list[Tensor] = [weight for group in self.all_weights for weight in group]
        # Without dropout its training mode does nothing but to keep what backward needs.
        training = self.training if self.dropout > 0 else torch.is_grad_enabled()
        options = self.bias, self.num_layers, self.dropout, training, self.bidirectional, True
        if self.mode == "LSTM":
            ys, *after = torch.lstm(xs, before, weights, *options)
        else:
            ys, *after = getattr(torch, self.mode.lower())(xs, before[0], weights, *options)
        return ys, list(after)

    def _run_cells(
        self, xs: Tensor, before: list[Tensor] | None, lengths: Tensor | None, reset: Tensor | None, is_noisy: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """One scan of a cell for each layer and direction."""
        is_plain = lengths is None and reset is None and not is_noisy and is_plain_inference()
        paths: list[Path] = []
        after: list[State] = []
        xs = locked_dropout(xs, self.extras.input_dropout, self.training)
        for layer in range(self.num_layers):
            outputs = []
            for slot in self._slots[len(after) : len(after) + self._num_directions]:
                state = None if before is None else _as_state([leaf[len(after)] for leaf in before])
                if is_plain and state is None and slot.packing.has_call():
                    state = _as_state([xs.new_zeros(xs.shape[0], size) for size in self._leaf_sizes()])
                found = self._scan_again(slot, xs, state) if is_plain and state is not None else None
                ys, new, path = found or self._scan(slot, xs, state, lengths, reset, is_noisy)
                outputs.append(ys.transpose(0, 1))
                after.append(new)
                paths.append(path)
            steps = torch.cat(outputs, 2) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                # Over (T, B, H), as torch draws it, so that the same seed drops the same.
                steps = F.dropout(steps, self.dropout, self.training)
            xs = steps.transpose(0, 1)
            if layer < self.num_layers - 1:
                xs = locked_dropout(xs, self.extras.hidden_dropout, self.training)
        if paths != self.last_path:
            self.last_path = paths
        xs = locked_dropout(xs, self.extras.output_dropout, self.training)
        return xs, [
            parts[0][None] if len(parts) == 1 else torch.stack(parts) for parts in zip(*map(leaves, after), strict=True)
        ]

    def _scan_again(self, slot: Slot, xs: Tensor, state: State) -> tuple[Tensor, State, Path] | None:
        """The slot's last call of recurra's kernel once more, where only the numbers differ."""
        found = slot.packing.run_again(self._weights(slot), xs, state, slot.is_reverse)
        if found is None:
            return None
        return found.ys.transpose(0, 1), (found.h if found.c is None else (found.h, found.c)), NATIVE

    def _scan(
        self,
        slot: Slot,
        xs: Tensor,
        state: State | None,
        lengths: Tensor | None,
        reset: Tensor | None,
        is_noisy: bool,
    ) -> tuple[Tensor, State, Path]:
        weights = self._weights(slot)
        cell = self._cell(slot.layer).with_weights(weights, slot.packing)
        noise = self._noise(cell, xs, weights) if is_noisy else NO_NOISE
        ys, after = cell.scan(xs, state, lengths, reset, noise=noise, reverse=slot.is_reverse)
        return ys, after, cell.last_path

    def _noise(self, cell: Cell, xs: Tensor, weights: dict[str, Tensor]) -> Noise:
        hidden_mask, weight_mask = None, {}
        if self.training and self.extras.recurrent_dropout > 0:
            hidden_mask = locked_mask(xs, cell.output_size, self.extras.recurrent_dropout)
        if self.training and self.extras.weight_drop > 0:
            ones = torch.ones_like(weights["weight_hh"], requires_grad=False)
            weight_mask["weight_hh"] = F.dropout(ones, self.extras.weight_drop)
        return Noise(hidden_mask, self.extras.zoneout, weight_mask, self.training)

    def _is_noisy(self) -> bool:
        """Whether anything but `dropout` acts in this mode."""
        extras = self.extras
        locked = extras.input_dropout or extras.hidden_dropout or extras.output_dropout
        active = self.training and (locked or extras.recurrent_dropout or extras.weight_drop)
        return bool(active) or extras.zoneout not in (0, (0, 0))

    def _leaf_sizes(self) -> list[int]:
        output_size = self.proj_size or self.hidden_size
        return [output_size, self.hidden_size] if self.mode == "LSTM" else [output_size]

    def _to_batch_first(self, tensor: Tensor, batched: bool) -> Tensor:
        if not batched:
            return tensor[None]
        return tensor if self.batch_first else tensor.transpose(0, 1)

    def _check_axes(self, input: Tensor) -> None:
        if input.dim() in (2, 3) and input.shape[-1] == self.input_size:
            return
        axes = f"(B, T, {self.input_size})" if self.batch_first else f"(T, B, {self.input_size})"
        raise ShapeError(
            f"{self._name}(input_size={self.input_size}, batch_first={self.batch_first}) got `input` of shape "
            f"{tuple(input.shape)}: {axes}, or (T, {self.input_size}) without a batch, is wanted."
        )

    def _checked_state(self, hx: Hidden, batch_size: int, batched: bool) -> list[Tensor]:
        """The leaves of `hx`, with the batch as axis 1."""
        given = [hx] if isinstance(hx, Tensor) else list(hx)
        axes = (len(self._slots), batch_size) if batched else (len(self._slots),)
        wanted = [(*axes, size) for size in self._leaf_sizes()]
        if [tuple(leaf.shape) for leaf in given] != wanted:
            shapes = " and ".join(str(tuple(leaf.shape)) for leaf in given)
            raise ShapeError(
                f"{self._name} got `hx` of shape {shapes}: {' and '.join(map(str, wanted))} is wanted, layers times "
                "directions first."
            )
        return given if batched else [leaf[:, None] for leaf in given]

    def _check_arguments(self) -> None:
        name = self._name
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size, "num_layers": self.num_layers}
        require_positive(name, **sizes)
        if not 0 <= self.proj_size < self.hidden_size:
            raise ConfigError(f"{name}(proj_size={self.proj_size}): 0 or more is wanted, below {self.hidden_size}.")
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"{name}(dropout={self.dropout}): a probability is wanted, 0..1.")
        if isinstance(self.extras.zoneout, tuple) and self.mode != "LSTM":
            raise ConfigError(f"{name}(zoneout={self.extras.zoneout}): one number is wanted, its state is h alone.")
        if self.num_layers == 1 and (self.dropout or self.extras.hidden_dropout):
            message = "dropout and hidden_dropout act between layers: with num_layers=1 they do nothing."
            warnings.warn(message, stacklevel=4)


class _Unfilled:
    """A cell that leaves its parameters as they are: drawing numbers without storage takes torch a second."""

    def reset_parameters(self) -> None:
        """Do nothing."""


class _HollowElman(_Unfilled, ElmanCell):
    pass


class _HollowLSTM(_Unfilled, LSTMCell):
    pass


class _HollowGRU(_Unfilled, GRUCell):
    pass


_HOLLOW: dict[str, Callable[..., Cell]] = {"elman": _HollowElman, "lstm": _HollowLSTM, "gru": _HollowGRU}


def _as_state(parts: list[Tensor]) -> State:
    return parts[0] if len(parts) == 1 else tuple(parts)


def _as_hidden(parts: list[Tensor]) -> Hidden:
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _pack_like(ys: Tensor, lengths: Tensor, packed: PackedSequence) -> PackedSequence:
    """Pack outputs (B, T, O) in the order of `packed`."""
    if packed.sorted_indices is not None:
        ys, lengths = ys.index_select(0, packed.sorted_indices), lengths[packed.sorted_indices.cpu()]
    data = pack_padded_sequence(ys, lengths, batch_first=True).data
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
