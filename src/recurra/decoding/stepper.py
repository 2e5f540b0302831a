"""What a decoder asks of a model: one step from tokens and a state to scores and a state."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from recurra.core.state import State


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
