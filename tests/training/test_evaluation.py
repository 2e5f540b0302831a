"""Running over a split: evaluation mode, state, undefined figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from recurra.core.batch import Batch, ModelOutput
from recurra.core.sequences import Sequences
from recurra.training import Job, evaluate, run_over
from recurra.training.evaluation import defined

CPU = torch.device("cpu")
PLAIN: Any = object()


class Stream:
    def __init__(self, carries_state: bool) -> None:
        self.carries_state = carries_state
        self.left = 3

    def next_batch(self) -> Batch | None:
        self.left -= 1
        return Batch(Sequences(torch.zeros(1, 2)), torch.zeros(1)) if self.left >= 0 else None


class Counts(nn.Module):
    """State is the number of batches seen since the start."""

    def forward(self, inputs: Sequences, state: Any) -> ModelOutput:
        assert not self.training and not torch.is_grad_enabled()
        return ModelOutput(state, torch.ones(1) if state is None else state + 1)


@pytest.mark.parametrize(("carries", "seen"), [(True, [None, 1.0, 2.0]), (False, [None, None, None])])
def test_state_is_carried_where_the_stream_asks_for_it(carries: bool, seen: list[Any]) -> None:
    stream: Any = Stream(carries)
    model = Counts().train()
    found = [output.prediction for _, output in run_over(model, PLAIN, stream, CPU)]
    assert [state if state is None else state.item() for state in found] == seen
    assert model.training


def test_blank_batches_run_but_are_not_given() -> None:
    class Blank(Stream):
        def next_batch(self) -> Batch | None:
            batch = super().next_batch()
            return None if batch is None else replace(batch, blank=self.left == 1)

    stream: Any = Blank(False)
    assert len(list(run_over(Counts(), PLAIN, stream, CPU))) == 2


def test_a_task_that_searches_has_the_model_to_itself() -> None:
    class Searches:
        def search(self, model: nn.Module, batch: Batch, *, quick: bool) -> ModelOutput:
            return ModelOutput((model, batch.targets), None)

    stream, task, model = Stream(False), Searches(), Counts()
    found = [output.prediction for _, output in run_over(model, task, stream, CPU)]  # type: ignore[arg-type]
    assert [given for given, _ in found] == [model] * 3


def test_training_mode_comes_back_after_an_error() -> None:
    class Fails(nn.Module):
        def forward(self, inputs: Sequences, state: Any) -> ModelOutput:
            raise RuntimeError("no")

    model = Fails().train()
    stream: Any = Stream(True)
    with pytest.raises(RuntimeError):
        list(run_over(model, PLAIN, stream, CPU))
    assert model.training


def test_evaluation_is_the_mean_of_the_loss(make_job: Callable[..., Job]) -> None:
    job = make_job()
    assert job.valid is not None
    total = count = 0.0
    for batch, output in run_over(job.model, job.task, job.valid, CPU):
        loss = job.task.loss(output.prediction, batch)
        total, count = total + float(loss.total), count + float(loss.count)
    found = evaluate(job.model, job.task, job.valid, CPU)
    assert found["nats"] == pytest.approx(total / count, rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(total / count), rel=1e-6)
    assert found["tokens"] == count == 160
    assert evaluate(job.model, job.task, job.valid, CPU) == found


def test_undefined_figures_are_left_out() -> None:
    assert defined({"a": 1.0, "b": math.nan, "c": math.inf, "d": 0.0}) == {"a": 1.0, "d": 0.0}
