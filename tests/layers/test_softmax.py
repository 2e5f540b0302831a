from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.core.config import Config, parse
from recurra.core.errors import ConfigError, ShapeError
from recurra.layers.softmax import (
    SOFTMAXES,
    AdaptiveSoftmaxConfig,
    ChunkedSoftmaxConfig,
    DeferredLogits,
    FullSoftmaxConfig,
    SampledSoftmaxConfig,
    SoftmaxConfig,
    SoftmaxHead,
    full,
    smooth_prior,
)
from recurra.layers.softmax.sampled import inclusion_probabilities

NUM_CLASSES = 50
CONFIGS = [
    FullSoftmaxConfig(),
    ChunkedSoftmaxConfig(),
    SampledSoftmaxConfig(num_samples=15),
    AdaptiveSoftmaxConfig(cutoffs=(10, 0.5), div_value=1.5),
]
PRIOR = tuple(1 / (1 + (7 * i) % NUM_CLASSES) for i in range(NUM_CLASSES))


def entropy(prior: Tensor) -> float:
    return float(-(prior * prior.log()).sum())


def build(config: Config, hidden_size: int = 16, tied_size: int = 0) -> SoftmaxHead:
    tied = nn.Parameter(torch.randn(NUM_CLASSES, tied_size) / 4) if tied_size else None
    return config.build(hidden_size, NUM_CLASSES, tied, PRIOR)


def loss_of(head: SoftmaxHead, hidden: Tensor, targets: Tensor, mask: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean loss over the real positions, whatever the head returns."""
    prediction = head(hidden)
    if isinstance(prediction, DeferredLogits):
        return prediction.cross_entropy(targets, mask, smoothing).mean()
    return F.cross_entropy(prediction[mask], targets[mask], label_smoothing=smoothing)


def problem(batch_size: int = 6, steps: int = 9, size: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(batch_size, steps, size, requires_grad=True)
    targets = torch.randint(0, NUM_CLASSES, (batch_size, steps))
    mask = torch.rand(batch_size, steps) < 0.7
    return hidden, targets.masked_fill(~mask, -100), mask


@pytest.mark.parametrize("tied_size", [0, 16, 12])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_evaluation_gives_scores_of_all_classes(config: Config, tied_size: int) -> None:
    head = build(config, tied_size=tied_size).eval()
    scores = head(torch.randn(2, 3, 16))
    assert scores.shape == (2, 3, NUM_CLASSES)
    if config.kind == "adaptive":
        torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("tied_size", [0, 12])
@pytest.mark.parametrize(
    "config",
    [ChunkedSoftmaxConfig(), SampledSoftmaxConfig(num_samples=NUM_CLASSES), CONFIGS[-1]],
    ids=lambda config: config.kind,
)
def test_training_loss_and_gradients_equal_those_of_all_scores(config: Config, tied_size: int) -> None:
    torch.manual_seed(1)
    head = build(config, tied_size=tied_size)
    hidden, targets, mask = problem()
    results = []
    for training in (True, False):
        head.train(training)
        loss = loss_of(head, hidden, targets, mask)
        results.append((loss, *torch.autograd.grad(loss, [hidden, *head.parameters()])))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, smoothing: float) -> None:
    monkeypatch.setattr(full, "_CHUNK_CPU", 1)  # 64 rows a chunk
    head = build(ChunkedSoftmaxConfig()).double()
    hidden, targets, mask = problem(batch_size=20)
    results = []
    for training in (True, False):
        head.train(training)
        leaf = hidden.detach().double().requires_grad_()
        loss = loss_of(head, leaf, targets, mask, smoothing)
        results.append((loss, *torch.autograd.grad(loss, [leaf, head.weight, head.bias])))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_many_rows_and_classes_give_the_loss_of_double_precision(smoothing: float) -> None:
    """Large enough for the library that small products don't take."""
    hidden, weight, bias = torch.randn(1, 300, 64), torch.randn(2000, 64) / 8, torch.randn(2000)
    targets, found = torch.randint(0, 2000, (1, 300)), []
    for dtype in (torch.float32, torch.float64):
        given = [value.to(dtype).requires_grad_() for value in (hidden, weight, bias)]
        for loss in (
            full.ChunkedLogits(*given).cross_entropy(targets, None, smoothing).total,
            F.cross_entropy(F.linear(*given)[0], targets[0], reduction="sum", label_smoothing=smoothing),
        ):
            found.append([value.double() for value in (loss, *torch.autograd.grad(loss, given))])
    for chunked in (found[0], found[2]):
        for one, wanted in zip(chunked, found[3], strict=True):
            torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-4)


def test_chunked_falls_back_where_its_gradient_is_not_allowed() -> None:
    head = build(ChunkedSoftmaxConfig())
    hidden, targets, mask = problem()
    exact = loss_of(head, hidden, targets, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss_of(head, hidden, targets, mask), exact, rtol=0.02, atol=0)

    def of_weight(weight: Tensor) -> Tensor:
        return full.ChunkedLogits(hidden, weight, head.bias).cross_entropy(targets, mask).mean()

    torch.testing.assert_close(torch.func.grad(of_weight)(head.weight), torch.autograd.grad(exact, head.weight)[0])


def test_sampled_estimates_the_full_loss_and_gradient() -> None:
    torch.manual_seed(2)
    head = build(SampledSoftmaxConfig(num_samples=20))
    hidden, targets, mask = problem()
    hidden = (0.3 * hidden).detach().requires_grad_()
    head.eval()
    exact = loss_of(head, hidden, targets, mask)
    exact_grad = torch.autograd.grad(exact, hidden)[0]
    head.train()
    draws = [loss_of(head, hidden, targets, mask) for _ in range(300)]
    mean = torch.stack(draws).mean()
    assert mean.item() == pytest.approx(exact.item(), rel=0.02)
    grad = torch.autograd.grad(mean, hidden)[0]
    assert F.cosine_similarity(grad.flatten(), exact_grad.flatten(), dim=0) > 0.99


def test_sampled_smoothing_is_exact_when_all_classes_are_drawn() -> None:
    head = build(SampledSoftmaxConfig(num_samples=NUM_CLASSES))
    hidden, targets, mask = problem()
    smoothed = loss_of(head, hidden, targets, mask, 0.1)
    torch.testing.assert_close(smoothed, loss_of(head.eval(), hidden, targets, mask, 0.1))


def test_sampled_survives_a_draw_of_nothing_but_the_target() -> None:
    head = build(SampledSoftmaxConfig(num_samples=1))
    hidden, targets, mask = problem()
    for _ in range(20):
        loss = loss_of(head, hidden, targets, mask)
        assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, [hidden, head.weight]))


@pytest.mark.parametrize("num_samples", [1, 7, 20, 49])
def test_inclusion_probabilities(num_samples: int) -> None:
    weights = smooth_prior(PRIOR, NUM_CLASSES)
    chances = inclusion_probabilities(weights, num_samples)
    assert float(chances.sum()) == pytest.approx(num_samples)
    assert float(chances.min()) > 0
    assert float(chances.max()) <= 1
    below = chances < 1
    ratio = chances[below] / weights[below]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_first_loss_is_the_priors_entropy(config: Config) -> None:
    prior = smooth_prior(PRIOR, NUM_CLASSES)
    head = build(config)
    targets = prior.multinomial(40_000, replacement=True)[None]
    hidden, mask = torch.zeros(1, 40_000, 16), torch.ones(1, 40_000, dtype=torch.bool)
    with torch.no_grad():
        mean = sum(float(loss_of(head, hidden, targets, mask)) for _ in range(8)) / 8
    assert mean == pytest.approx(entropy(prior), rel=0.02)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_without_a_prior_the_start_is_uniform(config: Config) -> None:
    head = config.build(16, NUM_CLASSES).eval()
    scores = head(torch.zeros(1, 1, 16)).log_softmax(-1)
    torch.testing.assert_close(scores, torch.full_like(scores, -math.log(NUM_CLASSES)))


def bigrams() -> tuple[Tensor, Tensor]:
    """A source of 50 symbols: what follows depends on the symbol, and frequencies differ 100-fold."""
    generator = torch.Generator().manual_seed(0)
    scores = 1.5 * torch.randn(NUM_CLASSES, NUM_CLASSES, generator=generator)
    follows = (scores + torch.tensor(PRIOR).log()).softmax(-1)
    stationary = torch.linalg.matrix_power(follows.double(), 200)[0]
    return follows, stationary


def trained_perplexity(config: Config) -> float:
    torch.manual_seed(0)
    follows, stationary = bigrams()
    embedding = nn.Embedding(NUM_CLASSES, 24)
    head = config.build(24, NUM_CLASSES, None, tuple(stationary.tolist()))
    optimizer = torch.optim.Adam([*embedding.parameters(), *head.parameters()], lr=0.03)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, 400)
    mask = torch.ones(1, 384, dtype=torch.bool)
    for _ in range(400):
        given = stationary.multinomial(384, replacement=True)
        targets = follows[given].multinomial(1).T
        optimizer.zero_grad()
        loss_of(head, embedding(given)[None], targets, mask).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        log_probs = head.eval()(embedding.weight[None])[0].log_softmax(-1).double()
    return math.exp(float(-(stationary[:, None] * follows * log_probs).sum()))


@pytest.fixture(scope="module")
def full_perplexity() -> float:
    perplexity = trained_perplexity(FullSoftmaxConfig())
    follows, stationary = bigrams()
    least = math.exp(float(-(stationary[:, None] * follows * follows.log()).sum()))
    assert least < perplexity < 1.05 * least
    return perplexity


@pytest.mark.parametrize("config", CONFIGS[1:], ids=lambda config: config.kind)
def test_learns_as_well_as_the_full_softmax(config: Config, full_perplexity: float) -> None:
    assert trained_perplexity(config) == pytest.approx(full_perplexity, rel=0.02)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_padding_and_empty_batches(config: Config) -> None:
    head = build(config)
    hidden, targets, mask = problem()
    results = []
    for padding in (0.0, 3.0):
        torch.manual_seed(5)
        filled = torch.where(mask[..., None], hidden, padding)
        loss = loss_of(head, filled, targets, mask)
        results.append((loss, *torch.autograd.grad(loss, head.parameters())))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second)
    if config.kind != "full":
        nothing = head(hidden).cross_entropy(targets, torch.zeros_like(mask))
        assert (nothing.total.item(), nothing.count.item()) == (0, 0)
        everywhere = targets.clamp(min=0)
        torch.manual_seed(5)
        first = head(hidden).cross_entropy(everywhere)
        torch.manual_seed(5)
        second = head(hidden).cross_entropy(everywhere, torch.ones_like(mask))
        assert torch.equal(first.total, second.total)
        assert first.count.item() == second.count.item() == mask.numel()
        assert all(float(grad.abs().sum()) == 0 for grad in torch.autograd.grad(nothing.total, head.parameters()))


def test_a_tied_weight_is_shared_and_learns_from_both_sides() -> None:
    for config in CONFIGS:
        embedding = nn.Embedding(NUM_CLASSES, 16)
        head = config.build(16, NUM_CLASSES, embedding.weight, PRIOR)
        assert any(parameter is embedding.weight for parameter in head.parameters())
        assert head.projection is None
        assert config.build(20, NUM_CLASSES, embedding.weight, PRIOR).projection.weight.shape == (16, 20)


def test_a_saved_adaptive_or_sampled_head_needs_no_prior_to_load() -> None:
    for config in CONFIGS:
        head, other = build(config).eval(), config.build(16, NUM_CLASSES).eval()
        other.load_state_dict(head.state_dict())
        hidden = torch.randn(2, 3, 16)
        assert torch.equal(head(hidden), other(hidden))


def test_an_unseen_class_has_a_finite_bias() -> None:
    prior = smooth_prior((0.0, 5.0, 1.0, 4.0), 4)
    torch.testing.assert_close(prior, torch.tensor([0.5, 5, 1, 4], dtype=torch.float64) / 10.5, rtol=0.05, atol=0)
    assert float(prior.sum()) == pytest.approx(1)


def test_table_and_config_agree() -> None:
    class Run(Config):
        softmax: SoftmaxConfig = FullSoftmaxConfig()

    for kind, head in SOFTMAXES.items():
        config = parse(Run, {"softmax": kind}).softmax
        assert isinstance(config, head.Config)
        assert isinstance(config.build(8, 100), head)
    with pytest.raises(ConfigError, match=r"softmax.kind.*no such choice `sampeld`. Did you mean `sampled`"):
        parse(Run, {"softmax": "sampeld"})
    with pytest.raises(ConfigError, match=r"whole number of classes, or a share"):
        parse(Run, {"softmax": {"kind": "adaptive", "cutoffs": [10.5]}})


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (lambda: smooth_prior((1.0, 2.0), 3), ShapeError, "2 numbers for 3 classes"),
        (lambda: smooth_prior((1.0, -2.0), 2), ConfigError, "none below zero"),
        (lambda: smooth_prior((1.0, float("nan")), 2), ConfigError, "finite"),
        (lambda: FullSoftmaxConfig().build(4, 9, nn.Parameter(torch.zeros(8, 4))), ShapeError, r"\(9, dim\)"),
        (lambda: AdaptiveSoftmaxConfig(cutoffs=(50,)).build(4, 9), ConfigError, "stay below 9"),
        (lambda: build(FullSoftmaxConfig())(torch.zeros(2, 3, 5)), ShapeError, "the last axis must be 16"),
        (lambda: loss_of(build(CONFIGS[3]), *problem(), 0.1), ConfigError, "adaptive softmax can't smooth labels"),
        (lambda: loss_of(build(CONFIGS[2]), *problem(), 1.0), ConfigError, r"label_smoothing must be in \[0, 1\)"),
    ],
)
def test_errors(fault: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fault()
