"""Augmentation of token sequences."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.core.errors import ConfigError
from recurra.data import Example, TextAugmentConfig, augment

TOKENS = np.arange(2, 1002)


def changed(config: TextAugmentConfig, tokens: np.ndarray = TOKENS) -> np.ndarray:
    before = tokens.copy()
    result = augment(tokens, config, np.random.default_rng(0), unk_index=0)
    np.testing.assert_array_equal(tokens, before)
    return result


def test_nothing_asked_nothing_changed() -> None:
    assert not TextAugmentConfig().is_active()
    np.testing.assert_array_equal(changed(TextAugmentConfig()), TOKENS)


def test_word_dropout() -> None:
    result = changed(TextAugmentConfig(word_dropout=0.2))
    dropped = result == 0
    assert 0.15 < dropped.mean() < 0.25
    np.testing.assert_array_equal(result[~dropped], TOKENS[~dropped])


def test_deletion_keeps_the_order() -> None:
    result = changed(TextAugmentConfig(deletion=0.2))
    assert 750 < len(result) < 850
    assert (np.diff(result) > 0).all()


def test_swap_keeps_the_tokens() -> None:
    result = changed(TextAugmentConfig(swap=0.1))
    np.testing.assert_array_equal(np.sort(result), TOKENS)
    assert 100 < (result != TOKENS).sum() < 300


@pytest.mark.parametrize("length", [0, 1, 2])
def test_short_texts(length: int) -> None:
    config = TextAugmentConfig(deletion=0.99, swap=1, word_dropout=0.5)
    for seed in range(20):
        result = augment(TOKENS[:length], config, np.random.default_rng(seed), 0)
        assert min(length, 1) <= len(result) <= length


def test_as_a_function_of_the_example() -> None:
    change = TextAugmentConfig(deletion=0.5).build(3, unk_index=None)
    example = Example(TOKENS, 4, "a")
    first = change(example, 0, 7)
    assert (first.target, first.id) == (4, "a")
    np.testing.assert_array_equal(first.tokens, change(example, 0, 7).tokens)
    assert (
        len(first.tokens) != len(change(example, 1, 7).tokens) or (first.tokens != change(example, 1, 7).tokens).any()
    )


def test_word_dropout_needs_an_unknown_token() -> None:
    with pytest.raises(ConfigError, match="Use deletion instead"):
        TextAugmentConfig(word_dropout=0.1).build(0, unk_index=None)
