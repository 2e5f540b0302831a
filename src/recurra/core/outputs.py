"""What a model returns when one tensor is not enough: small tuples that a task's loss and predictions take apart."""

from __future__ import annotations

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
