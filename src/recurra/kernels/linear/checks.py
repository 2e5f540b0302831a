"""What `linear_scan` refuses, said before torch's own errors would say it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.core.errors import ShapeError
from recurra.kernels.dispatch import can_read


def check_numbers(a: Tensor, b: Tensor, state: Tensor | None, initial: Tensor | None) -> None:
    """Check shapes, types and devices against those of `b`.

    Raises:
        ShapeError: one does not fit.
    """
    if b.dim() != 3:
        raise ShapeError(f"linear_scan got `b` of shape {_shape(b)}: three axes (B, T, D) are wanted.")
    of_row = b.shape[0], b.shape[2]
    for name, tensor, shape in (
        ("a", a, b.shape),
        ("b", b, b.shape),
        ("state", state, of_row),
        ("initial", initial, of_row),
    ):
        if tensor is None:
            continue
        if not _broadcasts(tensor, shape):
            raise ShapeError(
                f"linear_scan got `{name}` of shape {_shape(tensor)} for `b` of shape {_shape(b)}: {tuple(shape)}, or "
                "what broadcasts to it, is wanted."
            )
        if tensor.device != b.device:
            raise ShapeError(
                f"linear_scan got `{name}` on {tensor.device} and `b` on {b.device}. Move one of them: "
                f"{name}.to('{b.device}')."
            )
        if not (tensor.is_floating_point() or tensor.is_complex()):
            raise ShapeError(
                f"linear_scan got `{name}` of {tensor.dtype}: real or complex numbers are wanted. Convert them by "
                f"{name}.float()."
            )


def check_lengths(lengths: Tensor | None, reset: Tensor | None, b: Tensor) -> None:
    """Check lengths and resets; the range only where looking costs nothing.

    Raises:
        ShapeError: a wrong shape or dtype, or a length outside 0..T.
    """
    batch_size, num_steps, _ = b.shape
    if lengths is not None:
        if lengths.shape != (batch_size,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise ShapeError(
                f"linear_scan got `lengths` of shape {_shape(lengths)} and {lengths.dtype} for `b` of shape "
                f"{_shape(b)}: one whole number a row is wanted, ({batch_size},)."
            )
        if can_read(lengths):
            check_range(lengths, num_steps)
    if reset is not None and (reset.shape != (batch_size, num_steps) or reset.dtype != torch.bool):
        raise ShapeError(
            f"linear_scan got `reset` of shape {_shape(reset)} and {reset.dtype} for `b` of shape {_shape(b)}: one "
            f"torch.bool flag a step is wanted, ({batch_size}, {num_steps})."
        )


def check_range(lengths: Tensor, num_steps: int) -> None:
    """Look at the lengths.

    Raises:
        ShapeError: names the first row whose length is outside 0..T.
    """
    wrong = ((lengths < 0) | (lengths > num_steps)).nonzero()
    if len(wrong) > 0:
        row = int(wrong[0])
        raise ShapeError(f"linear_scan got lengths[{row}] = {int(lengths[row])}: a length is 0..{num_steps}.")


def _broadcasts(tensor: Tensor, shape: Sequence[int]) -> bool:
    """Whether `tensor` broadcasts to `shape`."""
    own = tensor.shape
    if len(own) == len(shape) and own == shape:
        return True
    return len(own) <= len(shape) and all(
        size in (1, wanted) for size, wanted in zip(reversed(own), reversed(shape), strict=False)
    )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
