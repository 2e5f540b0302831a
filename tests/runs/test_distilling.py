"""What a teacher adds to the loss."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, InputKind, LossSum, ModelOutput, OutputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.data import TokenCorpus
from recurra.layers import ChunkedSoftmaxConfig, SampledSoftmaxConfig, TagScores
from recurra.losses import LIKELIHOODS, binary_cross_entropy, cross_entropy, mse
from recurra.runs.distilling import DistillConfig, Distilling
from recurra.runs.writing import _joined

B, K = 4, 3


class Told(nn.Module):
    """Says one thing."""

    def __init__(self, said: Any, state: Any = None) -> None:
        super().__init__()
        self.said, self.state = said, state

    def forward(self, inputs: Any, state: Any = None) -> ModelOutput:
        return ModelOutput(self.said, None if self.state is None else (state, self.state))


def task(loss: Any, kind: OutputKind = OutputKind.CLASSES, resolution: Resolution = Resolution.SEQUENCE) -> Any:
    spec = TaskSpec(InputKind.TOKENS, 7, K, resolution, output_kind=kind)
    return SimpleNamespace(spec=spec, loss=lambda found, batch: loss(found, batch.targets))


def cost(own: Any, student: Any, teacher: Any, batch: Batch, **options: float) -> Tensor:
    config = DistillConfig(teacher="t", **options)  # type: ignore[arg-type]
    objective = Distilling(own, Told(teacher), config)
    return objective(lambda batch, state: ModelOutput(student, None), batch, None).loss.mean()


def logits(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LABELS = Batch(Sequences(torch.zeros(B, 2, dtype=torch.int64)), torch.arange(B) % K)


def test_the_loss_is_a_mean_of_true_and_believed() -> None:
    student, teacher = logits(0, B, K), logits(1, B, K)
    true = cross_entropy(student, LABELS.targets).mean()
    soft = -((teacher / 2).softmax(-1) * (student / 2).log_softmax(-1)).sum(-1).mean()
    found = cost(task(cross_entropy), student, teacher, LABELS, temperature=2.0, weight=0.3)
    torch.testing.assert_close(found, 0.7 * true + 0.3 * 4 * soft)


def test_the_teachers_own_belief_is_the_best_answer() -> None:
    teacher = logits(1, B, K)
    student = teacher.clone().requires_grad_()
    cost(task(cross_entropy), student, teacher, LABELS, weight=1.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-6, rtol=0)


def test_padding_counts_nothing() -> None:
    inputs = Sequences(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 1]))
    batch = Batch(inputs, torch.zeros(2, 3, dtype=torch.int64))
    own = task(lambda found, targets: cross_entropy(found, targets, inputs.mask), resolution=Resolution.STEP)
    student, teacher = logits(0, 2, 3, K), logits(1, 2, 3, K)
    found = cost(own, student, teacher, batch, weight=1.0)
    student[1, 1:], teacher[1, 1:] = torch.nan, torch.nan
    torch.testing.assert_close(cost(own, student, teacher, batch, weight=1.0), found)


def test_labels_and_numbers() -> None:
    student, teacher, targets = logits(0, B, K), logits(1, B, K), torch.ones(B, K)
    batch = Batch(LABELS.inputs, targets)
    found = cost(task(binary_cross_entropy, OutputKind.LABELS), student, teacher, batch, weight=1.0)
    torch.testing.assert_close(found, binary_cross_entropy(student, teacher.sigmoid()).mean())
    found = cost(task(mse, OutputKind.NUMBERS), student, teacher, batch, weight=0.25)
    wanted = 0.75 * mse(student, targets).mean() + 0.25 * mse(student, teacher).mean()
    torch.testing.assert_close(found, wanted)


def test_tags() -> None:
    emissions = [Sequences(logits(seed, 2, 3, K), torch.tensor([3, 2])) for seed in (0, 1)]
    student, teacher = (TagScores(one) for one in emissions)
    own = task(lambda found, targets: LossSum(-found.log_likelihood(targets).sum(), torch.tensor(5)))
    found = cost(own, student, teacher, Batch(emissions[0], torch.zeros(2, 3, dtype=torch.int64)), weight=1.0)
    chances = teacher.posterior().marginals.float()
    wanted = -(chances * emissions[0].data.log_softmax(-1)).sum() / 5
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_forecasts_come_nearer_to_the_teachers(kind: str) -> None:
    likelihood = LIKELIHOODS[kind]().build()
    parameters = logits(0, B, 2, 1, likelihood.num_parameters)
    shift, scale = torch.full((B, 1, 1), 3.0), torch.ones(B, 1, 1)
    targets = torch.full((B, 2, 1), 5.0)
    targets[0] = torch.nan
    known = ~targets.isnan()

    def loss(found: Any, wanted: Tensor) -> LossSum:
        return LossSum(likelihood.loss(found, wanted.nan_to_num()).masked_fill(~known, 0).sum(), known.sum())

    own = task(loss, OutputKind.NUMBERS, Resolution.HORIZON)
    own.likelihood = likelihood
    teacher = Forecast(parameters, shift, scale)
    near = cost(own, teacher, teacher, Batch(None, targets), weight=1.0)
    far = cost(own, teacher._replace(shift=shift + 9), teacher, Batch(None, targets), weight=1.0)
    assert near.isfinite() and near < far


def test_a_softmax_that_scores_some_words_only_is_refused() -> None:
    hidden, teacher = logits(0, B, 2, 5), logits(1, B, 2, K)
    batch = Batch(Sequences(torch.zeros(B, 2, dtype=torch.int64)), torch.zeros(B, 2, dtype=torch.int64))
    own = task(cross_entropy, resolution=Resolution.STEP)
    chunked = ChunkedSoftmaxConfig().build(5, K).train()(hidden)
    assert cost(own, chunked, teacher, batch).isfinite()
    with pytest.raises(ConfigError, match=r"model\.softmax=full"):
        cost(
            own, SampledSoftmaxConfig(num_samples=2).build(5, K, None, (0.5, 0.3, 0.2)).train()(hidden), teacher, batch
        )


def test_the_states_of_both_are_carried() -> None:
    objective = Distilling(task(cross_entropy), Told(logits(1, B, K), torch.ones(B)), DistillConfig(teacher="t"))
    after = objective(lambda batch, state: ModelOutput(logits(0, B, K), torch.zeros(B)), LABELS, None).state
    assert isinstance(after, tuple) and torch.equal(after[0], torch.zeros(B))
    again = objective(lambda batch, state: ModelOutput(logits(0, B, K), state), LABELS, after)
    assert isinstance(again.state, tuple) and again.state[1][0] is after[1]  # type: ignore[index]


def test_written_rows_begin_documents_as_what_follows_an_end_does() -> None:
    corpus = TokenCorpus(np.array([4, 5, 1], np.int32), np.array([0]), 1)
    found = _joined(corpus, np.array([[7, 1, 8], [9, 9, 1]], np.int32))
    assert found.tokens.tolist() == [4, 5, 1, 7, 1, 8, 9, 9, 1]
    assert found.starts.tolist() == [0, 3, 5, 6]
