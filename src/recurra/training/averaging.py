"""Weights averaged in the training and used at evaluation, or kept as snapshots along the way.

Sources: Polyak and Juditsky (1992); non-monotone: NT-ASGD, Merity et al. (2018), algorithm 1,
https://arxiv.org/abs/1708.02182; stochastic weight averaging: Izmailov et al. (2018), https://arxiv.org/abs/1803.05407;
snapshots: Huang et al. (2017), https://arxiv.org/abs/1704.00109.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.config import Config, by_kind
from recurra.training.distributed import full, like


class BaseAverageConfig(Config):
    """What kinds of averages share; this one averages nothing."""

    def share(self, update: int, total: int, count: int) -> float:
        """How much the weights of now count in the mean; 0: not at all.

        Args:
            update: updates done, 1..total.
            total: updates of the run.
            count: how often the mean has taken weights in; never 0 where the first share would be less than 1.
        """
        return 0.0

    def starts(self, history: Sequence[float], less_is_better: bool) -> bool:
        """Whether the last evaluation is the one after which every update is averaged.

        Args:
            history: what the evaluations before it found, then what it found.
            less_is_better: of these.
        """
        return False

    def is_snapshot(self, update: int, first: int, total: int) -> bool:
        """Whether the weights after `update` are kept.

        Args:
            update: updates done, 1..total.
            first: updates of the warm-up.
            total: updates of the run.
        """
        return False


class NoAverageConfig(BaseAverageConfig):
    """The weights as they are."""

    kind: Literal["none"] = "none"


class EMAConfig(BaseAverageConfig):
    """An exponential moving average over all updates."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(0.999, gt=0, lt=1, description="what is left of the mean at each update; less in the first")

    def share(self, update: int, total: int, count: int) -> float:
        """1 - decay, and more while the mean is young: 1 at first."""
        return 1.0 if count == 0 else 1 - min(self.decay, (1 + count) / (10 + count))


class SWAConfig(BaseAverageConfig):
    """The plain mean over the last part of the run."""

    kind: Literal["swa"] = "swa"
    start: float = Field(0.75, ge=0, lt=1, description="part of the run after which averaging begins")
    every: int = Field(1, ge=1, description="updates from one set of weights that is taken in to the next")

    def share(self, update: int, total: int, count: int) -> float:
        """That of a mean over `count` + 1, where one is due."""
        done = update - math.ceil(self.start * total)
        return 1 / (count + 1) if done >= 0 and done % self.every == 0 else 0.0


class NonMonotoneConfig(BaseAverageConfig):
    """The plain mean over all updates since validation stopped improving."""

    kind: Literal["non-monotone"] = "non-monotone"
    evaluations: int = Field(5, ge=1, description="so many without a new best, and averaging begins")

    def share(self, update: int, total: int, count: int) -> float:
        """That of a mean over `count` + 1, once it has begun."""
        return 1 / (count + 1) if count else 0.0

    def starts(self, history: Sequence[float], less_is_better: bool) -> bool:
        """Whether the last evaluation is worse than the best of those at least `evaluations` before it."""
        earlier, value = history[: -1 - self.evaluations], history[-1]
        if not earlier:
            return False
        return value > min(earlier) if less_is_better else value < max(earlier)


class SnapshotsConfig(BaseAverageConfig):
    """Nothing is averaged: the weights at the end of each part of the run are kept, for an ensemble."""

    kind: Literal["snapshots"] = "snapshots"
    count: int = Field(5, ge=2, description="parts of the run; schedule.kind=cyclic with as many cycles goes with it")

    def is_snapshot(self, update: int, first: int, total: int) -> bool:
        """Whether a cycle of `schedule.CyclicConfig` ends here."""
        ends = (first + math.ceil(part * (total - first) / self.count) for part in range(1, self.count + 1))
        return update > first and update in ends


AVERAGES: dict[str, type[BaseAverageConfig]] = {
    "none": NoAverageConfig,
    "ema": EMAConfig,
    "swa": SWAConfig,
    "non-monotone": NonMonotoneConfig,
    "snapshots": SnapshotsConfig,
}
AverageConfig = by_kind(AVERAGES.values())


class WeightAverage:
    """A running mean of a model's trained weights, and of its running statistics (batch norm).

    Args:
        model: as it is trained.
        config: which mean.
        total: updates of the run.
    """

    def __init__(self, model: nn.Module, config: BaseAverageConfig, total: int) -> None:
        self.config, self.total = config, total
        self._own: dict[str, Tensor] = {name: part for name, part in model.named_parameters() if part.requires_grad}
        self._own |= {name: value for name, value in model.named_buffers() if value.is_floating_point()}
        self._mean: dict[str, Tensor] = {}
        self._count = 0

    @property
    def started(self) -> bool:
        """Whether there is a mean."""
        return bool(self._mean)

    @torch.no_grad()
    def update(self, update: int) -> None:
        """Take in the weights after an update, as much as the config says."""
        share = self.config.share(update, self.total, self._count)
        if share:
            self._take(share)

    def after_evaluation(self, history: Sequence[float], less_is_better: bool) -> bool:
        """Let a mean begin that waits for an evaluation; whether it did."""
        begins = not self._mean and self.config.starts(history, less_is_better)
        if begins:
            self._take(1.0)
        return begins

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the mean in the model's place for a while; does nothing while there is none."""
        if not self._mean:
            yield
            return
        kept = {name: value.detach().clone() for name, value in self._own.items()}
        self._copy(self._mean)
        try:
            yield
        finally:
            self._copy(kept)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {name: full(mean).clone() for name, mean in self._mean.items()}

    @property
    def count(self) -> int:
        """How often the mean has taken weights in."""
        return self._count

    def load(self, tensors: dict[str, Tensor], count: int) -> None:
        """Put back what a checkpoint kept."""
        self._mean = {name: like(tensor, self._own[name]) for name, tensor in tensors.items()}
        self._count = count

    @torch.no_grad()
    def _take(self, share: float) -> None:
        if not self._mean:
            self._mean = {name: value.detach().clone() for name, value in self._own.items()}
        for name, mean in self._mean.items():
            mean.lerp_(self._own[name].detach(), share)
        self._count += 1

    @torch.no_grad()
    def _copy(self, source: dict[str, Tensor]) -> None:
        for name, value in self._own.items():
            value.copy_(source[name])
