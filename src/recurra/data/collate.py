"""Examples -> padded batch: the only place that pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.core.batch import Batch
from recurra.core.sequences import Sequences


class Example(NamedTuple):
    """One encoded record.

    Attributes:
        tokens: (T,) vocabulary indices.
        target: a class index, or a list of numbers (one a label, for multi-label).
        id: the record's.
    """

    tokens: Sequence[int] | np.ndarray
    target: int | Sequence[float] | np.ndarray
    id: str


class SeriesExample(NamedTuple):
    """One encoded series of vectors.

    Attributes:
        steps: (T, F) float32.
        target: a class index, or a list of numbers.
        id: the series'.
    """

    steps: np.ndarray
    target: int | Sequence[float] | np.ndarray
    id: str


def collate_tokens(examples: Sequence[Example]) -> Batch:
    """Pad token sequences into one batch with a target a row.

    Args:
        examples: at least one; a row may be empty (length 0).
    Returns:
        inputs.data (B, T) int64, T >= 1, padded by 0; inputs.lengths None where no row is padded; targets (B,) int64,
        or (B, O) float32 where the targets are lists.
    """
    return Batch(
        pad_tokens([example.tokens for example in examples]),
        stack_targets([example.target for example in examples]),
        tuple(example.id for example in examples),
    )


def collate_series(examples: Sequence[SeriesExample]) -> Batch:
    """Pad series of vectors into one batch with a target a row.

    Returns:
        inputs.data (B, T, F) float32, T >= 1, padded by 0; inputs.lengths None where no row is padded; targets as
        `collate_tokens`.
    """
    return Batch(
        pad_steps([example.steps for example in examples]),
        stack_targets([example.target for example in examples]),
        tuple(example.id for example in examples),
    )


def pad_steps(rows: Sequence[np.ndarray]) -> Sequences:
    """Pad rows of vectors (T_i, F) with zeros; at least one row, and at least one step wide."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    width = max(1, int(lengths.max()))
    if int(lengths.min()) == width:
        return Sequences(torch.from_numpy(np.stack(rows).astype(np.float32, copy=False)))
    data = np.zeros((len(rows), width, rows[0].shape[1]), dtype=np.float32)
    data[np.arange(width)[None, :] < lengths[:, None]] = np.concatenate(rows)
    return Sequences(torch.from_numpy(data), torch.from_numpy(lengths))


def pad_tokens(rows: Sequence[Sequence[int] | np.ndarray]) -> Sequences:
    """Pad rows of vocabulary indices; at least one step wide, so that pooling always has something to look at."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    width = max(1, int(lengths.max(initial=0)))
    data = np.zeros((len(rows), width), dtype=np.int64)
    filled = [row for row in rows if len(row)]
    if filled:
        data[np.arange(width)[None, :] < lengths[:, None]] = np.concatenate(filled)
    full = len(rows) == 0 or int(lengths.min()) == width
    return Sequences(torch.from_numpy(data), None if full else torch.from_numpy(lengths))


def stack_targets(targets: Sequence[Any]) -> Tensor:
    """Class indices as (B,) int64, or rows of numbers as (B, O) float32."""
    if len(targets) and np.ndim(targets[0]) > 0:
        return torch.from_numpy(np.asarray(targets, dtype=np.float32))
    return torch.from_numpy(np.asarray(targets, dtype=np.int64))
