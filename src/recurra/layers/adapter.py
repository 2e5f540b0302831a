"""A small layer after a large one, which learns while the large one stands still.

Reference: Houlsby et al. (2019), section 2.1, https://arxiv.org/abs/1902.00751.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from recurra.kernels.rows import clear_padding


class Adapter(nn.Module):
    """h + W_up gelu(W_down h); W_up starts near zero, so that at first h hardly changes.

    Args:
        size: features of h.
        inner_size: features between.
    """

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(size, inner_size), nn.Linear(inner_size, size)
        nn.init.normal_(self.up.weight, std=0.01)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, size) -> (B, T, size), zero on padding.

        Args:
            hidden: zero on padding.
            lengths: (B,), or None where there is no padding.
        """
        change: Tensor = self.up(F.gelu(self.down(hidden)))
        return hidden + clear_padding(change, lengths)
