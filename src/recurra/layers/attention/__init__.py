"""Attention: who asks what of a memory. A new kind is one class and one line of ATTENTIONS."""

from typing import TYPE_CHECKING, TypeAlias

from recurra.core.config import by_kind
from recurra.layers.attention.additive import (
    AdditiveAttention,
    AdditiveAttentionConfig,
    LocationAttention,
    LocationAttentionConfig,
)
from recurra.layers.attention.base import AttendedMemory, Attention, AttentionOutput
from recurra.layers.attention.multi_head import MultiHeadAttention, MultiHeadAttentionConfig
from recurra.layers.attention.normalisers import Normaliser, entmax, normalise, sparsemax
from recurra.layers.attention.products import (
    DotAttention,
    DotAttentionConfig,
    GeneralAttention,
    GeneralAttentionConfig,
    LocalAttention,
    LocalAttentionConfig,
    ScaledDotAttentionConfig,
)

ATTENTIONS = {
    "additive": AdditiveAttentionConfig,
    "dot": DotAttentionConfig,
    "scaled-dot": ScaledDotAttentionConfig,
    "general": GeneralAttentionConfig,
    "local": LocalAttentionConfig,
    "location": LocationAttentionConfig,
    "multi-head": MultiHeadAttentionConfig,
}

if TYPE_CHECKING:
    AttentionConfig: TypeAlias = (
        AdditiveAttentionConfig
        | DotAttentionConfig
        | ScaledDotAttentionConfig
        | GeneralAttentionConfig
        | LocalAttentionConfig
        | LocationAttentionConfig
        | MultiHeadAttentionConfig
    )
else:
    AttentionConfig = by_kind(ATTENTIONS.values())

__all__ = [
    "ATTENTIONS",
    "AdditiveAttention",
    "AdditiveAttentionConfig",
    "AttendedMemory",
    "Attention",
    "AttentionConfig",
    "AttentionOutput",
    "DotAttention",
    "DotAttentionConfig",
    "GeneralAttention",
    "GeneralAttentionConfig",
    "LocalAttention",
    "LocalAttentionConfig",
    "LocationAttention",
    "LocationAttentionConfig",
    "MultiHeadAttention",
    "MultiHeadAttentionConfig",
    "Normaliser",
    "ScaledDotAttentionConfig",
    "entmax",
    "normalise",
    "sparsemax",
]
