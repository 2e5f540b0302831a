"""Spreading padded rows so that a blank step stands before each reset, in which a fused kernel forgets its state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.kernels.rows import take_steps


@dataclass(frozen=True)
class Spread:
    """Rows (B, T) with blank steps between: (B, S), S the longest of them.

    Attributes:
        places: (B, T) where each real step went; 0 on padding.
        real: (B, T) bool, False on padding.
        sources: (B, S) which step stands there; 0 on blank steps and padding.
        lengths: (B,) real and blank steps together.
        blank: (B, S) bool, True on blank steps.
    """

    places: Tensor
    real: Tensor
    sources: Tensor
    lengths: Tensor
    blank: Tensor

    @staticmethod
    def before(reset: Tensor, lengths: Tensor | None) -> Spread:
        """Make room before each reset (B, T) bool but those at the first step. Reads the values once."""
        batch_size, num_steps = reset.shape
        step = torch.arange(num_steps, device=reset.device)
        old_lengths = step.new_full((batch_size,), num_steps) if lengths is None else lengths
        real = step[None, :] < old_lengths[:, None]
        shifts = (reset & real & (step > 0)).cumsum(1)
        new_lengths = old_lengths + shifts[:, -1]
        size = max(int(new_lengths.max()), 1)
        # Padding goes to one place behind the last, which is cut off.
        places = torch.where(real, step + shifts, size)
        sources = step.new_full((batch_size, size + 1), -1).scatter_(1, places, step.expand(batch_size, -1))[:, :size]
        within = torch.arange(size, device=reset.device)[None, :] < new_lengths[:, None]
        return Spread(torch.where(real, places, 0), real, sources.clamp(min=0), new_lengths, (sources < 0) & within)

    def spread(self, xs: Tensor) -> Tensor:
        """(B, T, F) -> (B, S, F), zero on blank steps and padding."""
        first = xs.shape[1] * torch.arange(xs.shape[0], device=xs.device)[:, None]
        within = torch.arange(self.blank.shape[1], device=xs.device)[None, :] < self.lengths[:, None]
        return torch.where((within & ~self.blank)[..., None], take_steps(xs, first + self.sources), xs.new_zeros(()))

    def gather(self, ys: Tensor) -> Tensor:
        """(B, S, F) -> (B, T, F), zero on padding."""
        first = ys.shape[1] * torch.arange(ys.shape[0], device=ys.device)[:, None]
        return torch.where(self.real[..., None], take_steps(ys, first + self.places), ys.new_zeros(()))
