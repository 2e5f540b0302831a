"""A matrix that stands still, and its change of low rank.

LoRA: W = W0 + (alpha / rank) U D, with D (rank, columns) random and U (rows, rank) zero at the start. DoRA: the rows of
that sum get trained lengths m, which start as those of W0: W = m (W0 + s U D) / ||W0 + s U D||, row by row, with the
norm taken as a constant of the gradient (Liu et al. 2024, section 4.3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.finetuning.methods import DoRAConfig, LoRAConfig
from recurra.training.distributed import full


class LowRank(nn.Module):
    """The weight with its change; of a change, only `down`, `up` and `magnitude` are trained.

    A row whose U stays zero does not change: in an embedding, the words that no new text has.

    Args:
        weight: (rows, ...), taken as a matrix of all that follows the first axis.
        config: rank, scale, dropout.
        gates: blocks of rows that get a change each.
    Attributes:
        start: the weight as it was; in no checkpoint, as it is that of the model from which the run starts.
        down: (gates, rank, columns).
        up: (gates, rows / gates, rank).
        magnitude: (rows,) for DoRA, else None.
    """

    start: Tensor

    def __init__(self, weight: Tensor, config: LoRAConfig, gates: int = 1) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        rows, columns = len(matrix) // gates, matrix.shape[1]
        rank = min(config.rank, rows, columns)
        self.register_buffer("start", weight.detach().clone(), persistent=False)
        self.scale, self.dropout = config.alpha / config.rank, config.dropout
        bound = columns**-0.5
        self.down = nn.Parameter(matrix.new_empty(gates, rank, columns).uniform_(-bound, bound))
        self.up = nn.Parameter(matrix.new_zeros(gates, rows, rank))
        self.magnitude = nn.Parameter(matrix.norm(dim=1)) if isinstance(config, DoRAConfig) else None

    def forward(self) -> Tensor:
        """The weight, in its own shape and precision; in training mode with dropout of the change."""
        with torch.autocast(self.start.device.type, enabled=False):
            return self._weight(full(self.up), full(self.down))

    def _weight(self, up: Tensor, down: Tensor) -> Tensor:
        if self.training and self.dropout:
            down = down * F.dropout(down.new_ones(down.shape[-1]), self.dropout)
        blocks = self.start.reshape(*up.shape[:2], -1)
        weight = torch.baddbmm(blocks, up, down, alpha=self.scale).reshape(self.start.shape)
        if self.magnitude is None:
            return weight
        lengths = weight.detach().flatten(1).norm(dim=1)
        factor = torch.where(lengths > 0, full(self.magnitude) / lengths.clamp(min=1e-12), 1.0)
        return weight * factor.reshape(-1, *[1] * (weight.dim() - 1))
