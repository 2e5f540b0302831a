"""Sampling of batches: the model's own distribution, and its own log-probabilities."""

from __future__ import annotations

import pytest
import torch

from recurra.decoding import SamplingConfig, SearchConfig, greedy_search, sample_batch

from .steppers import EOS, begin, rescored, sources


def draw(num: int, limit: int = 4, seed: int = 0, **options: float) -> tuple[list[list[int]], torch.Tensor]:
    memory, mask = sources((3, 4))
    stepper, state = begin(memory, mask, num)
    found = sample_batch(
        stepper,
        state,
        SamplingConfig(**options),  # type: ignore[arg-type]
        start=EOS,
        eos=EOS,
        limits=torch.full((2 * num,), limit),
        generator=torch.Generator().manual_seed(seed),
    )
    rows = zip(found.tokens.tolist(), found.lengths.tolist(), strict=True)
    return [tokens[:length] for tokens, length in rows], found.log_probs


def test_log_probabilities_are_the_models_own() -> None:
    memory, mask = sources((3, 4))
    rows, log_probs = draw(6, temperature=0.7, top_k=3)
    for place, tokens in enumerate(rows):
        assert float(log_probs[place].sum()) == pytest.approx(rescored(memory, mask, place // 6, tokens), abs=1e-5)
        assert tokens[-1] == EOS or len(tokens) == 4
        assert EOS not in tokens[:-1]


def test_frequencies_are_probabilities() -> None:
    memory, mask = sources((3, 4))
    num = 4000
    rows, _ = draw(num)
    for source in (0, 1):
        drawn = [tuple(tokens) for tokens in rows[source * num : (source + 1) * num]]
        for tokens in set(drawn[:40]):
            expected = torch.tensor(rescored(memory, mask, source, list(tokens))).exp().item()
            assert drawn.count(tokens) / num == pytest.approx(expected, abs=4 * (expected / num) ** 0.5 + 1e-3)


def test_same_seed_same_rows_and_zero_temperature_is_greedy() -> None:
    assert draw(5, seed=3)[0] == draw(5, seed=3)[0]
    assert draw(5, seed=3)[0] != draw(5, seed=4)[0]
    memory, mask = sources((3, 4))
    stepper, state = begin(memory, mask)
    best = greedy_search(stepper, state, SearchConfig(), start=EOS, eos=EOS, limits=torch.tensor([4, 4]))
    rows, _ = draw(1, temperature=0.0)
    assert [[*h.tokens, EOS] if h.ended else h.tokens for h in best] == rows
