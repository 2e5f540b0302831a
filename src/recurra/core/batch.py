"""What passes between a task, a model and the training loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from recurra.core.state import State


class InputKind(StrEnum):
    """What the steps of an input are: vocabulary indices, or vectors of real numbers."""

    TOKENS = "tokens"
    VECTORS = "vectors"


class Resolution(StrEnum):
    """What there is one output for: a step, a sequence, a step of the target, the ends of a span, a step ahead."""

    STEP = "step"
    SEQUENCE = "sequence"
    TARGET = "target"
    SPAN = "span"
    HORIZON = "horizon"


class OutputKind(StrEnum):
    """What the numbers of an output are: logits of classes of which one is true, logits of labels of which each is true
    or not, or estimates and parameters of distributions."""

    CLASSES = "classes"
    LABELS = "labels"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What a model may know of a forecast: the sizes of `core.inputs.Window`.

    Attributes:
        horizon: H, how many steps ahead it looks in training.
        context_length: L, how many steps a training window holds.
        target_size: C, values of a step that are forecast.
        num_parameters: K, numbers that describe the distribution of one value.
        past_size: P, covariates that end where the history ends.
        known_size: F, covariates and calendar features that are known ahead.
        static_size: S, features of a series as a whole.
        num_series: how many series there were in training; 0 where they have no parameters of their own.
        periods: seasonal periods in steps, shortest first, such as (24, 168).
    """

    horizon: int
    context_length: int
    target_size: int
    num_parameters: int
    past_size: int = 0
    known_size: int = 0
    static_size: int = 0
    num_series: int = 0
    periods: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """All that a model may know of a task.

    Attributes:
        input_kind: tokens or vectors.
        input_size: vocabulary size for tokens, number of features for vectors.
        output_size: number of logits or distribution parameters.
        resolution: what there is one output for.
        output_prior: relative frequency of each output in the training split, (output_size,), or None. A model may
            start its output bias from it; a sampled softmax draws its negatives from it.
        character_size: vocabulary size of `Words.spellings`; 0 where there are none.
        text_size: vocabulary size of `Words.text`; 0 where there is none.
        feature_size: last axis of `Reading.features`.
        eos_index: the target vocabulary's token that starts and ends a target; None where none is generated.
        forbidden: pairs of outputs (one, next) that may not follow each other; output_size stands for the border before
            the first and after the last.
        window: sizes of a forecast's window, where the resolution is HORIZON.
        output_kind: what the numbers of an output are.
    """

    input_kind: InputKind
    input_size: int
    output_size: int
    resolution: Resolution
    output_prior: tuple[float, ...] | None = None
    character_size: int = 0
    text_size: int = 0
    feature_size: int = 0
    eos_index: int | None = None
    forbidden: tuple[tuple[int, int], ...] = ()
    window: WindowSpec | None = None
    output_kind: OutputKind = OutputKind.CLASSES


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        inputs: what the model sees: `Sequences`, or an `Inputs` of several.
        targets: what the loss compares with: (B, T) or (B,) indices, or (B, O) numbers.
        ids: one identifier a row, as in the file.
        weights: (B,) float, what each row's loss is multiplied by, or None.
        blank: the rows only keep a process busy that got none of its own: they count nothing.
    """

    inputs: Any
    targets: Tensor
    ids: tuple[str, ...] = ()
    weights: Tensor | None = None
    blank: bool = False

    def to(self, device: torch.device | str) -> Batch:
        """A copy on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device, non_blocking=True),
            weights=None if self.weights is None else self.weights.to(device, non_blocking=True),
        )


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


@runtime_checkable
class Searching(Protocol):
    """A task whose predictions are searched for, such as translation."""

    def search(self, model: Any, batch: Batch, *, quick: bool) -> ModelOutput:
        """What stands in evaluation in the place of `model(batch.inputs)`; `predict` takes its prediction.

        `quick` is for evaluations during the training, where time counts more than the last bit of quality.
        """


@runtime_checkable
class Acting(Protocol):
    """A task that learns from what its own model says, such as translation by a reward."""

    def act(self, model: Any, batch: Batch) -> Batch:
        """Called before each forward pass of the training, without gradients: the batch to learn from instead."""


@runtime_checkable
class Choosing(Protocol):
    """A model that can't read everything, such as one of positive values."""

    def require(self, inputs: Any) -> None:
        """Check a batch's inputs; called for what will be evaluated, before the training.

        Raises:
            DataError: it can't read them.
        """


@runtime_checkable
class Counting(Protocol):
    """A model part of which is counted on the training split instead of trained, such as naive Bayes."""

    def count(self, batches: Iterable[Batch]) -> None:
        """Take the training split in; called once, before the training."""


@runtime_checkable
class Pooling(Protocol):
    """A model of several, each of which answers by itself; see `models.Ensemble`."""

    def parts(self) -> tuple[Any, ...]:
        """The models."""

    def pool(self, predictions: list[Any]) -> Any:
        """One prediction out of one of each model."""


class BatchStream(Protocol):
    """Batches of one split, epoch after epoch; can be stopped and resumed at any batch."""

    carries_state: bool

    @property
    def last_indices(self) -> tuple[int, ...]:
        """The place of each row of the last batch in the order of the split."""

    def next_batch(self) -> Batch | None:
        """The next batch; None at the end of an epoch, after which the next call begins another."""

    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood."""
