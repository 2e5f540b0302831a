"""Carrying language models over: into a classifier, into word vectors, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ModelFileError
from recurra.finetuning import encoders, transfer
from recurra.layers import WordEncoder, WordEncoderConfig
from recurra.models import LanguageModel, LanguageModelConfig, TextClassifier, TextClassifierConfig

SIZES: dict[str, Any] = {"embedding_dim": 4, "hidden_size": 5}
STEPS = TaskSpec(InputKind.TOKENS, 7, 7, Resolution.STEP)
LABELS = TaskSpec(InputKind.TOKENS, 7, 3, Resolution.SEQUENCE)
TAGS = TaskSpec(InputKind.TOKENS, 9, 3, Resolution.STEP, text_size=7)


class Tagger(nn.Module):
    """A model whose words are read by language models."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.encoder = WordEncoder(WordEncoderConfig.model_validate(SIZES | options), TAGS)


def language_model() -> LanguageModel:
    return LanguageModel(LanguageModelConfig(**SIZES), STEPS)


def test_a_classifier_takes_the_encoder_over_and_its_head_is_new() -> None:
    source, target = language_model(), TextClassifier(TextClassifierConfig(**SIZES), LABELS)
    assert encoders(target) == {"forward": "encoder."}
    found = transfer(source.state_dict(), target)
    assert all(torch.equal(a, b) for a, b in zip(source.encoder.parameters(), target.encoder.parameters(), strict=True))
    assert found.new == ["heads.0.output.weight", "heads.0.output.bias"]
    assert found.dropped == [name for name in source.state_dict() if name.startswith("head.")]


def test_two_directions_go_to_two_encoders() -> None:
    forward, backward = language_model(), language_model()
    config = TextClassifierConfig.model_validate(SIZES | {"backward_lm": SIZES})
    target = TextClassifier(config, LABELS)
    places = encoders(target)
    assert places == {"forward": "encoder.", "backward": "backward_encoder."}
    transfer(forward.state_dict(), target, places["forward"])
    found = transfer(backward.state_dict(), target, places["backward"])
    assert target.backward_encoder is not None
    for source, encoder in ((forward, target.encoder), (backward, target.backward_encoder)):
        for a, b in zip(source.encoder.parameters(), encoder.parameters(), strict=True):
            assert torch.equal(a, b)
    assert all(name.startswith("backward_encoder.") for name in found.matched) and len(found.matched) == 5
    first = transfer(forward.state_dict(), target, places["forward"])
    assert first.join(found).sentence() == (
        "10 tensors of the pretrained model taken over; new: heads.0.output, heads.1.output; left behind: head"
    )


@pytest.mark.parametrize("directions", [("forward",), ("backward",), ("forward", "backward")])
def test_word_vectors_take_over_what_they_have_room_for(directions: tuple[str, ...]) -> None:
    target = Tagger(**{f"{direction}_lm": SIZES for direction in directions})
    assert encoders(target) == {direction: f"encoder.vectors.{direction}_lm." for direction in directions}
    source = language_model()
    for place in encoders(target).values():
        assert len(transfer(source.state_dict(), target, place).matched) == 5
    for model in target.encoder.vectors.language_models:
        assert torch.equal(model.embedding.weight, source.encoder.embedding.weight)
    assert encoders(Tagger()) == {}


def test_other_sizes_are_named() -> None:
    target = Tagger(forward_lm=SIZES | {"hidden_size": 6})
    with pytest.raises(ModelFileError, match=r"gives \(20, 4\) for `encoder.vectors.forward_lm.recurrent.cells.0"):
        transfer(language_model().state_dict(), target, encoders(target)["forward"])
