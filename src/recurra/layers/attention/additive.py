"""Scores by a small network: additive attention, with coverage, and location-sensitive attention."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from recurra.kernels.additive import additive_scores
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.attention.base import AttendedMemory, Attention, AttentionBaseConfig, AttentionOutput, Past


class AdditiveAttentionConfig(AttentionBaseConfig):
    """Additive attention."""

    kind: Literal["additive"] = "additive"
    attention_size: int | None = Field(default=None, ge=1, description="hidden units of the score; none: the key size")
    coverage: bool = Field(default=False, description="the score sees how much weight a key has had (See et al., 2017)")

    def build(self, query_size: int, key_size: int) -> AdditiveAttention:
        """The attention."""
        return AdditiveAttention(query_size, key_size, self)


class LocationAttentionConfig(AttentionBaseConfig):
    """Location-sensitive attention."""

    kind: Literal["location"] = "location"
    attention_size: int | None = Field(default=None, ge=1, description="hidden units of the score; none: the key size")
    num_filters: int = Field(default=32, ge=1, description="of the convolution over the earlier weights")
    kernel_size: int = Field(default=31, ge=1, description="width of the convolution, odd")
    cumulative: bool = Field(default=True, description="look at the sum of all earlier weights, not at the last step's")

    @field_validator("kernel_size")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("kernel_size must be odd")
        return value

    def build(self, query_size: int, key_size: int) -> LocationAttention:
        """The attention."""
        return LocationAttention(query_size, key_size, self)


class AdditiveAttention(Attention):
    """score(q, k) = v . tanh(W q + U k + b), with coverage v . tanh(W q + U k + w c + b), c the key's weights so far.

    Reference: Bahdanau et al. (2015), https://arxiv.org/abs/1409.0473, appendix A.1.2; coverage: See et al. (2017),
        https://arxiv.org/abs/1704.04368, equation 11.
    """

    def __init__(self, query_size: int, key_size: int, config: AdditiveAttentionConfig) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        size = config.attention_size or key_size
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(key_size, size, bias=False)
        self.value = _score_vector(size)
        self.coverage = _score_vector(size) if config.coverage else None
        self.past: Past = "sum" if config.coverage else "none"

    def project_keys(self, keys: Tensor) -> Tensor:
        """U k."""
        return rows_linear(keys, self.key.weight)

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        past = None
        if self.coverage is not None and previous is not None:
            past = previous[..., None] * self.coverage
        return self.average(
            _scores(rows_linear(queries, self.query.weight, self.query.bias), memory.projected, past, self.value),
            memory,
        )


class LocationAttention(Attention):
    """score(q, k_s) = v . tanh(W q + U k_s + V f_s + b), f the earlier weights seen through a convolution.

    Reference: Chorowski et al. (2015), https://arxiv.org/abs/1506.07503, equations 8 and 9; the sum of all earlier
        weights as in Shen et al. (2018), https://arxiv.org/abs/1712.05884, section 2.2.
    """

    def __init__(self, query_size: int, key_size: int, config: LocationAttentionConfig) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        size = config.attention_size or key_size
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(key_size, size, bias=False)
        self.filters = nn.Conv1d(1, config.num_filters, config.kernel_size, padding=config.kernel_size // 2, bias=False)
        self.location = nn.Linear(config.num_filters, size, bias=False)
        self.value = _score_vector(size)
        self.past: Past = "sum" if config.cumulative else "last"

    def project_keys(self, keys: Tensor) -> Tensor:
        """U k."""
        return rows_linear(keys, self.key.weight)

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        past = None
        if previous is not None and previous.shape[1] > 0:
            # Weights are 0 on padding, which is what the convolution sees past the end of a row alone, too.
            past = self.location(self.filters(previous[:, None]).transpose(1, 2))
        return self.average(
            _scores(rows_linear(queries, self.query.weight, self.query.bias), memory.projected, past, self.value),
            memory,
        )


def _scores(queries: Tensor, keys: Tensor, past: Tensor | None, value: Tensor) -> Tensor:
    """(B, T, A), (B, S, A) and (B, S, A) or None -> (B, T, S)."""
    if past is not None:
        keys = keys + past
    return additive_scores(queries, keys, value)


def _score_vector(size: int) -> nn.Parameter:
    bound = 1 / math.sqrt(size)
    return nn.Parameter(torch.empty(size).uniform_(-bound, bound))
