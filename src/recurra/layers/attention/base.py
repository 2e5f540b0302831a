"""What all attentions share: the memory, the output, the checks, and the weighted mean of the keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.config import Config
from recurra.core.errors import ShapeError
from recurra.layers.attention.normalisers import Normaliser, normalise

Past = Literal["none", "last", "sum"]


class AttentionBaseConfig(Config):
    """What every attention has."""

    normaliser: Normaliser = Field(
        default="softmax", description="sparsemax and entmax give most keys a weight of exactly 0"
    )


class AttendedMemory(NamedTuple):
    """What is attended to, with all that does not depend on the query computed beforehand.

    Attributes:
        keys: (B, S, key_size), zero where the mask is False.
        projected: (B, S, *), what the scores need of the keys.
        mask: (B, S) bool, True where there is a key.
    """

    keys: Tensor
    projected: Tensor
    mask: Tensor

    def repeat(self, copies: int) -> AttendedMemory:
        """Each row `copies` times, one after another."""
        if copies == 1:
            return self
        return AttendedMemory(*(part.repeat_interleave(copies, 0) for part in self))


class AttentionOutput(NamedTuple):
    """What an attention returns; without the axis T where the query has none.

    Attributes:
        context: (B, T, context_size), zero for a row without keys.
        weights: (B, T, S), exactly 0 where there is no key; the others of a row sum to 1.
    """

    context: Tensor
    weights: Tensor


class Attention(nn.Module, ABC):
    """Queries ask a memory: a weight for each key, and the weighted mean of the keys.

        memory = attention.prepare(keys, mask)            # once
        context, weights = attention(query, memory)       # for each query, or for all steps of a decoder at once

    Attributes:
        query_size: Q.
        key_size: K.
        context_size: features of a context.
        normaliser: from scores to weights.
        past: what of the weights of earlier steps the attention wants as `previous`: nothing, those of the last step,
            or the sum over all earlier steps. Queries of such an attention come one step at a time.
    """

    past: Past = "none"

    def __init__(self, query_size: int, key_size: int, normaliser: Normaliser) -> None:
        super().__init__()
        self.query_size = query_size
        self.key_size = key_size
        self.context_size = key_size
        self.normaliser: Normaliser = normaliser

    def prepare(self, keys: Tensor, mask: Tensor) -> AttendedMemory:
        """Compute what all queries share.

        Args:
            keys: (B, S, key_size); values where the mask is False are never used, NaN included.
            mask: (B, S) bool, True where there is a key.
        Raises:
            ShapeError: the shapes do not fit.
        """
        if keys.dim() != 3 or keys.shape[2] != self.key_size or mask.shape != keys.shape[:2]:
            raise ShapeError(
                f"{type(self).__name__}(key_size={self.key_size}) got keys of shape {tuple(keys.shape)} and a mask of "
                f"shape {tuple(mask.shape)}: (B, S, {self.key_size}) and (B, S) are wanted."
            )
        cleared = torch.where(mask[..., None], keys, 0.0)
        return AttendedMemory(cleared, self.project_keys(cleared), mask)

    def forward(self, query: Tensor, memory: AttendedMemory, previous: Tensor | None = None) -> AttentionOutput:
        """Ask.

        Args:
            query: (B, query_size) or (B, T, query_size).
            memory: of `prepare`, same B.
            previous: (B, S) weights of earlier steps where `past` says so; None before the first step.
        Raises:
            ShapeError: the shapes do not fit, or an attention with a `past` got several steps at once.
        """
        queries = query[:, None] if query.dim() == 2 else query
        self._check(queries, memory, previous)
        context, weights = self.attend(queries, memory, previous)
        if query.dim() == 2:
            return AttentionOutput(context[:, 0], weights[:, 0])
        return AttentionOutput(context, weights)

    @abstractmethod
    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """`forward` for queries (B, T, query_size), everything checked."""

    def project_keys(self, keys: Tensor) -> Tensor:
        """(B, S, key_size) -> (B, S, *): what the scores need of the keys; here the keys themselves."""
        return keys

    def average(self, scores: Tensor, memory: AttendedMemory, mask: Tensor | None = None) -> AttentionOutput:
        """Scores (B, T, S) to weights, and the keys' mean under them.

        Args:
            scores: finite everywhere.
            memory: whose keys.
            mask: (B, T, S) bool, where the steps have keys of their own to choose from; None: all of the memory's.
        """
        weights = normalise(scores, memory.mask[:, None] if mask is None else mask, self.normaliser)
        return AttentionOutput(weights @ memory.keys, weights)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.query_size}, {self.key_size}, normaliser={self.normaliser}"

    def _check(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> None:
        name = f"{type(self).__name__}(query_size={self.query_size})"
        batch_size, num_keys = memory.mask.shape
        if queries.dim() != 3 or queries.shape[0] != batch_size or queries.shape[2] != self.query_size:
            raise ShapeError(
                f"{name} got queries of shape {tuple(queries.shape)} for a memory of {batch_size} rows: (B, T, "
                f"{self.query_size}) with B = {batch_size} is wanted."
            )
        if self.past != "none" and queries.shape[1] > 1:
            raise ShapeError(f"{name} looks at the weights of earlier steps: give it one step at a time.")
        if previous is not None and previous.shape != memory.mask.shape:
            raise ShapeError(
                f"{name} got earlier weights of shape {tuple(previous.shape)}: ({batch_size}, {num_keys}) is wanted."
            )
