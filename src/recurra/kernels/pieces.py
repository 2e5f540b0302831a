"""Cutting padded rows at their resets into pieces, and joining what was computed of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.core.state import State, concatenate, select, where
from recurra.kernels.rows import take_steps

# Pieces run as one batch unless padding them to the longest would cost more than this many times the steps of the
# rows; else pieces of about the same length (within a factor of two) run together.
_PADDING_BOUND = 2.0


@dataclass(frozen=True)
class Group:
    """Pieces that run as one batch.

    Attributes:
        rows: (N,) the row that each piece was cut from.
        starts: (N,) the step at which it starts.
        lengths: (N,) its number of steps.
        num_steps: the longest of them, at least 1.
    """

    rows: Tensor
    starts: Tensor
    lengths: Tensor
    num_steps: int


@dataclass(frozen=True)
class Pieces:
    """The pieces of a batch.

    Attributes:
        fresh_start: (B,) bool, rows with a reset at their first step.
        groups: all pieces.
        slots: (B, T) for each real step its place among the groups' flattened outputs.
        real: (B, T) bool, False on padding.
        last: (B,) for each row its last piece, counted over the groups.
    """

    fresh_start: Tensor
    groups: list[Group]
    slots: Tensor
    real: Tensor
    last: Tensor

    @staticmethod
    def cut(reset: Tensor, lengths: Tensor | None) -> Pieces:
        """Cut rows (B, T) at `reset`; rows of length 0 are one piece of length 0. Reads the values once."""
        batch_size, num_steps = reset.shape
        step = torch.arange(num_steps, device=reset.device)
        row_lengths = step.new_full((batch_size,), num_steps) if lengths is None else lengths
        real = step[None, :] < row_lengths[:, None]
        borders = reset & real
        fresh_start = borders[:, 0].clone()
        borders[:, 0] = True
        rows, starts = borders.nonzero(as_tuple=True)
        following = torch.cat(
            [torch.where(rows[1:] == rows[:-1], starts[1:], row_lengths[rows[:-1]]), row_lengths[rows[-1:]]]
        )
        sizes = following - starts
        order, groups = _group(rows, starts, sizes, batch_size * num_steps)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        widths = torch.cat([torch.full_like(group.rows, group.num_steps) for group in groups])
        offsets = (widths.cumsum(0) - widths)[place]
        piece = borders.reshape(-1).cumsum(0).reshape(batch_size, num_steps) - 1
        slots = offsets[piece] + step[None, :] - starts[piece]
        return Pieces(fresh_start, groups, torch.where(real, slots, 0), real, place[piece[:, -1]])

    def take(self, xs: Tensor, group: Group) -> Tensor:
        """The group's steps (N, num_steps, F) of xs (B, T, F), with some real step or other on padding."""
        within = torch.arange(group.num_steps, device=xs.device)[None, :]
        index = group.starts[:, None] + torch.minimum(within, (group.lengths[:, None] - 1).clamp(min=0))
        return take_steps(xs, group.rows[:, None] * xs.shape[1] + index)

    def take_state(self, group: Group, state: State, initial: State) -> State:
        """The state before each piece: the row's own for the first, the initial one for the others."""
        return where(group.starts == 0, select(state, group.rows), select(initial, group.rows))

    def join(self, outputs: list[Tensor]) -> Tensor:
        """The groups' outputs, each (N * num_steps, O), as rows (B, T, O), zero on padding."""
        ys = take_steps(torch.cat(outputs)[None], self.slots)
        return torch.where(self.real[..., None], ys, ys.new_zeros(()))

    def join_states(self, states: list[State]) -> State:
        """The state after each row's last piece, of the states after each group's pieces."""
        return select(concatenate(states), self.last)


def _group(rows: Tensor, starts: Tensor, sizes: Tensor, num_cells: int) -> tuple[Tensor, list[Group]]:
    """Pieces in the order of their groups, and the groups."""
    known: list[int] = sizes.tolist()
    longest = max(known)
    if len(known) * longest <= _PADDING_BOUND * num_cells:
        return torch.arange(len(known), device=rows.device), [Group(rows, starts, sizes, max(longest, 1))]
    classes: dict[int, list[int]] = {}
    for number, size in enumerate(known):
        classes.setdefault((max(size, 1) - 1).bit_length(), []).append(number)
    groups, order = [], []
    for _, members in sorted(classes.items()):
        index = torch.tensor(members, device=rows.device)
        groups.append(Group(rows[index], starts[index], sizes[index], max(max(known[m] for m in members), 1)))
        order.append(index)
    return torch.cat(order), groups
