"""The gated recurrent unit."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.cells.base import NO_NOISE, Cell, Noise
from recurra.cells.gates import add_parameters, chrono_bias, fill_orthogonal, fill_xavier, product
from recurra.core.config import Config, parse
from recurra.core.state import State
from recurra.kernels.extension import KINDS
from recurra.kernels.fused import Fused
from recurra.kernels.native import Native


class GRUConfig(Config):
    """Options of `GRUCell`."""

    kind: Literal["gru"] = "gru"
    bias: bool = Field(default=True, description="two biases, bias_ih and bias_hh, as torch.nn")
    reset_after: bool = Field(
        default=True, description="reset gate after the recurrent product (cuDNN); False is the paper's"
    )
    layer_norm: bool = Field(default=False, description="normalise both products (Ba et al., 2016)")
    chrono_max: int | None = Field(
        default=None, ge=2, description="start the biases for memories of up to so many steps"
    )

    def build(self, input_size: int, hidden_size: int) -> GRUCell:
        """The cell."""
        return GRUCell(input_size, hidden_size, **self.model_dump(exclude={"kind"}))


class GRUCell(Cell):
    """h' = (1 - z) n + z h, with gates r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh).

    The candidate is n = tanh(W_in x + b_in + r (W_hn h + b_hn)) as cuDNN has it, or with `reset_after=False`
    n = tanh(W_in x + b_in + W_hn (r h) + b_hn) as the paper's last version has it. The rows of the weights stand in the
    order r, z, n; what Chung et al. (2014), arXiv:1412.3555, write as z is 1 - z here. Layer norm takes r and z
    together and n alone.

    Args:
        input_size: I.
        hidden_size: H.
        device: of the weights.
        dtype: of the weights.
        options: the fields of `GRUConfig`.
    Reference: Cho et al. (2014), section 2.3, https://arxiv.org/abs/1406.1078.
    """

    Config = GRUConfig
    emits_state = True
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    norm_ih: Tensor | None
    norm_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        self.options = config = parse(GRUConfig, options, source="GRUCell")
        super().__init__(input_size, hidden_size)
        size = 3 * hidden_size
        bias, norm = (size,) if config.bias else (), (size,) if config.layer_norm else ()
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (size, input_size),
            "weight_hh": (size, hidden_size),
            "bias_ih": bias,
            "bias_hh": bias,
            "norm_ih": norm,
            "norm_hh": norm,
        }
        self._leaf_sizes = (hidden_size,)
        add_parameters(self, shapes, device, dtype)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Xavier input weights, orthogonal recurrent weights, zero biases unless `chrono_max` is set."""
        fill_xavier(self.weight_ih, 3)
        fill_orthogonal(self.weight_hh, 3)
        for name in ("bias_ih", "bias_hh", "norm_ih", "norm_hh"):
            weight = getattr(self, name)
            if weight is not None:
                nn.init.constant_(weight, 1.0 if name.startswith("norm") else 0.0)
        if self.bias_ih is not None and self.options.chrono_max is not None:
            keep = self.bias_ih.chunk(3)[1]
            keep.copy_(chrono_bias(keep, self.options.chrono_max))

    def initial_state(self, batch_size: int) -> State:
        """h = 0."""
        return self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) and h (B, H) -> (B, H) twice."""
        return self.recur(self.project(x), state, NO_NOISE)

    def project(self, xs: Tensor) -> Tensor:
        """W_ih x + b_ih of any number of steps."""
        if self.norm_ih is None:
            return product(xs, self.weight_ih, self.bias_ih, None)
        return torch.cat([self._part(xs, "ih", gates) for gates in (True, False)], -1)

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        """The rest of the step."""
        h = cast(Tensor, state)
        entering = h if noise.hidden_mask is None else h * noise.hidden_mask
        split = [2 * self.hidden_size, self.hidden_size]
        projected_gates, projected_new = torch.split(projected, split, -1)
        if self.options.reset_after and self.norm_hh is None:
            gates, new = torch.split(product(entering, self.weight_hh, self.bias_hh, None), split, -1)
        else:
            gates = self._part(entering, "hh", True)
            new = self._part(entering, "hh", False) if self.options.reset_after else entering
        r, z = torch.sigmoid(projected_gates + gates).chunk(2, -1)
        recurrent = r * new if self.options.reset_after else self._part(r * new, "hh", False)
        h = ((1 - z) * torch.tanh(projected_new + recurrent) + z * h).to(h.dtype)
        return h, h

    def fused_kernel(self) -> Fused | str:
        """Torch's GRU, which resets after the product."""
        if not self.options.reset_after:
            return "torch's fused GRU resets after the recurrent product, this cell before it"
        if self.options.layer_norm:
            return "torch's fused GRU has no layer norm option"
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        return Fused("gru", [weight for weight in weights if weight is not None], self.bias_ih is not None)

    def native_kernel(self) -> Native | str:
        """Recurra's own kernel, with all options."""
        weights = self._native_weights("weight_ih", "weight_hh", "bias_ih", "bias_hh", "norm_ih", "norm_hh")
        kind = KINDS["gru" if self.options.reset_after else "gru_reset_before"]
        return Native(kind, weights, self._replay, self._packing)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        given = [f"{name}={getattr(self.options, name)}" for name in sorted(self.options.model_fields_set - {"kind"})]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])

    def _part(self, x: Tensor, side: str, gates: bool) -> Tensor:
        """The product for r and z (`gates`) or for n alone."""
        border = 2 * self.hidden_size
        rows = slice(None, border) if gates else slice(border, None)
        weight, bias, norm = (getattr(self, f"{name}_{side}") for name in ("weight", "bias", "norm"))
        return product(x, weight[rows], None if bias is None else bias[rows], None if norm is None else norm[rows])
