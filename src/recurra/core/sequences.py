"""Padded sequences with their lengths: the one type in which sequence data travels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.core.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Sequences:
    """Right-padded sequences. The mask is derived, never stored.

    Attributes:
        data: (B, T, *F); values past a row's length are never used.
        lengths: (B,) int64, 0..T, on the device of `data`; None where every row has all T steps.
        reset: (B, T) bool, True where a row starts afresh (its state is the initial one before that step), or None.
    """

    data: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.dim() < 2:
            raise ShapeError(f"Sequences needs data of shape (B, T, ...), got {tuple(self.data.shape)}.")
        if self.lengths is not None and self.lengths.shape != self.data.shape[:1]:
            raise ShapeError(
                f"Sequences got lengths of shape {tuple(self.lengths.shape)} for data of shape "
                f"{tuple(self.data.shape)}: one length a row is wanted, ({self.data.shape[0]},)."
            )
        if self.reset is not None and self.reset.shape != self.data.shape[:2]:
            raise ShapeError(
                f"Sequences got reset of shape {tuple(self.reset.shape)} for data of shape "
                f"{tuple(self.data.shape)}: one flag a step is wanted, {tuple(self.data.shape[:2])}."
            )

    @property
    def batch_size(self) -> int:
        """B."""
        return self.data.shape[0]

    @property
    def num_steps(self) -> int:
        """T, padding included."""
        return self.data.shape[1]

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True on real steps."""
        return mask_from_lengths(self.lengths, self.batch_size, self.num_steps, self.data.device)

    def num_real_steps(self) -> int:
        """How many steps are not padding, over all rows."""
        return self.data.shape[0] * self.data.shape[1] if self.lengths is None else int(self.lengths.sum())

    def with_data(self, data: Tensor) -> Sequences:
        """The same rows with other values, for example after an embedding."""
        return Sequences(data, self.lengths, self.reset)

    def to(self, device: torch.device | str) -> Sequences:
        """A copy on `device`."""
        return Sequences(
            self.data.to(device, non_blocking=True),
            None if self.lengths is None else self.lengths.to(device, non_blocking=True),
            None if self.reset is None else self.reset.to(device, non_blocking=True),
        )

    def unpad(self) -> list[Tensor]:
        """Each row without its padding."""
        if self.lengths is None:
            return list(self.data)
        return [row[:length] for row, length in zip(self.data, self.lengths.tolist(), strict=True)]


def mask_from_lengths(lengths: Tensor | None, batch_size: int, num_steps: int, device: torch.device) -> Tensor:
    """(B, T) bool mask, True on real steps; `lengths` None means that all are real."""
    if lengths is None:
        return torch.ones(batch_size, num_steps, dtype=torch.bool, device=device)
    return torch.arange(num_steps, device=device)[None, :] < lengths.to(device)[:, None]


def pad(rows: Sequence[Tensor], value: float = 0) -> Sequences:
    """Stack rows of (T_i, *F) into right-padded Sequences; `value` fills the padding.

    Raises:
        ShapeError: no rows, or rows that differ in more than their length.
    """
    if not rows:
        raise ShapeError("pad() needs at least one row.")
    if len({(row.shape[1:], row.dtype) for row in rows}) > 1:
        shapes = sorted({str(tuple(row.shape[1:])) for row in rows})
        raise ShapeError(f"pad() got rows that differ in more than length: {', '.join(shapes)}.")
    lengths = torch.tensor([row.shape[0] for row in rows], dtype=torch.int64)
    data = rows[0].new_full((len(rows), int(lengths.max()), *rows[0].shape[1:]), value)
    for target, row in zip(data, rows, strict=True):
        target[: row.shape[0]] = row
    return Sequences(data, lengths)
