"""Running a model over a split without training it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

import torch
from torch import nn

from recurra.core.batch import Batch, BatchStream, ModelOutput, Searching, Task
from recurra.core.state import State
from recurra.training.distributed import bare


@torch.no_grad()
def run_over(
    model: nn.Module, task: Task, stream: BatchStream, device: torch.device, *, quick: bool = False
) -> Iterator[tuple[Batch, ModelOutput]]:
    """One epoch of a stream through the model in evaluation mode; state is carried where the stream asks for it.

    A task that must search for its predictions does so with the bare model; `quick` is for it.
    """
    was_training = model.training
    # to set and reset the mode of every module would take a tenth of a single prediction
    if was_training:
        model.eval()
    state = None
    try:
        while (batch := stream.next_batch()) is not None:
            if batch.targets.device != device:
                batch = batch.to(device)
            output = _answer(model, task, batch, state, quick)
            state = output.state if stream.carries_state else None
            if not batch.blank:
                yield batch, output
    finally:
        if was_training:
            model.train()


def _answer(model: nn.Module, task: Task, batch: Batch, state: State | None, quick: bool) -> ModelOutput:
    if _searches(type(task)):
        return cast(Searching, task).search(bare(model), batch, quick=quick)
    output: ModelOutput = model(batch.inputs, state)
    return output


@cache
def _searches(kind: type) -> bool:
    # asked of the type, and once: a protocol takes its time to look
    return issubclass(kind, Searching)


def evaluate(model: nn.Module, task: Task, stream: BatchStream, device: torch.device) -> dict[str, float]:
    """The task's metrics over a split, as the training loop asks for them."""
    metrics = task.metrics()
    for batch, output in run_over(model, task, stream, device, quick=True):
        metrics.update(task.predict(output.prediction, batch), task.references(batch))
    return metrics.compute()


def defined(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without those that a split does not define, such as the ROC-AUC of rows of one class only."""
    return {tag: value for tag, value in figures.items() if math.isfinite(value)}
