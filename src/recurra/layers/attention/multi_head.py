"""Several attentions side by side over parts of the features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from recurra.core.errors import ConfigError
from recurra.layers.attention.base import AttendedMemory, Attention, AttentionBaseConfig, AttentionOutput
from recurra.layers.attention.normalisers import normalise


class MultiHeadAttentionConfig(AttentionBaseConfig):
    """Multi-head attention."""

    kind: Literal["multi-head"] = "multi-head"
    num_heads: int = Field(default=4, ge=1, description="attentions side by side")
    attention_size: int | None = Field(
        default=None, ge=1, description="features of all heads together; none: the key size"
    )

    def build(self, query_size: int, key_size: int) -> MultiHeadAttention:
        """The attention."""
        return MultiHeadAttention(query_size, key_size, self)


class MultiHeadAttention(Attention):
    """Scaled dot products of projected queries and keys, head by head; the returned weights are the heads' mean.

    Keys and values are two projections of one memory, kept side by side in `AttendedMemory.projected`.

    Reference: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.2.2.
    """

    def __init__(self, query_size: int, key_size: int, config: MultiHeadAttentionConfig) -> None:
        super().__init__(query_size, key_size, config.normaliser)
        size = config.attention_size or key_size
        if size % config.num_heads:
            raise ConfigError(
                f"multi-head attention: {config.num_heads} heads can't share {size} features. Set attention_size to a "
                f"multiple of num_heads."
            )
        self.num_heads = config.num_heads
        self.query = nn.Linear(query_size, size)
        # Without biases: what is zero stays zero, so that a row without keys gives zeros.
        self.key_and_value = nn.Linear(key_size, 2 * size, bias=False)
        self.output = nn.Linear(size, key_size, bias=False)

    def project_keys(self, keys: Tensor) -> Tensor:
        """Keys and values of all heads, (B, S, 2 * attention_size)."""
        projected: Tensor = self.key_and_value(keys)
        return projected

    def attend(self, queries: Tensor, memory: AttendedMemory, previous: Tensor | None) -> AttentionOutput:
        """See `forward`."""
        queries = self._heads(self.query(queries))
        keys, values = (self._heads(part) for part in memory.projected.chunk(2, -1))
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(2, 3)
        weights = normalise(scores, memory.mask[:, None, None], self.normaliser)
        context = self.output((weights @ values).transpose(1, 2).flatten(2))
        return AttentionOutput(context, weights.mean(1))

    def _heads(self, features: Tensor) -> Tensor:
        """(B, N, A) -> (B, num_heads, N, A / num_heads)."""
        return features.reshape(*features.shape[:2], self.num_heads, features.shape[2] // self.num_heads).transpose(
            1, 2
        )
