"""Metrics of language models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def perplexity(total_nats: float, num_tokens: int) -> float:
    """exp of the mean negative log-likelihood a token; V for a uniform model; infinite where exp overflows.

    Args:
        total_nats: summed negative log-likelihood.
        num_tokens: how many tokens were predicted; NaN is returned for none.
    """
    if not num_tokens:
        return math.nan
    try:
        return math.exp(total_nats / num_tokens)
    except OverflowError:
        return math.inf


def bits_per_character(total_nats: float, num_characters: int) -> float:
    """Mean negative log-likelihood a character of the text, in bits: comparable between vocabularies.

    Args:
        total_nats: summed negative log-likelihood of all tokens.
        num_characters: length of the text; NaN is returned for 0.
    """
    return total_nats / math.log(2) / num_characters if num_characters else math.nan


class LanguageMetrics:
    """Collects what a language model gave the true tokens.

    Args:
        num_characters: length of the evaluated text, for bits per character; 0: not known, and not reported.
    """

    def __init__(self, num_characters: int = 0) -> None:
        self._num_characters = num_characters
        self._nats = 0.0
        self._tokens = 0

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: for each row the log-probabilities of its true tokens (nats), an array or tensor, no padding.
            references: for each row its true tokens, of the same length.
        """
        for log_probs, tokens in zip(predictions, references, strict=True):
            values = np.asarray(log_probs, dtype=np.float64)
            assert len(values) == len(tokens), "one log-probability a token"
            self._nats -= float(values.sum())
            self._tokens += len(values)

    def compute(self) -> dict[str, float]:
        """`nats` a token, `perplexity`, `tokens`, and `bpc` where the text's length is known."""
        figures = {
            "nats": self._nats / self._tokens if self._tokens else math.nan,
            "perplexity": perplexity(self._nats, self._tokens),
            "tokens": float(self._tokens),
        }
        if self._num_characters:
            figures["bpc"] = bits_per_character(self._nats, self._num_characters)
        return figures
