"""Window by window, values are brought to a common level and spread, and forecasts back."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from recurra.core.sequences import Sequences
from recurra.kernels.rows import clear_padding

NormalisationKind = Literal["none", "last", "window", "scaled-last", "mean", "running"]
EPSILON = 1e-5
"""Added to a variance, in the square of the task's units, as in Kim et al. (2022); of one value the spread is 1."""


class Scaled(NamedTuple):
    """Values in units of their own window.

    Attributes:
        values: (B, T, C); zeros on padding.
        shift: (B, 1, C) of the steps ahead.
        scale: (B, 1, C) of the steps ahead, above 0.
    """

    values: Tensor
    shift: Tensor
    scale: Tensor


def scale_window(kind: NormalisationKind, values: Tensor, observed: Tensor, steps: Sequences) -> Scaled:
    """Normalise whole histories.

    `last` subtracts the last value (Zeng et al. 2022, https://arxiv.org/abs/2205.13504); `window` subtracts the mean
    and divides by the standard deviation (Kim et al. 2022, https://openreview.net/forum?id=cGDAkQo1C0p, without the
    affine part, which the layers that follow can learn); `scaled-last` subtracts the last value and divides by the
    standard deviation; `mean` divides by the mean size (Salinas et al. 2017, https://arxiv.org/abs/1704.04110).

    Args:
        kind: anything but `running`.
        values: (B, T, C).
        observed: (B, T, C), 1 where a value was observed, else 0: others do not count for mean and spread.
        steps: any Sequences with the rows' lengths.
    """
    values = clear_padding(values, steps.lengths)
    shift = values.new_zeros(len(values), 1, values.shape[-1])
    scale = torch.ones_like(shift)
    if kind == "none" or values.shape[1] == 0:
        return Scaled(values, shift, scale)
    if kind != "last":
        weight = clear_padding(observed, steps.lengths)
        count = weight.sum(1, keepdim=True).clamp(min=1)
        if kind == "mean":
            size = (values.abs() * weight).sum(1, keepdim=True) / count
            scale = torch.where(size > 0, size, 1.0)
        else:
            mean = (values * weight).sum(1, keepdim=True) / count
            variance = ((values - mean).square() * weight).sum(1, keepdim=True) / count
            shift, scale = mean, torch.where(count > 1, variance + EPSILON, 1.0).sqrt()
    if kind in ("last", "scaled-last"):
        shift = last_step(values, steps)[:, None]
    scaled = values - shift if kind == "last" else (values - shift) / scale
    return Scaled(clear_padding(scaled, steps.lengths), shift, scale)


def last_step(data: Tensor, steps: Sequences) -> Tensor:
    """Each row's last real step: (B, T, D) -> (B, D); zeros for an empty row."""
    if data.shape[1] == 0:
        return data.new_zeros(len(data), data.shape[-1])
    if steps.lengths is None:
        return data[:, -1]
    rows = torch.arange(len(data), device=data.device)
    taken = data[rows, (steps.lengths - 1).clamp(min=0)]
    return taken.masked_fill((steps.lengths == 0)[:, None], 0)


class RunningScale:
    """Mean and spread of the values so far, older ones counting less; each step is scaled by those up to itself.

    What is carried: the origin (the first value, against cancellation), and discounted sums of 1, d and d^2 for d =
    value - origin, as one leaf (B, 4, C) whose weight is 0 before the first observed value.

    Args:
        memory: over how many steps a value's weight falls to 1/e.
    """

    CHUNK = 256

    def __init__(self, memory: int) -> None:
        self.decay = math.exp(-1 / memory)

    def __call__(self, values: Tensor, observed: Tensor, steps: Sequences, carried: Tensor) -> tuple[Scaled, Tensor]:
        """Scale steps that follow those already carried.

        Args:
            values: (B, T, C).
            observed: (B, T, C), 1 or 0.
            steps: any Sequences with the rows' lengths.
            carried: (B, 4, C), from an earlier call, or zeros.
        """
        values, weight = (clear_padding(part, steps.lengths) for part in (values, observed))
        origin, before = self._origin(values, weight, carried), carried[:, 1:].transpose(1, 2)
        moved = (values - origin) * weight
        sums = self._discounted(torch.stack([weight, moved, moved * (values - origin)], -1), before)
        shift, scale = self._level(origin, sums)
        final = last_step(sums.flatten(2), steps).reshape(before.shape)
        if steps.lengths is not None:
            final = torch.where((steps.lengths == 0)[:, None, None], before, final)
        elif not values.shape[1]:
            final = before
        after = torch.cat([origin, final.transpose(1, 2)], 1)
        return Scaled(clear_padding((values - shift) / scale, steps.lengths), *self.level(after)), after

    def level(self, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale (B, 1, C) of the steps ahead; before any value 0 and 1."""
        return self._level(carried[:, :1], carried[:, 1:].transpose(1, 2)[:, None])

    @staticmethod
    def _origin(values: Tensor, weight: Tensor, carried: Tensor) -> Tensor:
        if values.shape[1] == 0:
            return carried[:, :1]
        first = values.gather(1, weight.argmax(1, keepdim=True)) * (weight.amax(1, keepdim=True) > 0)
        return torch.where(carried[:, 1:2] > 0, carried[:, :1], first)

    @staticmethod
    def _level(origin: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        count, first, second = sums.unbind(-1)
        some, several, count = count > 0, count > 1, torch.where(count > 0, count, 1.0)
        mean = first / count
        variance = (second / count - mean.square()).clamp(min=0) + EPSILON
        return torch.where(some, origin + mean, 0.0), torch.where(several, variance, 1.0).sqrt()

    def _discounted(self, terms: Tensor, before: Tensor) -> Tensor:
        """Discounted sums up to each step: (B, T, C, 3)."""
        if terms.shape[1] == 1:
            return terms + self.decay * before[:, None]
        length = max(1, min(self.CHUNK, terms.shape[1]))
        place = torch.arange(length, device=terms.device)
        weights = torch.where(place[:, None] >= place, self.decay ** (place[:, None] - place).clamp(min=0), 0.0)
        fade = (self.decay ** (place + 1.0))[:, None, None]
        found = []
        for chunk in torch.split(terms, length, 1):
            steps = chunk.shape[1]
            sums = torch.einsum("ts,bsck->btck", weights[:steps, :steps], chunk) + fade[:steps] * before[:, None]
            before = sums[:, -1] if steps else before
            found.append(sums)
        return torch.cat(found, 1)
