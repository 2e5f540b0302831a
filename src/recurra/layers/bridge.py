"""From the state in which an encoder ends to the state in which a decoder starts."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from recurra.core.state import State, leaves, tree_map
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.recurrent import Recurrent


class Bridge(nn.Module):
    """tanh(W s + b) for each layer of the decoder, s all that the encoder's layer beside it ends with.

    The two may differ in cell, size and direction. Decoders with more layers than the encoder start all surplus ones
    from the encoder's first layer, those with fewer from its last layers.

    Args:
        encoder: whose final state comes in.
        decoder: whose initial state goes out.
    Reference: Bahdanau et al. (2015), https://arxiv.org/abs/1409.0473, appendix A.2.2, there of the backward state.
    """

    def __init__(self, encoder: Recurrent, decoder: Recurrent) -> None:
        super().__init__()
        ends, starts = (cast(tuple[State, ...], stack.initial_state(1)) for stack in (encoder, decoder))
        surplus = len(starts) - len(ends)
        self._sources = [max(0, layer - surplus) for layer in range(len(starts))]
        self._template = [tree_map(lambda leaf: leaf[0], start) for start in starts]
        self.layers = nn.ModuleList(
            nn.Linear(_size(ends[source]), _size(start)) for source, start in zip(self._sources, starts, strict=True)
        )

    def forward(self, state: State) -> State:
        """The encoder's final state -> the decoder's initial state."""
        ends = cast(tuple[State, ...], state)
        found: list[State] = []
        for layer, source, template in zip(self.layers, self._sources, self._template, strict=True):
            flat = torch.cat([leaf.flatten(1) for leaf in leaves(ends[source])], 1)
            linear = cast(nn.Linear, layer)
            start = torch.tanh(rows_linear(flat, linear.weight, linear.bias))
            parts = torch.split(start, [leaf.numel() for leaf in leaves(template)], 1)
            remaining = iter(parts)
            found.append(tree_map(lambda leaf, left=remaining: next(left).reshape(-1, *leaf.shape), template))  # type: ignore[misc]
        return tuple(found)


def _size(state: State) -> int:
    """Numbers a row."""
    return sum(leaf[0].numel() for leaf in leaves(state))
