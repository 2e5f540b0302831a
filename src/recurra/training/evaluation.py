"""Running a model over a split without training it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from recurra.core.batch import Batch, BatchStream, ModelOutput, Task


@torch.no_grad()
def run_over(model: nn.Module, stream: BatchStream, device: torch.device) -> Iterator[tuple[Batch, ModelOutput]]:
    """One epoch of a stream through the model in evaluation mode; state is carried where the stream asks for it."""
    was_training = model.training
    model.eval()
    state = None
    try:
        while (batch := stream.next_batch()) is not None:
            batch = batch.to(device)
            output: ModelOutput = model(batch.inputs, state)
            state = output.state if stream.carries_state else None
            yield batch, output
    finally:
        model.train(was_training)


def evaluate(
    model: nn.Module,
    task: Task,
    stream: BatchStream,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """The task's metrics over a split.

    Args:
        on_batch: called with the number of batches done, for a progress bar.
    """
    metrics = task.metrics()
    for done, (batch, output) in enumerate(run_over(model, stream, device), start=1):
        metrics.update(task.predict(output.prediction, batch), task.references(batch))
        if on_batch is not None:
            on_batch(done)
    return metrics.compute()
