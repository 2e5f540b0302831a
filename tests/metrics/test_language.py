"""Perplexity and bits per character."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.metrics import LanguageMetrics, bits_per_character, perplexity


@pytest.mark.parametrize("size", [2, 50, 10_000])
def test_a_uniform_model_has_perplexity_v(size: int) -> None:
    rows = [np.full(length, -math.log(size)) for length in (3, 0, 7)]
    metrics = LanguageMetrics(num_characters=10)
    metrics.update(rows, [np.zeros(len(row), int) for row in rows])
    metrics.update([torch.full((5,), -math.log(size))], [torch.zeros(5)])
    figures = metrics.compute()
    assert figures["perplexity"] == pytest.approx(size, rel=1e-6)
    assert figures["nats"] == pytest.approx(math.log(size), rel=1e-6)
    assert figures["tokens"] == 15
    assert figures["bpc"] == pytest.approx(1.5 * math.log2(size), rel=1e-6)


def test_nothing_seen() -> None:
    assert math.isnan(LanguageMetrics().compute()["perplexity"])
    assert math.isnan(perplexity(0.0, 0))
    assert math.isnan(bits_per_character(1.0, 0))


def test_a_hopeless_model() -> None:
    assert perplexity(1e6, 10) == math.inf


def test_no_bits_without_the_length_of_the_text() -> None:
    assert "bpc" not in LanguageMetrics().compute()
