"""Histories as forecasting models read them: joined, cut to their last steps, and cut into patches."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.core.inputs import Window
from recurra.core.sequences import Sequences


def join(window: Window) -> Sequences:
    """All that is known of each step of the history: (B, L, 2 C + P + F).

    In order: the values, 1 where they were observed (else 0), past covariates, covariates known ahead.
    """
    values = window.past.data
    observed = torch.ones_like(values) if window.observed is None else window.observed.to(values.dtype)
    parts = [values, observed, window.past_covariates, window.past_known]
    return window.past.with_data(torch.cat([part for part in parts if part is not None], -1))


def lengths_of(sequences: Sequences) -> Tensor:
    """(B,) int64, also where all rows have every step."""
    if sequences.lengths is not None:
        return sequences.lengths
    return torch.full((sequences.batch_size,), sequences.num_steps, device=sequences.data.device)


def take(data: Tensor, index: Tensor, valid: Tensor) -> Tensor:
    """Steps of each row, zeros where they are not valid: (B, T, D), (B, N) and (B, N) -> (B, N, D)."""
    if data.shape[1] == 0:
        return data.new_zeros(*index.shape, data.shape[-1])
    rows = torch.arange(len(data), device=data.device)[:, None]
    return data[rows, torch.where(valid, index, 0)].masked_fill(~valid[..., None], 0)


def recent(sequences: Sequences, count: int) -> Sequences:
    """The last `count` steps of every row, or as many as it has; zeros on padding."""
    if sequences.lengths is None:
        return Sequences(sequences.data[:, max(0, sequences.num_steps - count) :])
    lengths = sequences.lengths.clamp(max=count)
    steps = torch.arange(min(count, sequences.num_steps), device=lengths.device)
    return Sequences(
        take(sequences.data, (sequences.lengths - lengths)[:, None] + steps, steps < lengths[:, None]), lengths
    )


def append(before: Sequences, after: Sequences, count: int) -> Sequences:
    """The last `count` steps of `before` followed by `after`, row by row."""
    first, second = lengths_of(before), lengths_of(after)
    total = first + second
    lengths = total.clamp(max=count)
    steps = torch.arange(min(count, before.num_steps + after.num_steps), device=total.device)
    place = (total - lengths)[:, None] + steps
    index = torch.where(place < first[:, None], place, before.num_steps + place - first[:, None])
    return Sequences(take(torch.cat([before.data, after.data], 1), index, steps < lengths[:, None]), lengths)


def aligned_right(sequences: Sequences, count: int) -> Tensor:
    """(B, count, D) whose last step is each row's last; zeros before its first."""
    if sequences.lengths is None and sequences.num_steps >= count:
        return sequences.data[:, sequences.num_steps - count :]
    index = lengths_of(sequences)[:, None] - count + torch.arange(count, device=sequences.data.device)
    return take(sequences.data, index, index >= 0)


def patches(sequences: Sequences, length: int, stride: int) -> Sequences:
    """Runs of `length` steps every `stride` steps, the last of which ends with its row: (B, N, length * D).

    A row that does not fill its first patch has zeros in front.
    """
    count, lengths = num_patches(sequences.num_steps, length, stride), sequences.lengths
    whole = length + (count - 1) * stride
    if lengths is None and count and whole == sequences.num_steps:
        return Sequences(sequences.data.unfold(1, length, stride).transpose(2, 3).flatten(2))
    ends = lengths_of(sequences)
    counts = torch.where(ends > 0, ((ends - length).clamp(min=0) + stride - 1) // stride + 1, 0)
    number = torch.arange(count, device=ends.device)
    starts = ends[:, None] - (counts[:, None] - 1 - number) * stride - length
    index = starts[..., None] + torch.arange(length, device=ends.device)
    valid = (index >= 0) & (number < counts[:, None])[..., None]
    taken = take(sequences.data, index.flatten(1), valid.flatten(1))
    return Sequences(taken.reshape(len(ends), count, length * sequences.data.shape[-1]), counts)


def num_patches(num_steps: int, length: int, stride: int) -> int:
    """How many patches cover `num_steps` steps."""
    return 0 if num_steps == 0 else -(-max(0, num_steps - length) // stride) + 1
