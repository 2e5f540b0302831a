"""What a model returns when one tensor is not enough: small tuples that a task's loss and predictions take apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class AttendedLogits(NamedTuple):
    """Logits, and what was looked at on the way to them.

    Attributes:
        logits: (B, O).
        attention: (B, R, S), how far each of S things was looked at in each of R rounds, 0..1, at most 1 in all; 0 on
            padding.
    """

    logits: Tensor
    attention: Tensor


class Forecast(NamedTuple):
    """Distributions of the steps ahead: parameters of a standardised value, and how it is brought back.

    A value of the window is shift + scale * standardised value.

    Attributes:
        parameters: (B, H, C, K) raw, as the head gives them; the likelihood says what they mean.
        shift: (B, 1 or H, C).
        scale: (B, 1 or H, C), above 0.
        samples: (B, N, H, C) sample paths in the window's units, where the forecast was drawn step by step.
    """

    parameters: Tensor
    shift: Tensor
    scale: Tensor
    samples: Tensor | None = None


class Mixture(NamedTuple):
    """Forecasts of the same values by several models.

    Attributes:
        parts: of one shape, each with a shift and a scale of its own.
        shares: (M,) how much each counts; they sum to 1.
    """

    parts: tuple[Forecast, ...]
    shares: Tensor


Foreseen = Forecast | Mixture


def each(found: Foreseen, change: Callable[[Forecast], Forecast]) -> Foreseen:
    """The forecast changed, or every part of a mixture."""
    if isinstance(found, Mixture):
        return found._replace(parts=tuple(change(part) for part in found.parts))
    return change(found)
