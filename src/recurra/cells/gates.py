"""What the gated cells share: their products, parameters and initialisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def product(x: Tensor, weight: Tensor, bias: Tensor | None, norm: Tensor | None) -> Tensor:
    """x W^T + b; with `norm` (the gain) the product is layer-normalised before the bias is added.

    Reference: Ba et al. (2016), https://arxiv.org/abs/1607.06450.
    """
    if norm is None:
        return F.linear(x, weight, bias)
    normalised = F.layer_norm(F.linear(x, weight), norm.shape, norm)
    return normalised if bias is None else normalised + bias


def add_parameters(
    cell: nn.Module, shapes: dict[str, tuple[int, ...]], device: torch.device | str | None, dtype: torch.dtype | None
) -> None:
    """Register a parameter a name, unset; an empty shape registers None (the option is off)."""
    for name, shape in shapes.items():
        weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype)) if shape else None
        cell.register_parameter(name, weight)


@torch.no_grad()
def fill_xavier(weight: Tensor, num_gates: int) -> None:
    """Xavier uniform for the block (H, I) of each gate (Glorot and Bengio, 2010)."""
    for block in weight.chunk(num_gates):
        nn.init.xavier_uniform_(block)


@torch.no_grad()
def fill_orthogonal(weight: Tensor, num_gates: int) -> None:
    """Orthogonal for the block (H, O) of each gate (Saxe et al., 2014)."""
    for block in weight.chunk(num_gates):
        # The decomposition behind it has no half precision.
        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=torch.promote_types(block.dtype, torch.float32))))


def chrono_bias(like: Tensor, longest: int) -> Tensor:
    """A forget bias log(u), u uniform in 1..longest-1: memories of up to `longest` steps.

    Reference: Tallec and Ollivier (2018), https://arxiv.org/abs/1804.11188.
    """
    return torch.empty_like(like).uniform_(1, max(longest - 1, 1)).log_()
