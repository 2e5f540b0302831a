"""What a model has learnt: its loss on training data, on data held out, and against targets that are exchanged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, LossSum, Resolution, Task


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean losses of some batches.

    Attributes:
        true: against their own targets.
        exchanged: against targets of other rows (or steps) of the same batch; None where they can't be exchanged.
        margin: two standard errors of the difference of both, over the batches; infinite for one batch.
    """

    true: float
    exchanged: float | None
    margin: float

    @property
    def learnt(self) -> bool | None:
        """Whether the model knows targets from exchanged ones."""
        return None if self.exchanged is None else self.exchanged - self.true > self.margin


@torch.no_grad()
def measure_loss(model: nn.Module, task: Task, batches: Iterable[Batch], *, carries_state: bool) -> Loss | None:
    """Of a model in evaluation mode; None of no batches."""
    own: list[LossSum] = []
    others: list[LossSum] = []
    state = None
    draw = torch.Generator().manual_seed(0)
    for batch in batches:
        output = model(batch.inputs, state)
        state = output.state if carries_state else None
        own.append(task.loss(output.prediction, batch))
        for _ in range(4):
            exchanged = exchange(batch, task.spec.resolution, draw)
            if exchanged is not None:
                others.append(task.loss(output.prediction, exchanged))
    if not own:
        return None
    true = float(sum(own[1:], own[0]).mean())
    if not others or len(others) < len(own):
        return Loss(true, None, math.inf)
    other = float(sum(others[1:], others[0]).mean())
    if not math.isfinite(other):
        return Loss(true, None, math.inf)  # a CRF gives tags that can't follow each other no chance at all
    repeats = len(others) // len(own)
    differences = [
        float(others[at * repeats + turn].mean() - one.mean()) for at, one in enumerate(own) for turn in range(repeats)
    ]
    spread = float(torch.tensor(differences).std()) if len(differences) > 1 else math.inf
    return Loss(true, other, 2 * spread / math.sqrt(len(own)))


def exchange(batch: Batch, resolution: Resolution, draw: torch.Generator) -> Batch | None:
    """The same inputs with the targets of other rows, or of steps their other steps; None where that says nothing."""
    targets = batch.targets
    if resolution in (Resolution.SEQUENCE, Resolution.HORIZON):
        if len(targets) < 4:
            return None
        order = torch.randperm(len(targets), generator=draw).to(targets.device)
        return replace(batch, targets=targets[order])
    if resolution is Resolution.STEP and isinstance(targets, Tensor) and targets.dim() == 2:
        order = torch.randperm(targets.shape[1], generator=draw).to(targets.device)
        return replace(batch, targets=targets[:, order])
    return None
