"""The chain against all its paths, one by one; its gradient; padding; rows of any length."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.layers.crf import (
    ChainWeights,
    LinearChainCRF,
    log_partition,
    log_partition_reference,
    path_score,
    posterior,
)

K = 3
LENGTHS = (4, 2, 0, 1, 3)
FORBIDDEN = ((0, 2), (1, 1), (K, 2), (0, K))


def chain(forbidden: tuple[tuple[int, int], ...] = (), scale: float = 1.0) -> LinearChainCRF:
    torch.manual_seed(1)
    crf = LinearChainCRF(K, forbidden).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return crf


def emissions(lengths: tuple[int, ...] = LENGTHS, scale: float = 1.0) -> Sequences:
    torch.manual_seed(2)
    data = scale * torch.randn(len(lengths), max(1, *lengths), K, dtype=torch.float64)
    return Sequences(data, torch.tensor(lengths, dtype=torch.int64))


def all_paths(scores: Tensor, weights: ChainWeights) -> dict[tuple[int, ...], Tensor]:
    """The score of every row of tags for emissions (T, K) without padding."""
    found = {}
    for path in itertools.product(range(K), repeat=len(scores)):
        total = scores.new_zeros(())
        if path:
            total = weights.start[path[0]] + weights.end[path[-1]]
        for step, tag in enumerate(path):
            total = total + scores[step, tag]
        for before, after in itertools.pairwise(path):
            total = total + weights.transitions[before, after]
        found[path] = total
    return found


every_chain = pytest.mark.parametrize("forbidden", [(), FORBIDDEN], ids=["free", "forbidden"])


@every_chain
@pytest.mark.parametrize("scale", [1.0, 300.0], ids=["scaled", "far-apart"])
def test_log_z_is_the_sum_over_all_paths(forbidden: tuple[tuple[int, int], ...], scale: float) -> None:
    crf, rows = chain(forbidden), emissions(scale=scale)
    found = log_partition(rows, crf.weights())
    for row, value in zip(rows.unpad(), found, strict=True):
        wanted = torch.stack(list(all_paths(row, crf.weights()).values())).logsumexp(0)
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found, log_partition_reference(rows, crf.weights()), rtol=1e-10, atol=1e-10)


@every_chain
def test_viterbi_is_the_best_of_all_paths(forbidden: tuple[tuple[int, int], ...]) -> None:
    crf, rows = chain(forbidden), emissions()
    tags, scores = crf.viterbi(rows)
    for row, found, score, length in zip(rows.unpad(), tags, scores, LENGTHS, strict=True):
        paths = all_paths(row, crf.weights())
        best = max(paths, key=lambda path: paths[path].item())
        assert tuple(found.tolist()) == best + (0,) * (len(found) - length)
        torch.testing.assert_close(score, paths[best])
    torch.testing.assert_close(path_score(rows, tags, crf.weights()), scores)


@every_chain
def test_likelihoods_of_all_paths_sum_to_one(forbidden: tuple[tuple[int, int], ...]) -> None:
    crf, row = chain(forbidden), emissions((4,))
    paths = list(itertools.product(range(K), repeat=4))
    rows = Sequences(row.data.expand(len(paths), 4, K))
    likely = crf.log_likelihood(rows, torch.tensor(paths)).exp()
    torch.testing.assert_close(likely.sum(), torch.ones((), dtype=torch.float64))
    for path, value in zip(paths, likely, strict=True):
        broken = (0, 2) in itertools.pairwise(path) or (1, 1) in itertools.pairwise(path)
        broken = broken or path[0] == 2 or path[-1] == 0
        assert (value == 0) == bool(forbidden and broken)


@every_chain
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_the_gradient_of_log_z_is_the_marginals(forbidden: tuple[tuple[int, int], ...], scale: float) -> None:
    crf, rows = chain(forbidden), emissions(scale=scale)
    data = rows.data.requires_grad_()
    log_partition(rows, crf.weights()).sum().backward()
    torch.testing.assert_close(data.grad, crf.marginals(rows), rtol=1e-9, atol=1e-10)
    for row, found in zip(rows.unpad(), Sequences(crf.marginals(rows), rows.lengths).unpad(), strict=True):
        wanted = torch.zeros_like(row)
        paths = all_paths(row, crf.weights())
        log_z = torch.stack(list(paths.values())).logsumexp(0)
        for path, score in paths.items():
            for step, tag in enumerate(path):
                wanted[step, tag] += (score - log_z).exp()
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-9, atol=1e-10)


def test_gradients_by_finite_differences() -> None:
    crf, rows = chain(), emissions()
    weight = torch.randn(len(LENGTHS), dtype=torch.float64)

    def total(data: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return (log_partition(rows.with_data(data), ChainWeights(transitions, start, end)) * weight).sum()

    inputs = [part.detach().clone().requires_grad_() for part in (rows.data, *crf.weights())]
    assert torch.autograd.gradcheck(total, inputs, eps=1e-6, atol=1e-6)


@every_chain
def test_gradients_equal_those_of_the_reference(forbidden: tuple[tuple[int, int], ...]) -> None:
    rows = emissions()
    found = []
    for function in (log_partition, log_partition_reference):
        crf, data = chain(forbidden), rows.data.clone().requires_grad_()
        function(rows.with_data(data), crf.weights()).square().sum().backward()
        found.append([data.grad, *[parameter.grad for parameter in crf.parameters()]])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@every_chain
def test_links_and_marginals_give_any_stretch_of_a_path(forbidden: tuple[tuple[int, int], ...]) -> None:
    crf, row = chain(forbidden), emissions((4,))
    paths = {path: p.item() for path, p in all_paths(row.data[0], crf.weights()).items()}
    log_z = log_partition(row, crf.weights()).item()
    chance = {path: math.exp(score - log_z) for path, score in paths.items()}
    found = posterior(row, crf.weights())
    for wanted in itertools.product(range(K), repeat=3):  # at steps 1 to 3
        tags = torch.tensor([[0, *wanted]])
        links = found.links(tags, tags)[0]
        whole = found.marginals[0, 1, wanted[0]] * links[2] * links[3]
        assert whole.item() == pytest.approx(sum(p for path, p in chance.items() if path[1:] == wanted), abs=1e-9)


@every_chain
def test_padding_is_never_read(forbidden: tuple[tuple[int, int], ...]) -> None:
    crf, rows = chain(forbidden), emissions()
    spoilt = rows.with_data(rows.data.masked_fill(~rows.mask[..., None], torch.nan).requires_grad_())
    tags, _ = crf.viterbi(rows)
    garbage = tags.masked_fill(~rows.mask, 10**9)
    crf.log_likelihood(spoilt, garbage).sum().backward()
    assert spoilt.data.grad is not None and spoilt.data.grad.isfinite().all()
    assert torch.equal(crf.log_likelihood(spoilt, garbage), crf.log_likelihood(rows, tags))
    assert torch.equal(crf.viterbi(spoilt)[0], tags)
    assert torch.equal(crf.marginals(spoilt), crf.marginals(rows))
    for index, row in enumerate(rows.unpad()):
        if len(row):
            alone = Sequences(row[None])
            torch.testing.assert_close(crf.marginals(alone)[0], crf.marginals(rows)[index, : len(row)])


@pytest.mark.parametrize("lengths", [(0,), (0, 0), (1,), ()])
def test_empty_rows_and_no_rows(lengths: tuple[int, ...]) -> None:
    crf = chain(FORBIDDEN)
    rows = Sequences(
        torch.randn(len(lengths), max((1, *lengths)), K, dtype=torch.float64), torch.tensor(lengths).long()
    )
    tags, scores = crf.viterbi(rows)
    likely = crf.log_likelihood(rows, tags)
    assert tags.shape == rows.data.shape[:2] and scores.isfinite().all() and likely.isfinite().all()
    likely.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in crf.parameters())
    assert crf.marginals(rows).isfinite().all()


def test_no_steps() -> None:
    crf, rows = chain(FORBIDDEN), Sequences(torch.zeros(2, 0, K, dtype=torch.float64))
    tags, scores = crf.viterbi(rows)
    assert tags.shape == (2, 0) and crf.marginals(rows).shape == (2, 0, K)
    assert crf.log_likelihood(rows, tags).tolist() == scores.tolist() == [0, 0]


def test_many_steps_neither_overflow_nor_drift() -> None:
    crf = chain()
    rows = Sequences(50 + 5 * torch.randn(2, 2000, K, dtype=torch.float64))
    torch.testing.assert_close(
        log_partition(rows, crf.weights()), log_partition_reference(rows, crf.weights()), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(crf.marginals(rows).sum(2), torch.ones(2, 2000, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(dtype: torch.dtype) -> None:
    crf, rows = chain().float(), emissions()
    exact = log_partition(
        rows.with_data(rows.data.to(dtype).double()), ChainWeights(*(w.double() for w in crf.weights()))
    )
    found = log_partition(rows.with_data(rows.data.to(dtype)), crf.weights())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact.float(), rtol=1e-5, atol=1e-5)


def test_scores_that_no_float_can_tell_apart_give_finite_marginals() -> None:
    crf = chain(FORBIDDEN)
    rows = emissions(scale=1e6)
    found = crf.marginals(rows)
    torch.testing.assert_close(found.sum(2), rows.mask.double())


def test_what_does_not_fit_is_said() -> None:
    crf = chain()
    with pytest.raises(ShapeError, match=r"3 tags got emissions of shape \(2, 4, 5\)"):
        crf.viterbi(Sequences(torch.zeros(2, 4, 5)))
    with pytest.raises(ShapeError, match="one a step"):
        crf.log_likelihood(emissions(), torch.zeros(5, 3, dtype=torch.int64))
    with pytest.raises(ConfigError, match=r"forbidden pair \(0, 4\)"):
        LinearChainCRF(K, [(0, 4)])
    with pytest.raises(ConfigError, match="at least one tag"):
        LinearChainCRF(0)
