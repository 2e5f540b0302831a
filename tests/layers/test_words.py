"""Word vectors: spellings, language models read at the right places, padding, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.inputs import Words
from recurra.core.sequences import Sequences, pad
from recurra.layers import TokenEncoder, TokenEncoderConfig, WordEmbedding, WordEncoder, WordEncoderConfig
from recurra.layers.words import read_backward, read_forward

SPEC = TaskSpec(InputKind.TOKENS, 9, 3, Resolution.STEP, character_size=7, text_size=7)
LM = {"embedding_dim": 4, "hidden_size": 5}


def words() -> Words:
    """Two sentences, "abc de" and "f": words 2 3 and 4, spelt 1 2 3, 4 5 and 6; eos is 0, a blank 1."""
    return Words(
        words=pad([torch.tensor([2, 3]), torch.tensor([4])]),
        spellings=pad([torch.tensor([1, 2, 3]), torch.tensor([4, 5]), torch.tensor([6])]),
        spelling_of=torch.tensor([[0, 1], [2, 0]]),
        text=pad([torch.tensor([0, 1, 2, 3, 1, 4, 5, 0]), torch.tensor([0, 6, 0])]),
        starts=torch.tensor([[1, 5], [1, 0]]),
        ends=torch.tensor([[3, 6], [1, 0]]),
    )


def make(**options: Any) -> WordEncoder:
    torch.manual_seed(0)
    values = {"embedding_dim": 6, "character_dim": 3, "character_hidden_size": 2, "hidden_size": 4, **options}
    return WordEncoder(WordEncoderConfig.model_validate(values), SPEC).eval()


@pytest.mark.parametrize("options", [{}, {"character_dim": 0}, {"forward_lm": LM, "backward_lm": LM, "lm_size": 3}])
def test_a_row_alone_is_the_row_in_a_padded_batch_and_padding_is_not_read(options: dict[str, Any]) -> None:
    encoder, both = make(bidirectional=True, **options), words()
    together = encoder(both).unpad()
    alone = encoder(
        Words(
            words=Sequences(torch.tensor([[4]])),
            spellings=Sequences(torch.tensor([[6]])),
            spelling_of=torch.tensor([[0]]),
            text=Sequences(torch.tensor([[0, 6, 0]])),
            starts=torch.tensor([[1]]),
            ends=torch.tensor([[1]]),
        )
    )
    torch.testing.assert_close(together[1], alone.data[0])
    assert both.spellings is not None and both.text is not None
    spoilt = replace(
        both,
        words=both.words.with_data(both.words.data.masked_fill(~both.words.mask, 10**9)),
        spellings=both.spellings.with_data(both.spellings.data.masked_fill(~both.spellings.mask, -1)),
        text=both.text.with_data(both.text.data.masked_fill(~both.text.mask, -5)),
    )
    for one, other in zip(encoder(spoilt).unpad(), together, strict=True):
        assert torch.equal(one, other)


def test_language_models_are_read_after_the_word_and_before_it() -> None:
    vectors = WordEmbedding(
        WordEncoderConfig.model_validate({"embedding_dim": 2, "forward_lm": LM, "backward_lm": LM}), SPEC
    )
    found = vectors(words()).data[..., -10:]
    forward, backward = vectors.language_models
    read = forward(Sequences(torch.tensor([[0, 1, 2, 3, 1, 4, 5]]))).outputs.data[0]
    torch.testing.assert_close(found[0, :, :5], read[[3, 6]])
    read = backward(Sequences(torch.tensor([[0, 5, 4, 1, 3, 2, 1]]))).outputs.data[0]
    torch.testing.assert_close(found[0, :, 5:], read[[6, 2]])
    assert vectors.output_size == 2 + 50 + 10


def test_language_models_learn_only_when_asked() -> None:
    for train_lm in (False, True):
        encoder = make(forward_lm=LM, train_lm=train_lm).train()
        encoder(words()).data.sum().backward()
        (model,) = encoder.vectors.language_models
        gradients = [weight.grad for weight in model.parameters()]
        assert all((gradient is not None) == train_lm for gradient in gradients)
        assert model.training == train_lm
        grouped = [id(weight) for group in encoder.layer_parameters() for weight in group]
        assert sorted(grouped) == sorted(id(weight) for weight in encoder.parameters())


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ShapeError, match="without spellings"):
        make()(Words(words().words))
    with pytest.raises(ShapeError, match="without text"):
        make(forward_lm=LM)(replace(words(), text=None))
    with pytest.raises(ConfigError, match="forward_lm"):
        WordEncoder(WordEncoderConfig.model_validate({"forward_lm": LM}), replace(SPEC, text_size=0))


def test_reading_backward_is_reading_the_mirror() -> None:
    encoder = TokenEncoder(7, TokenEncoderConfig.model_validate(LM)).eval()
    text = pad([torch.tensor([1, 2, 3]), torch.tensor([4])])
    found = read_backward(encoder, text)
    torch.testing.assert_close(found[0].flip(0), read_forward(encoder, Sequences(torch.tensor([[3, 2, 1]])))[0])
    torch.testing.assert_close(found[1, :1], read_forward(encoder, Sequences(torch.tensor([[4]])))[0])
