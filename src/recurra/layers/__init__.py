"""Floor 4: what models are put together from."""

from recurra.layers.attention import (
    ATTENTIONS,
    AdditiveAttentionConfig,
    AttendedMemory,
    Attention,
    AttentionConfig,
    AttentionOutput,
    GeneralAttentionConfig,
)
from recurra.layers.bridge import Bridge
from recurra.layers.convolution import ConvolutionConfig, Convolutions, StepNorm
from recurra.layers.copying import CopyScores, require_full
from recurra.layers.crf import ChainWeights, LinearChainCRF
from recurra.layers.decoder import AttentiveDecoder, DecoderConfig, DecoderOutput, DecoderState
from recurra.layers.dilated import DilatedRecurrent
from recurra.layers.dropout import EmbeddingDropout, LockedDropout
from recurra.layers.embedding import TokenEmbedding
from recurra.layers.encoder import TokenEncoder, TokenEncoderConfig
from recurra.layers.history import HistoryConfig, HistoryEncoder
from recurra.layers.horizon import DirectConfig, SegmentConfig
from recurra.layers.naive_bayes import NaiveBayes
from recurra.layers.pooling import Pooling, PoolingKind
from recurra.layers.recurrent import DropoutConfig, Recurrent, RecurrentConfig, RecurrentOutput
from recurra.layers.smoothing import SeasonalSmoothing
from recurra.layers.softmax import (
    SOFTMAXES,
    AdaptiveSoftmax,
    AdaptiveSoftmaxConfig,
    ChunkedSoftmax,
    ChunkedSoftmaxConfig,
    DeferredLogits,
    FullSoftmax,
    FullSoftmaxConfig,
    SampledSoftmax,
    SampledSoftmaxConfig,
    SoftmaxConfig,
    SoftmaxHead,
)
from recurra.layers.tag_scores import TagScores
from recurra.layers.words import WordEmbedding, WordEncoder, WordEncoderConfig, mirrored, read_backward

__all__ = [
    "ATTENTIONS",
    "SOFTMAXES",
    "AdaptiveSoftmax",
    "AdaptiveSoftmaxConfig",
    "AdditiveAttentionConfig",
    "AttendedMemory",
    "Attention",
    "AttentionConfig",
    "AttentionOutput",
    "AttentiveDecoder",
    "Bridge",
    "ChainWeights",
    "ChunkedSoftmax",
    "ChunkedSoftmaxConfig",
    "ConvolutionConfig",
    "Convolutions",
    "CopyScores",
    "DecoderConfig",
    "DecoderOutput",
    "DecoderState",
    "DeferredLogits",
    "DilatedRecurrent",
    "DirectConfig",
    "DropoutConfig",
    "EmbeddingDropout",
    "FullSoftmax",
    "FullSoftmaxConfig",
    "GeneralAttentionConfig",
    "HistoryConfig",
    "HistoryEncoder",
    "LinearChainCRF",
    "LockedDropout",
    "NaiveBayes",
    "Pooling",
    "PoolingKind",
    "Recurrent",
    "RecurrentConfig",
    "RecurrentOutput",
    "SampledSoftmax",
    "SampledSoftmaxConfig",
    "SeasonalSmoothing",
    "SegmentConfig",
    "SoftmaxConfig",
    "SoftmaxHead",
    "StepNorm",
    "TagScores",
    "TokenEmbedding",
    "TokenEncoder",
    "TokenEncoderConfig",
    "WordEmbedding",
    "WordEncoder",
    "WordEncoderConfig",
    "mirrored",
    "read_backward",
    "require_full",
]
