"""Output heads for language models, small vocabularies and large ones."""

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

SOFTMAXES: dict[str, type[SoftmaxHead]] = {
    "full": FullSoftmax,
    "chunked": ChunkedSoftmax,
    "sampled": SampledSoftmax,
    "adaptive": AdaptiveSoftmax,
}
SoftmaxConfig = by_kind([FullSoftmaxConfig, ChunkedSoftmaxConfig, SampledSoftmaxConfig, AdaptiveSoftmaxConfig])

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
