"""What one tagger makes of another one's beliefs."""

from __future__ import annotations

import itertools

import pytest
import torch

from recurra.core.sequences import Sequences
from recurra.layers import ChainWeights, TagScores

K, LENGTHS = 3, (4, 2, 0)


def scores(seed: int, *, chained: bool, forbidden: bool = False) -> TagScores:
    draw = torch.Generator().manual_seed(seed)
    data, moves, start, end = (
        torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((3, 4, K), (K, K), (K,), (K,))
    )
    if forbidden:
        moves[0, 1] = -torch.inf
    chain = ChainWeights(moves, start, end) if chained else None
    return TagScores(Sequences(data, torch.tensor(LENGTHS)), chain)


@pytest.mark.parametrize("student", [True, False])
@pytest.mark.parametrize("teacher", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_expected_log_likelihood_is_that_of_all_rows_of_tags(
    student: bool, teacher: bool, temperature: float
) -> None:
    own = scores(0, chained=student).tempered(temperature)
    other = scores(1, chained=teacher).tempered(temperature)
    wanted = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(LENGTHS[:2]):
        for tags in itertools.product(range(K), repeat=length):
            padded = torch.zeros(3, 4, dtype=torch.int64)
            padded[row, :length] = torch.tensor(tags)
            wanted += other.log_likelihood(padded)[row].exp() * own.log_likelihood(padded)[row]
    torch.testing.assert_close(own.expected_log_likelihood(other.posterior()), wanted)


def test_what_is_forbidden_does_no_harm() -> None:
    own, other = scores(0, chained=True, forbidden=True), scores(1, chained=False)
    own.emissions.data.requires_grad_()
    found = own.expected_log_likelihood(other.posterior())
    found.backward()  # type: ignore[no-untyped-call]
    assert found.isfinite() and own.emissions.data.grad is not None and own.emissions.data.grad.isfinite().all()
