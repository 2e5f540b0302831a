"""How much each member counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, InputKind, LossSum, ModelOutput, OutputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError, DataError
from recurra.ensembles import learn_shares
from recurra.losses import cross_entropy, mse


class Stream:
    """Batches once."""

    carries_state = False

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = list(batches)

    def next_batch(self) -> Batch | None:
        return self._batches.pop(0) if self._batches else None


class Told(nn.Module):
    """Says what it is told to."""

    def __init__(self, said: Tensor) -> None:
        super().__init__()
        self.said = said

    def forward(self, inputs: Any, state: Any = None) -> ModelOutput:
        return ModelOutput(self.said[inputs], None)


def task(kind: OutputKind, loss: Any) -> Any:
    spec = TaskSpec(InputKind.VECTORS, 2, 3, Resolution.SEQUENCE, output_kind=kind)
    return SimpleNamespace(spec=spec, loss=lambda found, batch: loss(found, batch.targets))


def batches(targets: Tensor, size: int = 100) -> Stream:
    places = torch.arange(len(targets))
    pairs = zip(places.split(size), targets.split(size), strict=True)
    return Stream([Batch(rows, own) for rows, own in pairs])


def test_shares_of_a_mixture_are_found() -> None:
    draw = torch.Generator().manual_seed(0)
    members = [torch.randn(20_000, 3, generator=draw) * 2 for _ in range(3)]
    true = torch.tensor([0.6, 0.1, 0.3])
    chances = sum(share * one.softmax(-1) for share, one in zip(true, members, strict=True))
    targets = torch.multinomial(chances, 1, generator=draw)[:, 0]
    found = learn_shares([Told(one) for one in members], task(OutputKind.CLASSES, cross_entropy), batches(targets, 999))
    assert found == pytest.approx(true.tolist(), abs=0.03) and sum(found) == pytest.approx(1, abs=1e-9)


def test_shares_of_numbers_are_those_of_least_squares() -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.randn(5000, 3, generator=draw)
    members = [truth + noise * torch.randn(5000, 3, generator=draw) for noise in (1.0, 2.0)]
    found = learn_shares([Told(one) for one in members], task(OutputKind.NUMBERS, mse), batches(truth))
    assert found == pytest.approx([0.8, 0.2], abs=0.02)  # as the inverse variances


def test_a_useless_member_counts_next_to_nothing() -> None:
    good = torch.eye(3)[torch.arange(300) % 3] * 8
    found = learn_shares(
        [Told(good), Told(-good)], task(OutputKind.CLASSES, cross_entropy), batches(torch.arange(300) % 3)
    )
    assert found[0] > 0.99


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="validation part is empty"):
        learn_shares([Told(torch.zeros(1, 3))] * 2, task(OutputKind.CLASSES, cross_entropy), Stream([]))


def test_paths_have_no_loss() -> None:
    model = Told(torch.zeros(1, 3))
    model.begin = lambda window: None  # type: ignore[assignment]
    loss: Any = lambda found, targets: LossSum(found.sum(), torch.tensor(1))  # noqa: E731
    with pytest.raises(ConfigError, match="drawn paths"):
        learn_shares([model, model], task(OutputKind.NUMBERS, loss), batches(torch.zeros(3, 3)))
