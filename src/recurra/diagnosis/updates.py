"""What single updates do: how far they move weights, whether they help the batch they were made of, and clipping."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn

from recurra.core.batch import Batch, BatchStream, Task
from recurra.core.state import State
from recurra.training import World
from recurra.training.optimizer import BaseOptimizerConfig
from recurra.training.step import TrainStep

_SETTLING = 10
"""Updates after which the optimizer's means have filled."""
_LEAST, _LEAST_WEIGHT = 3, 1e-8


@dataclass(frozen=True, slots=True)
class Updates:
    """Of some updates from the model's weights, at the configured learning rate.

    Attributes:
        ratios: by parameter, the size of an update as a part of the weight's, the median; biases are left out.
        worse: share of the updates after which the loss on their own batch was higher than before.
        norms: gradient norms before clipping.
        clip_norm: what they are clipped to; 0 is off.
    """

    ratios: dict[str, float]
    worse: float
    norms: tuple[float, ...]
    clip_norm: float

    @property
    def ratio(self) -> float:
        """The median over the parameters."""
        return statistics.median(self.ratios.values()) if self.ratios else 0.0


@dataclass(frozen=True, slots=True)
class Clipping:
    """Of the updates of a run.

    Attributes:
        clipped: share whose gradient was longer than `clip_norm`.
        typical: the median norm before clipping.
        clip_norm: the bound; 0 is off.
    """

    clipped: float
    typical: float
    clip_norm: float

    @property
    def shrunk(self) -> float:
        """How many times the median gradient is shortened."""
        return self.typical / self.clip_norm if self.clip_norm and self.typical > self.clip_norm else 1.0


def clipping(rows: Sequence[Mapping[str, Any]], clip_norm: float) -> Clipping | None:
    """From the rows of metrics.jsonl; None where there are none of training."""
    norms = [row["gradient_norm"] for row in rows if row.get("kind") == "train" and _is_number(row["gradient_norm"])]
    if not norms:
        return None
    clipped = sum(norm > clip_norm for norm in norms) / len(norms) if clip_norm else 0.0
    return Clipping(clipped, statistics.median(norms), clip_norm)


def updates(
    model: nn.Module, task: Task, stream: BatchStream, config: BaseOptimizerConfig, number: int, seconds: float
) -> Updates:
    """Go on from the model's weights in a copy of it, and watch `number` updates, or those of so many seconds."""
    began = time.perf_counter()
    twin = copy.deepcopy(model).train().requires_grad_(True)
    device = next(twin.parameters()).device
    groups = twin.layer_groups()  # type: ignore[operator]
    optimizer = config.build(groups)
    step = TrainStep(twin, task, optimizer, config, World(0, 1, device), "float32", carries_state=stream.carries_state)
    weights = {name: weight for name, weight in twin.named_parameters() if weight.dim() > 1}
    ratios: dict[str, list[float]] = {name: [] for name in weights}
    worse, norms = [], []
    state: State | None = None
    for place, batch in enumerate(islice(_endless(stream), number + _SETTLING)):
        batch, entered = batch.to(device), state
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        first = _loss(twin, task, batch, entered)
        result, state = step([batch], entered, 1.0)
        if not (math.isfinite(result.loss) and math.isfinite(result.gradient_norm)):
            worse.append(True)
            break
        step.apply()
        late = time.perf_counter() - began > seconds
        if place < _SETTLING and not late:
            continue
        norms.append(result.gradient_norm)
        after = _loss(twin, task, batch, entered)
        worse.append(not after <= first)
        for name, weight in weights.items():
            size = float(before[name].norm())
            if size > _LEAST_WEIGHT:
                ratios[name].append(float((weight.detach() - before[name]).norm()) / size)
        if late and len(norms) >= _LEAST:
            break
    medians = {name: statistics.median(found) for name, found in ratios.items() if found}
    return Updates(medians, sum(worse) / max(1, len(worse)), tuple(norms), config.clip_norm)


@torch.no_grad()
def _loss(model: nn.Module, task: Task, batch: Batch, state: State | None) -> float:
    """The mean loss without dropout."""
    model.eval()
    loss = float(task.loss(model(batch.inputs, state).prediction, batch).mean())
    model.train()
    return loss


def _endless(stream: BatchStream) -> Iterator[Batch]:
    while True:
        batch = stream.next_batch()
        if batch is not None and not batch.blank:
            yield batch


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
