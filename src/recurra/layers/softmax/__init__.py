"""Output heads for language models, small vocabularies and large ones."""

from typing import TYPE_CHECKING, TypeAlias

from recurra.core.config import by_kind
from recurra.layers.softmax.adaptive import AdaptiveLogits, AdaptiveSoftmax, AdaptiveSoftmaxConfig
from recurra.layers.softmax.base import DeferredLogits, SoftmaxHead, smooth_prior
from recurra.layers.softmax.full import (
    ChunkedLogits,
    ChunkedSoftmax,
    ChunkedSoftmaxConfig,
    FullSoftmax,
    FullSoftmaxConfig,
)
from recurra.layers.softmax.sampled import SampledLogits, SampledSoftmax, SampledSoftmaxConfig

SOFTMAXES = {
    "full": FullSoftmax,
    "chunked": ChunkedSoftmax,
    "sampled": SampledSoftmax,
    "adaptive": AdaptiveSoftmax,
}

if TYPE_CHECKING:
    SoftmaxConfig: TypeAlias = FullSoftmaxConfig | ChunkedSoftmaxConfig | SampledSoftmaxConfig | AdaptiveSoftmaxConfig
else:
    SoftmaxConfig = by_kind(head.Config for head in SOFTMAXES.values())

__all__ = [
    "SOFTMAXES",
    "AdaptiveLogits",
    "AdaptiveSoftmax",
    "AdaptiveSoftmaxConfig",
    "ChunkedLogits",
    "ChunkedSoftmax",
    "ChunkedSoftmaxConfig",
    "DeferredLogits",
    "FullSoftmax",
    "FullSoftmaxConfig",
    "SampledLogits",
    "SampledSoftmax",
    "SampledSoftmaxConfig",
    "SoftmaxConfig",
    "SoftmaxHead",
    "smooth_prior",
]
