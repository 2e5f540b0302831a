"""The simple recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.cells.base import Cell, Noise
from recurra.cells.gates import add_parameters, fill_orthogonal, fill_xavier, product
from recurra.core.config import Config, parse
from recurra.core.errors import ShapeError
from recurra.core.state import State
from recurra.kernels.extension import KINDS
from recurra.kernels.fused import Fused
from recurra.kernels.native import Native

Activation = Callable[[Tensor], Tensor]
_ACTIVATIONS: dict[str, Activation] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}
_FUSED = {"tanh": "rnn_tanh", "relu": "rnn_relu"}


class ElmanConfig(Config):
    """Options of `ElmanCell`."""

    kind: Literal["elman"] = "elman"
    activation: Literal["tanh", "relu", "sigmoid"] = Field(default="tanh", description="of the new state")
    bias: bool = Field(default=True, description="two biases, bias_ih and bias_hh, as torch.nn")
    start: Literal["auto", "orthogonal", "identity"] = Field(
        default="auto", description="of weight_hh; auto: identity for relu (Le et al., 2015), orthogonal for others"
    )
    radius: float = Field(default=1.0, ge=0, description="spectral radius of weight_hh at the start")

    def build(self, input_size: int, hidden_size: int) -> ElmanCell:
        """The cell."""
        return ElmanCell(input_size, hidden_size, **self.model_dump(exclude={"kind"}))


class ElmanCell(Cell):
    """h' = activation(W_ih x + b_ih + W_hh h + b_hh), which is also the articles' activation(W [h, x] + b).

    Args:
        input_size: I.
        hidden_size: H.
        activation: "tanh", "relu", "sigmoid", or any function of a tensor.
        device: of the weights.
        dtype: of the weights.
        options: the other fields of `ElmanConfig`.
    Reference: Elman (1990), Finding structure in time. The identity start of `weight_hh` for relu: Le et al. (2015),
        https://arxiv.org/abs/1504.00941.
    """

    Config = ElmanConfig
    emits_state = True
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if isinstance(activation, str):
            options["activation"] = activation
        self.options = config = parse(ElmanConfig, options, source="ElmanCell")
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation
        self.activation_name = activation if isinstance(activation, str) else ""
        bias = (hidden_size,) if config.bias else ()
        self._leaf_sizes = (hidden_size,)
        add_parameters(
            self,
            {
                "weight_ih": (hidden_size, input_size),
                "weight_hh": (hidden_size, hidden_size),
                "bias_ih": bias,
                "bias_hh": bias,
            },
            device,
            dtype,
        )
        self.reset_parameters()

    @classmethod
    def from_concatenated(
        cls, weight: Tensor, bias: Tensor | None = None, activation: str | Activation = "tanh"
    ) -> ElmanCell:
        """The cell of the form activation(W [h, x] + b).

        Args:
            weight: (H, H + I), the columns of h first.
            bias: (H,), or None.
            activation: as the constructor's.
        Raises:
            ShapeError: the weight has no columns for x, or the bias does not fit.
        """
        if weight.dim() != 2 or weight.shape[1] <= weight.shape[0]:
            raise ShapeError(
                f"ElmanCell.from_concatenated got `weight` of shape {tuple(weight.shape)}: (H, H + I) is wanted, the "
                f"columns of h first. Transpose it if it multiplies from the right."
            )
        size = weight.shape[0]
        if bias is not None and bias.shape != (size,):
            raise ShapeError(
                f"ElmanCell.from_concatenated got `bias` of shape {tuple(bias.shape)}: ({size},) is wanted."
            )
        cell = cls(
            weight.shape[1] - size,
            size,
            activation=activation,
            bias=bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        with torch.no_grad():
            cell.weight_hh.copy_(weight[:, :size])
            cell.weight_ih.copy_(weight[:, size:])
            if bias is not None:
                cast(Tensor, cell.bias_ih).copy_(bias)
        return cell

    def reset_parameters(self) -> None:
        """Xavier input weights, orthogonal recurrent weights or the identity times `radius`, zero biases."""
        fill_xavier(self.weight_ih, 1)
        start = self.options.start
        if start == "identity" or (start == "auto" and self.activation_name == "relu"):
            nn.init.eye_(self.weight_hh)
        else:
            fill_orthogonal(self.weight_hh, 1)
        with torch.no_grad():
            self.weight_hh.mul_(self.options.radius)
        for bias in (self.bias_ih, self.bias_hh):
            if bias is not None:
                nn.init.zeros_(bias)

    def initial_state(self, batch_size: int) -> State:
        """h = 0."""
        return self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) and h (B, H) -> (B, H) twice."""
        return self.recur(self.project(x), state, Noise())

    def project(self, xs: Tensor) -> Tensor:
        """W_ih x + b_ih of any number of steps."""
        return product(xs, self.weight_ih, self.bias_ih, None)

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        """The rest of the step."""
        before = cast(Tensor, state)
        entering = before if noise.hidden_mask is None else before * noise.hidden_mask
        h = self.activation(projected + product(entering, self.weight_hh, self.bias_hh, None)).to(before.dtype)
        return h, h

    def fused_kernel(self) -> Fused | str:
        """Torch's RNN, which knows tanh and relu."""
        if self.activation_name not in _FUSED:
            return f"torch's fused RNN has no activation {self.activation_name or 'of your own'}"
        weights = [self.weight_ih, self.weight_hh]
        if self.bias_ih is not None and self.bias_hh is not None:
            weights += [self.bias_ih, self.bias_hh]
        return Fused(_FUSED[self.activation_name], weights, self.bias_ih is not None)

    def native_kernel(self) -> Native | str:
        """Recurra's own kernel, which knows the three named activations."""
        if not self.activation_name:
            return "recurra's own kernel can't do an activation of your own"
        weights = self._native_weights("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return Native(KINDS[f"rnn_{self.activation_name}"], weights, self._replay, self._packing)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.input_size}, {self.hidden_size}, activation={self.activation_name or self.activation}"
