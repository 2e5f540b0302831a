"""Scores by products of query and key: dot, scaled dot, general, and a local window over the general score."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.errors import ConfigError
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.attention.base import AttendedMemory, Attention, AttentionBaseConfig, AttentionOutput


class DotAttentionConfig(AttentionBaseConfig):
    """Dot product; queries and keys of one size."""

    kind: Literal["dot"] = "dot"

    def build(self, query_size: int, key_size: int) -> DotAttention:
        """The attention."""
        return DotAttention(query_size, key_size, self, scale=1.0)


class ScaledDotAttentionConfig(AttentionBaseConfig):
    """Dot product divided by the root of the size; queries and keys of one size."""

    kind: Literal["scaled-dot"] = "scaled-dot"

    def build(self, query_size: int, key_size: int) -> DotAttention:
        """The attention."""
        return DotAttention(query_size, key_size, self, scale=key_size**-0.5)


class GeneralAttentionConfig(AttentionBaseConfig):
    """Bilinear."""

    kind: Literal["general"] = "general"

    def build(self, query_size: int, key_size: int) -> GeneralAttention:
        """The attention."""
        return GeneralAttention(query_size, key_size, self)


class LocalAttentionConfig(AttentionBaseConfig):
    """Bilinear, inside a window round a predicted place."""

    kind: Literal["local"] = "local"
    window: int = Field(default=10, ge=1, description="keys on either side of the predicted place")

    def build(self, query_size: int, key_size: int) -> LocalAttention:
        """The attention."""
        return LocalAttention(query_size, key_size, self)


class DotAttention(Attention):
    """score(q, k) = scale q . k.

    Reference: Luong et al. (2015), https://arxiv.org/abs/1508.04025, equation 8; the scale 1 / sqrt(K): Vaswani et al.
        (2017), https://arxiv.org/abs/1706.03762, equation 1.
    """

    def __init__(
        self, query_size: int, key_size: int, config: DotAttentionConfig | ScaledDotAttentionConfig, scale: float
    ) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        if query_size != key_size:
            raise ConfigError(
                f"{config.kind} attention needs queries and keys of one size, got {query_size} and {key_size}. Take "
                "kind general or additive, or other hidden sizes."
            )
        self.scale = scale

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        return self.average((queries * self.scale) @ memory.projected.transpose(1, 2), memory)


class GeneralAttention(Attention):
    """score(q, k) = q . W k.

    Reference: Luong et al. (2015), equation 8.
    """

    def __init__(self, query_size: int, key_size: int, config: GeneralAttentionConfig) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        self.query = nn.Linear(query_size, key_size, bias=False)

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        return self.average(rows_linear(queries, self.query.weight) @ memory.projected.transpose(1, 2), memory)


class LocalAttention(Attention):
    """score(q, k_s) = q . W k_s - (s - p)^2 / (2 sigma^2) for |s - p| <= window, with sigma = window / 2.

    The place p = (length - 1) sigmoid(v . tanh(W' q)) is predicted. The paper multiplies the weights by the Gaussian
    after the softmax; here it stands before it, so that the weights sum to 1.

    Reference: Luong et al. (2015), equations 9 and 10 (local-p).
    """

    def __init__(self, query_size: int, key_size: int, config: LocalAttentionConfig) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        self.window = config.window
        self.query = nn.Linear(query_size, key_size, bias=False)
        self.place = nn.Sequential(nn.Linear(query_size, key_size), nn.Tanh(), nn.Linear(key_size, 1))

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        scores = rows_linear(queries, self.query.weight) @ memory.projected.transpose(1, 2)
        last = (memory.mask.sum(1).to(scores.dtype) - 1).clamp(min=0)
        place = last[:, None, None] * torch.sigmoid(self.place(queries))
        distance = torch.arange(scores.shape[2], device=scores.device) - place
        scores = scores - 2 * (distance / self.window).square()
        inside = memory.mask[:, None] & (distance.detach().abs() <= self.window)
        return self.average(scores, memory, inside)
