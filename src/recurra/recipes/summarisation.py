"""Recipe for summaries: an encoder-decoder that may copy."""

from __future__ import annotations

from recurra.data import VocabularyConfig
from recurra.decoding import SearchConfig
from recurra.layers import DecoderConfig, DropoutConfig, GeneralAttentionConfig
from recurra.models import EncoderDecoderConfig
from recurra.runs import RunConfig
from recurra.tasks import SummarisationConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig


def summarisation() -> RunConfig:
    """Lower-cased words, a bidirectional GRU, attention by a product, copying of words known and unknown."""
    return RunConfig(
        task=SummarisationConfig(
            vocabulary=VocabularyConfig(kind="word", lowercase=True, min_frequency=3, max_size=10_000),
            copying=True,
            max_length=150,
            search=SearchConfig(beam_size=4, length_penalty=1.5, no_repeat_ngram=3, max_length=20),
        ),
        model=EncoderDecoderConfig(
            cell="gru",
            embedding_dim=128,
            hidden_size=128,
            tied="all",
            dropout=DropoutConfig(input=0.3, output=0.3),
            decoder=DecoderConfig(copying=True, hidden_size=192, attention=GeneralAttentionConfig()),
        ),
        optimizer=AdamWConfig(learning_rate=2e-3, clip_norm=1.0),
        training=TrainingConfig(epochs=6, batch_size=32),
    )
