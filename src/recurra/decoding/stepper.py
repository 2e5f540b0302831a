"""What a decoder asks of a model: one step from tokens to scores, with the state as a value or kept inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

from recurra.core.state import State

Feed: TypeAlias = Callable[[Tensor], Tensor]
"""Feeds one token a row, (B,) int64, to a model that keeps its state, and gives the logits (B, V) for the next."""


class Stepper(Protocol):
    """A model seen one step at a time; language models have it, and so will every other decoder."""

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Feed one token a row.

        Args:
            tokens: (B,) int64.
            state: from an earlier step, or None to start.
        Returns:
            Logits (B, V) for the next token, and the new state.
        """
