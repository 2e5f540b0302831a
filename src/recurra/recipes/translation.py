"""Recipes for translation: an encoder-decoder with attention."""

from __future__ import annotations

from recurra.data import VocabularyConfig
from recurra.decoding import SearchConfig
from recurra.layers import DecoderConfig, DropoutConfig, GeneralAttentionConfig
from recurra.models import EncoderDecoderConfig
from recurra.runs import RunConfig
from recurra.tasks import TranslationConfig
from recurra.training import TrainingConfig
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import OneCycleConfig


def translation() -> RunConfig:
    """Pieces of words (BPE), a bidirectional GRU, a decoder whose steps all attend at once; needs the extra `text`."""
    return RunConfig(
        task=TranslationConfig(
            vocabulary=VocabularyConfig(kind="bpe", max_size=4000, lowercase=True),
            label_smoothing=0.1,
            search=SearchConfig(beam_size=5, length_penalty=1.0, max_ratio=2.0),
        ),
        model=EncoderDecoderConfig(
            cell="gru",
            embedding_dim=256,
            hidden_size=256,
            dropout=DropoutConfig(input=0.3, output=0.3),
            decoder=DecoderConfig(attention=GeneralAttentionConfig()),
        ),
        optimizer=AdamWConfig(learning_rate=2e-3, beta2=0.98, weight_decay=0.0, clip_norm=1.0),
        schedule=OneCycleConfig(rise=0.1),
        training=TrainingConfig(epochs=6, batch_size=64),
    )


def translation_small() -> RunConfig:
    """Words, half the sizes, half the epochs: for a quick first look."""
    config = translation()
    vocabulary = VocabularyConfig(kind="word", lowercase=True, min_frequency=3)
    model = config.model.model_copy(update={"embedding_dim": 128, "hidden_size": 128})
    return config.model_copy(
        update={
            "task": config.task.model_copy(update={"vocabulary": vocabulary}),
            "model": model,
            "training": TrainingConfig(epochs=3, batch_size=64),
        }
    )
