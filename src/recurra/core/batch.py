"""What passes between a task, a model and the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra.core.sequences import Sequences
from recurra.core.state import State


class InputKind(StrEnum):
    """What the steps of an input are: vocabulary indices, or vectors of real numbers."""

    TOKENS = "tokens"
    VECTORS = "vectors"


class Resolution(StrEnum):
    """Whether there is one output a step or one a sequence."""

    STEP = "step"
    SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """All that a model may know of a task.

    Attributes:
        input_kind: tokens or vectors.
        input_size: vocabulary size for tokens, number of features for vectors.
        output_size: number of logits or distribution parameters.
        resolution: one output a step or a sequence.
        output_prior: relative frequency of each output in the training split, (output_size,), or None. A model may
            start its output bias from it; a sampled softmax draws its negatives from it.
    """

    input_kind: InputKind
    input_size: int
    output_size: int
    resolution: Resolution
    output_prior: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        inputs: what the model sees.
        targets: what the loss compares with: (B, T) or (B,) indices, or (B, O) numbers.
        ids: one identifier a row, as in the file.
    """

    inputs: Sequences
    targets: Tensor
    ids: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> Batch:
        """A copy on `device`."""
        return Batch(self.inputs.to(device), self.targets.to(device, non_blocking=True), self.ids)


class ModelOutput(NamedTuple):
    """What a model returns.

    Attributes:
        prediction: raw logits or distribution parameters; in training mode a head for large vocabularies may return
            an object with `cross_entropy(targets, mask)` instead, which never forms all logits.
        state: where each row stands after its own last real step.
        penalty: a scalar that the training step adds to the mean loss (activation regularisation), or None.
    """

    prediction: Any
    state: State | None
    penalty: Tensor | None = None


@dataclass(frozen=True, slots=True)
class LossSum:
    """A loss as a sum and a count; divided once, by the training step.

    Attributes:
        total: scalar, in nats for likelihoods.
        count: scalar, how many terms were summed.
    """

    total: Tensor
    count: Tensor

    def __add__(self, other: LossSum) -> LossSum:
        return LossSum(self.total + other.total, self.count + other.count)

    def mean(self) -> Tensor:
        """total / count; 0 for an empty batch."""
        return self.total / self.count.clamp(min=1)


class Metrics(Protocol):
    """Collects predictions and references of an evaluation; sees no logits and no padding."""

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch."""

    def compute(self) -> dict[str, float]:
        """The figures over all that was added, by report tag."""


class Task(Protocol):
    """What the training loop and the evaluation ask of a task."""

    @property
    def spec(self) -> TaskSpec:
        """What a model may know."""

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """The report tag that chooses the best checkpoint, and whether less or more of it is better."""

    def loss(self, prediction: Any, batch: Batch) -> LossSum:
        """Summed loss of raw model output against the batch's targets."""

    def predict(self, prediction: Any, batch: Batch) -> list[Any]:
        """What a person reads, one entry a row, without padding."""

    def references(self, batch: Batch) -> list[Any]:
        """The truth in the form of `predict`."""

    def metrics(self) -> Metrics:
        """A fresh collector."""


class BatchStream(Protocol):
    """Batches of one split, epoch after epoch; can be stopped and resumed at any batch."""

    carries_state: bool

    def next_batch(self) -> Batch | None:
        """The next batch; None at the end of an epoch, after which the next call begins another."""

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood."""
