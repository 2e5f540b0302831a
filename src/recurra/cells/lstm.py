"""The long short-term memory."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells.base import NO_NOISE, Cell, Noise
from recurra.cells.gates import add_parameters, chrono_bias, fill_orthogonal, fill_xavier, product
from recurra.core.config import Config, parse
from recurra.core.errors import ConfigError
from recurra.core.state import State
from recurra.kernels.extension import LSTM, STATE, Inputs
from recurra.kernels.fused import Fused
from recurra.kernels.native import Native


class LSTMConfig(Config):
    """Options of `LSTMCell`."""

    kind: Literal["lstm"] = "lstm"
    bias: bool = Field(default=True, description="two biases, bias_ih and bias_hh, as torch.nn")
    forget_bias: float = Field(default=1.0, description="start of the forget gate's bias (Jozefowicz et al., 2015)")
    chrono_max: int | None = Field(
        default=None, ge=2, description="start the biases for memories of up to so many steps, instead of forget_bias"
    )
    peephole: bool = Field(default=False, description="the gates see c (Gers and Schmidhuber, 2000)")
    coupled: bool = Field(default=False, description="input gate = 1 - forget gate (Greff et al., 2017)")
    layer_norm: bool = Field(default=False, description="normalise both products and c (Ba et al., 2016)")
    proj_size: int = Field(default=0, ge=0, description="size of h after a projection (Sak et al., 2014); 0 is none")
    cell_clip: float | None = Field(default=None, gt=0, description="bound of |c| (Sak et al., 2014)")

    def build(self, input_size: int, hidden_size: int) -> LSTMCell:
        """The cell."""
        return LSTMCell(input_size, hidden_size, **self.model_dump(exclude={"kind"}))


class LSTMCell(Cell):
    """c' = f c + i g, h' = o tanh(c'), with gates i, f, o = sigmoid and g = tanh of W_ih x + b_ih + W_hh h + b_hh.

    The rows of the weights stand in the order i, f, g, o; without i where `coupled`. The state is (h, c). `peephole`
    holds the diagonals for i, f, o (without i where `coupled`) one after another.

    Args:
        input_size: I.
        hidden_size: H, the size of c, and of h unless projected.
        device: of the weights.
        dtype: of the weights.
        options: the fields of `LSTMConfig`.
    Reference: Hochreiter and Schmidhuber (1997); the forget gate: Gers et al. (2000).
    """

    Config = LSTMConfig
    emits_state = True
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None
    peephole: Tensor | None
    norm_ih: Tensor | None
    norm_hh: Tensor | None
    norm_c: Tensor | None
    norm_c_bias: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        self.options = config = parse(LSTMConfig, options, source="LSTMCell")
        super().__init__(input_size, hidden_size, config.proj_size or hidden_size)
        if config.proj_size >= hidden_size:
            raise ConfigError(
                f"LSTMCell(hidden_size={hidden_size}, proj_size={config.proj_size}): the projection must be smaller "
                f"than the hidden size."
            )
        self.num_gates = 3 if config.coupled else 4
        size = self.num_gates * hidden_size
        bias, norm = (size,) if config.bias else (), (size,) if config.layer_norm else ()
        norm_c = (hidden_size,) if config.layer_norm else ()
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (size, input_size),
            "weight_hh": (size, self.output_size),
            "bias_ih": bias,
            "bias_hh": bias,
            "weight_hr": (config.proj_size, hidden_size) if config.proj_size else (),
            "peephole": (size - hidden_size,) if config.peephole else (),
            "norm_ih": norm,
            "norm_hh": norm,
            "norm_c": norm_c,
            "norm_c_bias": norm_c,
        }
        self._leaf_sizes = (self.output_size, hidden_size)
        add_parameters(self, shapes, device, dtype)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Xavier input weights, orthogonal recurrent weights, zero biases but the forget gate's."""
        fill_xavier(self.weight_ih, self.num_gates)
        fill_orthogonal(self.weight_hh, self.num_gates)
        if self.weight_hr is not None:
            nn.init.xavier_uniform_(self.weight_hr)
        for name in ("bias_ih", "bias_hh", "peephole", "norm_c_bias", "norm_ih", "norm_hh", "norm_c"):
            weight = getattr(self, name)
            if weight is not None:
                nn.init.constant_(weight, 1.0 if name in ("norm_ih", "norm_hh", "norm_c") else 0.0)
        if self.bias_ih is None:
            return
        gates = self.bias_ih.chunk(self.num_gates)
        forget = gates[0 if self.options.coupled else 1]
        if self.options.chrono_max is None:
            forget.fill_(self.options.forget_bias)
        else:
            forget.copy_(chrono_bias(forget, self.options.chrono_max))
            if not self.options.coupled:
                gates[0].copy_(-forget)

    def initial_state(self, batch_size: int) -> State:
        """(h, c) = (0, 0)."""
        return self.zeros(batch_size, self.output_size), self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) and (h (B, O), c (B, H)) -> h and the new state."""
        return self.recur(self.project(x), state, NO_NOISE)

    def project(self, xs: Tensor) -> Tensor:
        """W_ih x + b_ih of any number of steps."""
        return product(xs, self.weight_ih, self.bias_ih, self.norm_ih)

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        """The rest of the step."""
        h, c = cast(tuple[Tensor, Tensor], state)
        entering = h if noise.hidden_mask is None else h * noise.hidden_mask
        gates = projected + product(entering, self.weight_hh, self.bias_hh, self.norm_hh)
        peepholes = None if self.peephole is None else self.peephole.chunk(self.num_gates - 1)
        *first, g, o = gates.chunk(self.num_gates, -1)
        if peepholes is not None:
            first = [gate + diagonal * c for gate, diagonal in zip(first, peepholes, strict=False)]
        f = torch.sigmoid(first[-1])
        i = 1 - f if self.options.coupled else torch.sigmoid(first[0])
        c = f * c + i * torch.tanh(g)
        if self.options.cell_clip is not None:
            c = c.clamp(-self.options.cell_clip, self.options.cell_clip)
        if peepholes is not None:
            o = o + peepholes[-1] * c
        shown = c if self.norm_c is None else F.layer_norm(c, self.norm_c.shape, self.norm_c, self.norm_c_bias)
        h = (torch.sigmoid(o) * torch.tanh(shown)).to(h.dtype)
        if self.weight_hr is not None:
            h = F.linear(h, self.weight_hr).to(h.dtype)
        return h, (h, c)

    def fused_kernel(self) -> Fused | str:
        """Torch's LSTM, which knows the projection only."""
        for option in ("peephole", "coupled", "layer_norm", "cell_clip"):
            if getattr(self.options, option):
                return f"torch's fused LSTM has no {option.replace('_', ' ')} option"
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.weight_hr]
        return Fused("lstm", [weight for weight in weights if weight is not None], self.bias_ih is not None)

    def native_kernel(self) -> Native | str:
        """Recurra's own kernel, with all options."""
        weights = self._native_weights(*Inputs._fields[1:STATE])
        clip = self.options.cell_clip or 0.0
        return Native(LSTM, weights, self._replay, self._packing, self.options.coupled, clip)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        given = [f"{name}={getattr(self.options, name)}" for name in sorted(self.options.model_fields_set - {"kind"})]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])
