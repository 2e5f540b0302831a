"""A recurrent stack of which part of the input is known only after the step before: input feeding."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.core.errors import ConfigError
from recurra.core.state import State, leaves
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.dropout import locked_mask
from recurra.layers.recurrent import Recurrent

_LINEAR_INPUT = (LSTMCell, GRUCell, ElmanCell)


class FedSteps:
    """One pass over the steps; what they share, dropout's masks included, is computed once.

    Args:
        stack: for inputs [known; fed]. Its mode decides on dropout; it has passed `require_steps`.
        known_size: features of the known part.
        like: any tensor with B as axis 0; gives dtype and device.
    """

    def __init__(self, stack: Recurrent, known_size: int, like: Tensor) -> None:
        self.known_size = known_size
        self.cells = [cast(Cell, cell) for cell in stack.cells]
        self.noises = [stack.noise(cell, like) for cell in self.cells]
        self.residual = stack.config.residual
        dropout = stack.config.dropout
        self.layer_dropout = dropout.layer if stack.training else 0.0
        chances = [dropout.input, *[dropout.hidden] * (len(self.cells) - 1)]
        self.masks = [
            locked_mask(like, cell.input_size, chance) if stack.training and chance else None
            for cell, chance in zip(self.cells, chances, strict=True)
        ]
        self.fed_weight = _fed_weight(self.cells[0], known_size)

    def project(self, known: Tensor) -> Tensor:
        """What the first cell makes of the known part (B, T, known_size) of all steps."""
        if self.masks[0] is not None:
            known = known * self.masks[0][:, None, : self.known_size]
        if self.fed_weight is None:
            return known
        cell = self.cells[0]
        weight, bias = cast(Tensor, cell.weight_ih)[:, : self.known_size], cell._parameters.get("bias_ih")
        return rows_linear(known, weight, bias)

    def step(self, projected: Tensor, fed: Tensor, states: State) -> tuple[Tensor, State]:
        """One step.

        Args:
            projected: (B, *), one step of `project`.
            fed: (B, fed_size).
            states: of the layers, before the step.
        Returns:
            The last layer's output (B, H), and the states after.
        """
        hidden = projected
        after: list[State] = []
        for layer, (cell, noise, mask) in enumerate(zip(self.cells, self.noises, self.masks, strict=True)):
            if layer == 0:
                ready = self._first(projected, fed if mask is None else fed * mask[:, self.known_size :])
                hidden, state = cell.recur(ready, states[0], noise)
            else:
                entering = F.dropout(hidden, self.layer_dropout, self.layer_dropout > 0)
                entering = entering if mask is None else entering * mask
                ys, state = cell.recur(cell.project(entering), states[layer], noise)
                hidden = ys + entering if self.residual and ys.shape == entering.shape else ys
            after.append(state)
        return hidden, tuple(after)

    def _first(self, projected: Tensor, fed: Tensor) -> Tensor:
        if self.fed_weight is None:
            return self.cells[0].project(torch.cat([projected, fed], -1))
        return projected + rows_linear(fed, self.fed_weight)


def require_steps(stack: Recurrent) -> None:
    """Refuse what a stack can do over whole sequences only.

    Raises:
        ConfigError: an option that can't be had together with input feeding.
    """
    dropout = stack.config.dropout
    for name in ("weight", "zoneout_hidden", "zoneout_cell"):
        if getattr(dropout, name):
            raise ConfigError(f"`dropout.{name}` needs decoder.input_feeding=none, where all steps run at once.")
    if stack.config.adapter_size:
        raise ConfigError("`adapter_size` needs decoder.input_feeding=none, where all steps run at once.")
    last = cast(Cell, stack.cells[-1])
    if next(leaves(last.initial_state(1))).shape[1:] != (last.output_size,):
        raise ConfigError(f"decoder.input_feeding needs a cell whose state begins with its output; {last} has none.")


def _fed_weight(cell: Cell, known_size: int) -> Tensor | None:
    """(P, fed_size) where the cell's input product is linear, so that the two parts add up; else None."""
    linear = any(type(cell).project is kind.project for kind in _LINEAR_INPUT)
    if not linear or cell._parameters.get("norm_ih") is not None:
        return None
    return cast(Tensor, cell.weight_ih)[:, known_size:].contiguous()
