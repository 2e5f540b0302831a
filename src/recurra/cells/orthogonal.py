"""A simple recurrent network whose recurrent weights are, and stay, a rotation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells.base import NO_NOISE, Cell, Noise
from recurra.cells.gates import add_parameters, fill_xavier
from recurra.core.config import Config, parse
from recurra.core.state import State


class OrthogonalConfig(Config):
    """Options of `OrthogonalCell`."""

    kind: Literal["orthogonal"] = "orthogonal"
    bias: bool = Field(default=True, description="of modReLU; false: a linear cell")
    angle: float = Field(
        default=math.pi, ge=0, le=math.pi, description="the rotation starts with angles up to this; 0 is the identity"
    )

    def build(self, input_size: int, hidden_size: int) -> OrthogonalCell:
        """The cell."""
        return OrthogonalCell(input_size, hidden_size, **self.model_dump(exclude={"kind"}))


class OrthogonalCell(Cell):
    """h' = modReLU(W_ih x + R h), with modReLU(z) = sign(z) max(|z| + b, 0) and R = exp(A) for A = -A^T.

    R is a rotation whatever A is, so that states and gradients keep their length through the recurrent product, and no
    update can take that away. While b is 0 the cell is linear, and forgets nothing.

    Args:
        input_size: I.
        hidden_size: H.
        device: of the weights.
        dtype: of the weights.
        options: the fields of `OrthogonalConfig`.
    Attributes:
        skew: (H (H - 1) / 2,) the entries of A above its diagonal, row by row.
    Reference: the exponential: Lezcano-Casado and Martinez-Rubio (2019), https://arxiv.org/abs/1901.08428; modReLU:
        Arjovsky et al. (2016), https://arxiv.org/abs/1511.06464; rotations at the start: Henaff et al. (2016),
        https://arxiv.org/abs/1602.06662.
    """

    Config = OrthogonalConfig
    emits_state = True
    weight_ih: Tensor
    skew: Tensor
    bias: Tensor | None
    places: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        self.options = config = parse(OrthogonalConfig, options, source="OrthogonalCell")
        super().__init__(input_size, hidden_size)
        size = hidden_size * (hidden_size - 1) // 2
        self._leaf_sizes = (hidden_size,)
        bias = (hidden_size,) if config.bias else ()
        add_parameters(self, {"weight_ih": (hidden_size, input_size), "skew": (size,), "bias": bias}, device, dtype)
        places = torch.zeros(hidden_size, hidden_size, dtype=torch.int64, device=device)
        rows, columns = torch.triu_indices(hidden_size, hidden_size, 1)
        places[rows, columns] = torch.arange(1, size + 1, device=device)
        places[columns, rows] = torch.arange(size + 1, 2 * size + 1, device=device)
        self.register_buffer("places", places, persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Xavier input weights, zero bias, rotations of pairs of units by uniform angles up to `angle`."""
        fill_xavier(self.weight_ih, 1)
        nn.init.zeros_(self.skew)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        first = torch.arange(0, self.hidden_size - 1, 2, device=self.places.device)
        pairs = self.places[first, first + 1] - 1
        angles = torch.empty(len(pairs), device=self.skew.device).uniform_(-self.options.angle, self.options.angle)
        self.skew[pairs] = angles.to(self.skew.dtype)

    def rotation(self) -> Tensor:
        """R (H, H)."""
        entries = torch.cat([self.skew.new_zeros(1), self.skew, -self.skew])
        rotation: Tensor = torch.linalg.matrix_exp(entries[self.places])
        return rotation

    def initial_state(self, batch_size: int) -> State:
        """h = 0."""
        return self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) and h (B, H) -> (B, H) twice."""
        return self.recur(self.project(x), state, NO_NOISE)

    def project(self, xs: Tensor) -> Tensor:
        """W_ih x of any number of steps."""
        return F.linear(xs, self.weight_ih)

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        """The rest of the step."""
        return self.recurrence()(projected, state, noise)

    def recurrence(self) -> Callable[[Tensor, State, Noise], tuple[Tensor, State]]:
        """`recur` with the rotation of now, computed once for all steps."""
        return partial(self._rotate, self.rotation())

    def _rotate(self, rotation: Tensor, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        before = cast(Tensor, state)
        entering = before if noise.hidden_mask is None else before * noise.hidden_mask
        z = projected + F.linear(entering, rotation)
        if self.bias is not None:
            z = z.sign() * torch.relu(z.abs() + self.bias)
        h = z.to(before.dtype)
        return h, h

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.input_size}, {self.hidden_size}"
