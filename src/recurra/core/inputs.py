"""What a model reads when one row of tokens is not enough: frozen dataclasses of `Sequences` and tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from recurra.core.sequences import Sequences


class Inputs:
    """Base of the dataclasses below; the first field has a row for each row of the batch."""

    __slots__ = ()

    @property
    def batch_size(self) -> int:
        """B."""
        first = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]
        return int(first.batch_size)

    def to(self, device: torch.device | str) -> Self:
        """A copy on `device`."""
        moved = {field.name: _move(getattr(self, field.name), device) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **moved)  # type: ignore[type-var]


def _move(part: Any, device: torch.device | str) -> Any:
    if isinstance(part, Tensor):
        return part.to(device, non_blocking=True)
    return part.to(device) if isinstance(part, Sequences | Inputs) else part


@dataclass(frozen=True, slots=True)
class Words(Inputs):
    """Sentences of words, each word also as its characters, and as a part of the running text.

    Attributes:
        words: (B, T) word indices.
        spellings: (U, C) character indices of the distinct words of the batch, or None.
        spelling_of: (B, T) int64, each word's row of `spellings`; 0 on padding.
        text: (B, L) the sentence in the tokens of a pretrained language model, an eos on either side, or None.
        starts: (B, T) int64, where in `text` each word's first token stands; 0 on padding.
        ends: (B, T) int64, where its last token stands; 0 on padding.
    """

    words: Sequences
    spellings: Sequences | None = None
    spelling_of: Tensor | None = None
    text: Sequences | None = None
    starts: Tensor | None = None
    ends: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Pair(Inputs):
    """A source and what a teacher-forced decoder reads of the target.

    Attributes:
        source: (B, S) source vocabulary indices, eos at the end.
        target: (B, T) target vocabulary indices shifted by one: eos, then all but the last of the targets; below V,
            a copied unknown word is the unknown token.
        copies: (B, S) int64, each source token's index in the extended target vocabulary: its own where the target
            vocabulary knows it, else V + k for the k-th unknown word of the row; 0 on padding; None without copying.
        num_copies: how many entries beyond V the batch needs.
    """

    source: Sequences
    target: Sequences
    copies: Tensor | None = None
    num_copies: int = 0


@dataclass(frozen=True, slots=True)
class Reading(Inputs):
    """Questions, and the passages that hold the answers.

    Attributes:
        question: (B, Q) words.
        passage: (B, T) words.
        features: (B, T, F) float, what is known of each passage word beside its form (exact match, frequency, ...).
    """

    question: Words
    passage: Words
    features: Tensor


@dataclass(frozen=True, slots=True)
class Story(Inputs):
    """Questions on stories whose sentences recur; each distinct sentence of the batch is held once.

    Attributes:
        question: (B, Q) word indices.
        story: (B, M) rows of `sentences`, in order of telling.
        sentences: (N, L) word indices.
    """

    question: Sequences
    story: Sequences
    sentences: Sequences


@dataclass(frozen=True, slots=True)
class Window(Inputs):
    """Series up to an origin, and what is known of the steps after it; numbers in the task's units, NaN nowhere.

    A history shorter than the longest of the batch is right-padded: its last value stands at its length - 1.

    Attributes:
        past: (B, L, C) the values to be forecast, up to the origin.
        observed: (B, L, C) bool, False where `past` was filled in for a missing value; None: all were there.
        past_covariates: (B, L, P) covariates that end at the origin, or None.
        past_known: (B, L, F) covariates and calendar features that are known ahead, up to the origin, or None.
        future_known: (B, H, F) the same after it, or None; H may differ from the training horizon.
        static: (B, S) features of the series as a whole, or None.
        series: (B,) int64, which of the training series each row is, -1 for a new one; None where models must not know.
        shifted: (B, H, C) what a teacher-forced decoder reads: the last known value, then all but the last of the
            targets; None outside training.
    """

    past: Sequences
    observed: Tensor | None = None
    past_covariates: Tensor | None = None
    past_known: Tensor | None = None
    future_known: Tensor | None = None
    static: Tensor | None = None
    series: Tensor | None = None
    shifted: Tensor | None = None
