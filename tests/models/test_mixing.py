"""Predictions of several models as one: what they mean, and that the loss is never above the members' mean."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, OutputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.core.outputs import AttendedLogits, Forecast
from recurra.core.sequences import Sequences
from recurra.layers import ChainWeights, TagScores
from recurra.losses import LIKELIHOODS, binary_cross_entropy, cross_entropy, mse
from recurra.models import mix

SHARES = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
B, T, K = 4, 5, 3


def spec(kind: OutputKind = OutputKind.CLASSES, resolution: Resolution = Resolution.SEQUENCE) -> TaskSpec:
    return TaskSpec(InputKind.TOKENS, 7, K, resolution, output_kind=kind)


def drawn(*shape: int, seed: int = 0, size: float = 2.0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [size * torch.randn(*shape, generator=draw, dtype=torch.float64) for _ in SHARES]


def test_classes_are_the_mean_of_probabilities() -> None:
    logits = drawn(B, K)
    wanted = sum(share * one.softmax(-1) for share, one in zip(SHARES, logits, strict=True))
    torch.testing.assert_close(mix(logits, SHARES, spec()).exp(), wanted)


def test_labels_are_the_mean_of_their_own_probabilities() -> None:
    logits = drawn(B, K)
    wanted = sum(share * one.sigmoid() for share, one in zip(SHARES, logits, strict=True))
    torch.testing.assert_close(mix(logits, SHARES, spec(OutputKind.LABELS)).sigmoid(), wanted)


def test_numbers_are_averaged() -> None:
    numbers = drawn(B, K)
    wanted = sum(share * one for share, one in zip(SHARES, numbers, strict=True))
    torch.testing.assert_close(mix(numbers, SHARES, spec(OutputKind.NUMBERS)), wanted)


def test_a_member_that_is_a_group_itself_counts_once() -> None:
    groups = drawn(B, 2, K)
    found = mix(groups, SHARES, spec())
    wanted = sum(share * one.softmax(-1).mean(1) for share, one in zip(SHARES, groups, strict=True))
    torch.testing.assert_close(found.exp(), wanted)


def test_places_that_no_member_takes_for_possible_stay_impossible_and_have_a_gradient() -> None:
    logits = [one.requires_grad_() for one in drawn(B, 2, T)]
    hidden = [one.masked_fill(torch.arange(T) == 0, -torch.inf) for one in logits]
    found = mix(hidden, SHARES, spec(resolution=Resolution.SPAN))
    assert found[..., 0].isneginf().all() and found[..., 1:].isfinite().all()
    found[..., 1].sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in logits)


def test_attention_is_the_mean_and_missing_rounds_look_at_nothing() -> None:
    weights = [torch.full((B, rounds, T), 1 / T, dtype=torch.float64) for rounds in (1, 2, 2)]
    found = mix([AttendedLogits(*pair) for pair in zip(drawn(B, K), weights, strict=True)], SHARES, spec())
    torch.testing.assert_close(found.attention.sum(-1)[0], torch.tensor([1.0, 0.8], dtype=torch.float64))


# -- tags --------------------------------------------------------------------------------------------------------------


WORDS = 3


def tag_scores(seed: int, chained: bool) -> TagScores:
    draw = torch.Generator().manual_seed(seed)
    data, moves, start, end = (
        torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((2, WORDS, K), (K, K), (K,), (K,))
    )
    moves[0, 1] = -torch.inf
    chain = ChainWeights(moves, start, end) if chained else None
    return TagScores(Sequences(data, torch.tensor([WORDS, 2])), chain)


@pytest.mark.parametrize("chained", [(True, True, True), (True, False, True), (False, False, False)])
def test_tags_of_a_sentence_are_never_less_likely_than_the_members_say_on_average(chained: tuple[bool, ...]) -> None:
    members = [tag_scores(seed, one) for seed, one in enumerate(chained)]
    found = mix(members, SHARES, spec(resolution=Resolution.STEP))
    total = torch.zeros(2, dtype=torch.float64)
    for row in itertools.product(range(K), repeat=WORDS):
        tags = torch.tensor([row, row])
        own = found.log_likelihood(tags)
        if row[2:] == (0,):  # the second row has two steps
            total[1] += own[1].exp()
        total[0] += own[0].exp()
        parts = [member.log_likelihood(tags) for member in members]
        mean = sum(share * one for share, one in zip(SHARES, parts, strict=True))
        assert (own >= mean - 1e-9).all()
    torch.testing.assert_close(total, torch.ones(2, dtype=torch.float64))


def test_softmax_tags_are_the_mean_of_probabilities() -> None:
    members = [tag_scores(seed, False) for seed in range(3)]
    found = mix(members, SHARES, spec(resolution=Resolution.STEP))
    wanted = sum(share * one.emissions.data.softmax(-1) for share, one in zip(SHARES, members, strict=True))
    torch.testing.assert_close(found.emissions.data.exp(), wanted)


# -- Jensen ------------------------------------------------------------------------------------------------------------

Loss = Callable[[Any], Tensor]
LOGITS: dict[str, tuple[TaskSpec, tuple[int, ...], Loss]] = {
    "next tokens": (
        spec(resolution=Resolution.STEP),
        (B, T, K),
        lambda found: cross_entropy(found, torch.arange(B * T).reshape(B, T) % K).mean(),
    ),
    "a class": (spec(), (B, K), lambda found: cross_entropy(found, torch.arange(B) % K).mean()),
    "labels": (
        spec(OutputKind.LABELS),
        (B, K),
        lambda found: binary_cross_entropy(found, (torch.arange(B * K).reshape(B, K) % 2).double()).mean(),
    ),
    "ends of a span": (
        spec(resolution=Resolution.SPAN),
        (B, 2, T),
        lambda found: cross_entropy(found, torch.tensor([[0, 3]] * B)).mean(),
    ),
    "numbers": (
        spec(OutputKind.NUMBERS),
        (B, K),
        lambda found: mse(found, torch.ones(B, K, dtype=torch.float64)).mean(),
    ),
}


@pytest.mark.parametrize("name", LOGITS)
def test_the_loss_is_never_above_the_mean_loss(name: str) -> None:
    described, shape, loss = LOGITS[name]
    for seed in range(20):
        members = drawn(*shape, seed=seed, size=5.0)
        mean = sum(share * loss(one) for share, one in zip(SHARES, members, strict=True))
        assert loss(mix(members, SHARES, described)) <= mean + 1e-12


def forecasts(parameters: int, seed: int) -> list[Forecast]:
    draw = torch.Generator().manual_seed(seed)

    def one() -> Forecast:
        numbers = torch.randn(B, T, 2, parameters + 2, generator=draw, dtype=torch.float64)
        return Forecast(numbers[..., 2:], 3 + numbers[:, :1, :, 0], numbers[:, :1, :, 1].exp())

    return [one() for _ in SHARES]


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_so_it_is_for_forecasts_of_every_likelihood(kind: str) -> None:
    likelihood = LIKELIHOODS[kind]().build()
    for seed in range(5):
        members = forecasts(likelihood.num_parameters, seed)
        targets = torch.randint(0, 8, (B, T, 2), generator=torch.Generator().manual_seed(seed)).double()
        found = likelihood.loss(mix(members, SHARES, spec()), targets).mean()
        mean = sum(share * likelihood.loss(one, targets).mean() for share, one in zip(SHARES, members, strict=True))
        assert found <= mean + 1e-9


@pytest.mark.parametrize("kind", ["normal", "student-t", "negative-binomial"])
def test_quantiles_of_a_mixture_are_those_of_its_draws(kind: str) -> None:
    likelihood = LIKELIHOODS[kind]().build()
    members = [Forecast(*(part[:1, :1, :1] for part in one[:3])) for one in forecasts(likelihood.num_parameters, 3)]
    levels = torch.tensor([0.05, 0.3, 0.5, 0.9])
    found = likelihood.quantile(mix(members, SHARES, spec()), levels)[0, 0, 0]
    draw, count = torch.Generator().manual_seed(0), 40_000
    parts = [
        likelihood.sample(*(part.expand(int(share * count), *part.shape[1:]) for part in one[:3]), draw)
        for share, one in zip(SHARES, members, strict=True)
    ]
    sample = torch.cat(parts).flatten()
    below = torch.stack([(sample <= value).double().mean() for value in found])
    strictly = torch.stack([(sample < value).double().mean() for value in found])
    assert (below >= levels - 0.01).all() and (strictly <= levels + 0.01).all()
    mean = likelihood.mean(mix(members, SHARES, spec()))
    assert mean.item() == pytest.approx(sample.mean().item(), rel=0.03)


def test_quantiles_are_averaged() -> None:
    likelihood = LIKELIHOODS["quantile"]().build()
    members, levels = forecasts(likelihood.num_parameters, 0), torch.tensor([0.1, 0.5])
    found = likelihood.quantile(mix(members, SHARES, spec()), levels)
    parts = [likelihood.quantile(one, levels) for one in members]
    torch.testing.assert_close(found, sum(share * one for share, one in zip(SHARES, parts, strict=True)))


def test_drawn_paths_are_put_together_in_proportion() -> None:
    paths = [Forecast(torch.zeros(0), torch.zeros(0), torch.zeros(0), torch.full((B, 10, T, 1), v)) for v in (1.0, 2.0)]
    found = mix(paths, torch.tensor([0.25, 0.75]), spec())
    assert found.samples.shape[1] == 13 and found.samples[:, :3].eq(1).all() and found.samples[:, 3:].eq(2).all()
    with pytest.raises(ConfigError, match="drawn paths"):
        mix([paths[0], paths[1]._replace(samples=None)], torch.tensor([0.5, 0.5]), spec())
