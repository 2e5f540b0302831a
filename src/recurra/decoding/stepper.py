"""What a decoder asks of a model: one step from tokens to scores, with the state as a value or kept inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from recurra.core.state import State

Feed: TypeAlias = Callable[[Tensor], Tensor]
"""Feeds one token a row, (B,) int64, to a model that keeps its state, and gives the logits (B, V) for the next."""


class Stepper(Protocol):
    """A model seen one step at a time: language models have it, and so has the decoder of an encoder-decoder."""

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Feed one token a row.

        Args:
            tokens: (B,) int64.
            state: from an earlier step, or None to start.
        Returns:
            Logits (or log-probabilities) (B, V) for the next token, and the new state.
        """


@runtime_checkable
class Attending(Protocol):
    """A stepper that looks at a source while it steps."""

    def attention(self, state: State) -> Tensor:
        """(R, S): the weights of the step that gave `state`; 0 on padding."""


@runtime_checkable
class Selecting(Protocol):
    """A stepper that keeps something for each row inside, such as the encoded source."""

    def select(self, rows: Tensor) -> Stepper:
        """The same for the given rows (int64 indices) alone, so that finished rows cost nothing more."""


def attention_of(stepper: Stepper, state: State) -> Tensor | None:
    """(R, S) weights of the last step, or None where the model has none."""
    return stepper.attention(state) if isinstance(stepper, Attending) else None
