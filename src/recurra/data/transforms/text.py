"""Augmentation of token sequences, for the training split only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.data.collate import Example


class TextAugmentConfig(Config):
    """Random changes of training texts; each is the chance per token."""

    word_dropout: float = Field(0.0, ge=0, le=1, description="chance that a token is replaced by the unknown token")
    swap: float = Field(0.0, ge=0, le=1, description="chance that a token changes places with the next one")
    deletion: float = Field(0.0, ge=0, lt=1, description="chance that a token is left out; one always stays")

    def is_active(self) -> bool:
        """Whether anything is changed at all."""
        return self.word_dropout > 0 or self.swap > 0 or self.deletion > 0

    def build(self, seed: int, unk_index: int | None) -> TextAugment:
        """The change as a function of (example, epoch, index).

        Raises:
            ConfigError: word dropout with a vocabulary that has no unknown token.
        """
        if self.word_dropout > 0 and unk_index is None:
            raise ConfigError(
                "word_dropout needs a vocabulary with an unknown token, and this one has none. "
                "Use deletion instead, or another vocabulary kind."
            )
        return TextAugment(self, seed, unk_index)


@dataclass(frozen=True, slots=True)
class TextAugment:
    """`augment` with its settings, as `BucketedBatches` takes it."""

    config: TextAugmentConfig
    seed: int
    unk_index: int | None

    def __call__(self, example: Example, epoch: int, index: int) -> Example:
        """The example with changed tokens; its target and id stay."""
        rng = np.random.default_rng([self.seed, epoch, index])
        return example._replace(tokens=augment(example.tokens, self.config, rng, self.unk_index))


def augment(
    tokens: Sequence[int] | np.ndarray, config: TextAugmentConfig, rng: np.random.Generator, unk_index: int | None
) -> np.ndarray:
    """Swap, delete and drop tokens at random; the input is left as it is.

    Args:
        tokens: (T,) vocabulary indices.
        config: the chances.
        rng: where all randomness comes from.
        unk_index: what a dropped token becomes; None is allowed where word_dropout is 0.
    Returns:
        (T',) indices, 1 <= T' <= T, or T' = 0 where T = 0.
    Reference: Wei and Zou (2019), EDA, https://arxiv.org/abs/1901.11196 (swap, deletion); Iyyer et al. (2015), Deep
        Averaging Networks, ACL (word dropout).
    """
    changed = np.array(tokens, dtype=np.int64)
    if config.swap > 0 and len(changed) > 1:
        for place in np.flatnonzero(rng.random(len(changed) - 1) < config.swap):
            changed[[place, place + 1]] = changed[[place + 1, place]]
    if config.deletion > 0 and len(changed) > 1:
        kept = rng.random(len(changed)) >= config.deletion
        if not kept.any():
            kept[rng.integers(len(changed))] = True
        changed = changed[kept]
    if config.word_dropout > 0 and unk_index is not None:
        changed[rng.random(len(changed)) < config.word_dropout] = unk_index
    return changed
