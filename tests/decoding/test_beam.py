"""Beam search: greedy at 1, exhaustive when wide, honest scores, rows that do not touch each other."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.decoding import Hypothesis, SearchConfig, beam_search, greedy_search
from recurra.models import LanguageModel, LanguageModelConfig

from .steppers import EOS, V, begin, rescored, sources


def beam(memory: Tensor, mask: Tensor, limit: int = 8, **options: Any) -> list[list[Hypothesis]]:
    given = {name: options.pop(name) for name in ("never", "prefixes") if name in options}
    config = SearchConfig(**options)
    stepper, state = begin(memory, mask, config.beam_size)
    limits = torch.full((len(memory),), limit)
    return beam_search(stepper, state, config, start=EOS, eos=EOS, limits=limits, source_mask=mask, **given)


def greedy(memory: Tensor, mask: Tensor, limit: int = 8, **options: Any) -> list[Hypothesis]:
    given = {name: options.pop(name) for name in ("never", "prefixes") if name in options}
    stepper, state = begin(memory, mask)
    limits = torch.full((len(memory),), limit)
    return greedy_search(
        stepper, state, SearchConfig(**options), start=EOS, eos=EOS, limits=limits, source_mask=mask, **given
    )


def with_end(found: Hypothesis) -> list[int]:
    return [*found.tokens, EOS] if found.ended else found.tokens


def every_sequence(limit: int) -> list[list[int]]:
    """All sequences of at most `limit` tokens, the end included; those without an end are cut."""
    content = [token for token in range(V) if token != EOS]
    ended = [[*body, EOS] for length in range(limit) for body in itertools.product(content, repeat=length)]
    return ended + [list(body) for body in itertools.product(content, repeat=limit)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"length_penalty": 1.0, "coverage_penalty": 0.3},
        {"min_length": 3},
        {"no_repeat_ngram": 1},
        {"no_repeat_ngram": 2, "never": [0]},
        {"prefixes": [[2], [3, 4], [], [0, 0, 0]]},
    ],
)
def test_a_beam_of_one_is_greedy(options: dict[str, Any]) -> None:
    memory, mask = sources()
    for wide, narrow in zip(beam(memory, mask, **options), greedy(memory, mask, **options), strict=True):
        (only,) = wide
        assert (only.tokens, only.ended) == (narrow.tokens, narrow.ended)
        assert only.score == pytest.approx(narrow.score, abs=1e-5)
        assert only.log_prob == pytest.approx(narrow.log_prob, abs=1e-5)
        assert only.attention is not None and narrow.attention is not None
        torch.testing.assert_close(only.attention.float(), narrow.attention.float())


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_as_wide_as_the_space_is_exhaustive(alpha: float) -> None:
    memory, mask = sources((3, 2))
    space = every_sequence(3)
    options = {"beam_size": len(space), "num_best": len(space), "length_penalty": alpha, "early_stop": False}
    for row, found in enumerate(beam(memory, mask, 3, **options)):
        scored = {tuple(s): rescored(memory, mask, row, s) / ((5 + len(s)) / 6) ** alpha for s in space}
        assert {tuple(with_end(h)) for h in found} == set(scored)
        best = sorted(scored.values(), reverse=True)
        assert [h.score for h in found] == pytest.approx(best, abs=1e-5)
        assert tuple(with_end(found[0])) == max(scored, key=lambda s: scored[s])


def test_stopping_early_by_the_bound_finds_the_same_best() -> None:
    memory, mask = sources((3, 5, 2, 4, 1, 3), seed=5)
    wide = 300
    whole = beam(memory, mask, 4, beam_size=wide, num_best=wide, early_stop=False, length_penalty=0.7)
    short = beam(memory, mask, 4, beam_size=wide, num_best=3, early_stop=False, length_penalty=0.7)
    for all_of_them, few in zip(whole, short, strict=True):
        assert [h.tokens for h in few] == [h.tokens for h in all_of_them[:3]]


@pytest.mark.parametrize("width", [2, 3, 7])
def test_scores_are_rescored_log_probabilities(width: int) -> None:
    memory, mask = sources()
    found = beam(memory, mask, beam_size=width, num_best=width, length_penalty=0.6, coverage_penalty=0.2)
    for row, hypotheses in enumerate(found):
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(with_end(h)) for h in hypotheses}) == len(hypotheses)
        for one in hypotheses:
            whole = with_end(one)
            assert one.log_prob == pytest.approx(rescored(memory, mask, row, whole), abs=1e-5)
            assert one.attention is not None and one.attention.shape == (len(one.tokens), mask.shape[1])
            torch.testing.assert_close(one.attention.sum(1).float(), torch.ones(len(one.tokens)))
            covered = attention_along(memory, mask, row, whole).sum(0)[mask[row]].clamp(max=1.0)
            score = one.log_prob / ((5 + len(whole)) / 6) ** 0.6 + 0.2 * float(covered.log().sum())
            assert one.score == pytest.approx(score, abs=1e-5)


def attention_along(memory: Tensor, mask: Tensor, row: int, tokens: list[int]) -> Tensor:
    stepper, state = begin(memory[row : row + 1], mask[row : row + 1])
    weights = []
    for fed in [EOS, *tokens[:-1]]:
        _, state = stepper.step(torch.tensor([fed]), state)
        weights.append(stepper.attention(state)[0])
    return torch.stack(weights)


def test_the_recorded_attention_is_that_of_the_hypothesis() -> None:
    memory, mask = sources((3, 5, 2, 4, 6, 2, 3, 3), seed=2)
    for row, hypotheses in enumerate(beam(memory, mask, beam_size=4, num_best=4)):
        for one in hypotheses:
            if one.tokens:
                found = attention_along(memory, mask, row, one.tokens)
                torch.testing.assert_close(one.attention, found)


@pytest.mark.parametrize("width", [1, 4])
def test_other_rows_do_not_matter(width: int) -> None:
    memory, mask = sources((3, 5, 2, 4, 6, 2, 3, 3), seed=4)
    options: dict[str, Any] = {"beam_size": width, "num_best": width, "length_penalty": 1.0}
    together = beam(memory, mask, **options)
    order = torch.tensor([5, 0, 7, 2, 1, 6, 4, 3])
    turned = beam(memory[order], mask[order], **options)
    for place, row in enumerate(order.tolist()):
        real = mask[row].sum()
        (alone,) = beam(memory[row : row + 1, :real], mask[row : row + 1, :real], **options)
        for other in (turned[place], alone):
            assert [h.tokens for h in other] == [h.tokens for h in together[row]]
            assert [h.score for h in other] == pytest.approx([h.score for h in together[row]], abs=1e-6)


def test_rows_that_have_ended_cost_nothing() -> None:
    memory, mask = sources((3,) * 12)
    stepper, state = begin(memory, mask)
    limits = torch.tensor([1] * 11 + [6])
    found = greedy_search(stepper, state, SearchConfig(), start=EOS, eos=EOS, limits=limits, never=[EOS])
    assert [len(h.tokens) for h in found] == limits.tolist()
    assert not any(h.ended for h in found)
    assert stepper.num_rows == 12  # the first step alone had all rows; the others went on in a smaller one


def test_limits_are_kept_a_source() -> None:
    memory, mask = sources()
    config = SearchConfig(beam_size=3, num_best=3)
    stepper, state = begin(memory, mask, 3)
    limits = torch.tensor([1, 4, 2, 9])
    found = beam_search(stepper, state, config, start=EOS, eos=EOS, limits=limits, never=[EOS])
    for hypotheses, limit in zip(found, limits.tolist(), strict=True):
        assert {len(h.tokens) for h in hypotheses} == {limit}


def test_rules_hold() -> None:
    memory, mask = sources()
    found = beam(memory, mask, 12, beam_size=4, num_best=4, min_length=3, no_repeat_ngram=2, never=[0])
    for one in itertools.chain(*found):
        pairs = list(itertools.pairwise(one.tokens))
        assert len(set(pairs)) == len(pairs)
        assert 0 not in one.tokens
        assert len(one.tokens) >= 3
    prefixes = [[2, 2], [], [3], [4, 0, 4]]
    for wanted, hypotheses in zip(prefixes, beam(memory, mask, beam_size=3, prefixes=prefixes, never=[0]), strict=True):
        assert hypotheses[0].tokens[: len(wanted)] == wanted


def test_where_nothing_may_be_said_the_end_comes_early() -> None:
    memory, mask = sources((3,))
    ((one,),) = beam(memory, mask, 9, beam_size=1, min_length=7, no_repeat_ngram=1)
    assert one.ended
    assert sorted(one.tokens) == [0, 2, 3, 4]


def test_no_sources() -> None:
    memory, mask = sources()
    assert beam(memory[:0], mask[:0], beam_size=3) == []
    assert greedy(memory[:0], mask[:0]) == []


@torch.no_grad()
@pytest.mark.parametrize("width", [1, 3])
def test_on_a_language_model(width: int) -> None:
    spec = TaskSpec(InputKind.TOKENS, V, V, Resolution.STEP)
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=6), spec).eval()
    config = SearchConfig(beam_size=width, num_best=width)
    found = beam_search(model, None, config, start=EOS, eos=EOS, limits=torch.tensor([5, 5]), prefixes=[[2], []])
    for one in itertools.chain(*found):
        assert one.attention is None
        total, state, fed = 0.0, None, EOS
        for token in with_end(one):
            logits, state = model.step(torch.tensor([fed]), state)
            total += float(logits.log_softmax(-1)[0, token])
            fed = token
        assert one.log_prob == pytest.approx(total, abs=1e-5)
    if width == 1:
        options: dict[str, Any] = {"start": EOS, "eos": EOS, "limits": torch.tensor([5, 5])}
        narrow = greedy_search(model, None, config, prefixes=[[2], []], **options)
        assert [h.tokens for h in narrow] == [h.tokens for (h,) in found]
    with pytest.raises(ConfigError, match="attention"):
        beam_search(
            model,
            None,
            SearchConfig(beam_size=2, coverage_penalty=0.1),
            start=EOS,
            eos=EOS,
            limits=torch.tensor([5]),
        )


def test_more_alternatives_than_hypotheses_are_refused() -> None:
    with pytest.raises(ValueError, match="num_best=3"):
        SearchConfig(beam_size=2, num_best=3)


def test_limits_by_the_length_of_the_source() -> None:
    lengths = torch.tensor([1, 10, 100])
    assert SearchConfig(max_length=50).limits(lengths).tolist() == [50, 50, 50]
    assert SearchConfig(max_length=50, max_ratio=1.5).limits(lengths).tolist() == [7, 20, 50]
