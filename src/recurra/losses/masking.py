"""Real positions only: what stands on padding, NaN included, reaches neither the loss nor a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.core.errors import ShapeError


def take_real(values: Tensor, mask: Tensor | None) -> Tensor:
    """The real positions.

    Args:
        values: (*M, *F).
        mask: (*M) bool, True on real positions; None: all are real.
    Returns:
        (N, *F) where there is a mask, else `values` as they are.
    Raises:
        ShapeError: the mask does not fit.
    """
    if mask is None:
        return values
    if values.shape[: mask.dim()] != mask.shape:
        raise ShapeError(
            f"a loss got a mask of shape {tuple(mask.shape)} for values of shape {tuple(values.shape)}: "
            "the first axes must be the same."
        )
    return values[mask]


def at_least_float32(values: Tensor) -> Tensor:
    """A sum of many terms needs more than a half-precision mantissa."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
