"""How much each member counts, learnt on validation data.

The shares are at least 0 and sum to 1: what a linear pool needs to stay a distribution, and what keeps the weights of
regressions stable where members are alike (Breiman 1996, Stacked regressions, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, BatchStream
from recurra.core.errors import ConfigError, DataError
from recurra.models import mix
from recurra.tasks import FileTask

_MOST_NUMBERS = 100_000_000
"""So many outputs of the members are kept; of more, those of the first batches."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch, and what each member says of it."""

    batch: Batch
    predictions: list[Any]


def learn_shares(models: Sequence[nn.Module], task: FileTask, stream: BatchStream) -> tuple[float, ...]:
    """The shares with the lowest loss on the batches of a stream.

    Args:
        models: in evaluation mode.
        task: gives the loss.
        stream: of the validation data.
    Returns:
        One number a model, in the order of `models`.
    Raises:
        ConfigError: the models draw paths, whose loss is not known.
        DataError: there is nothing to learn from.
    """
    if any(hasattr(model, "begin") for model in models):
        raise ConfigError("shares can't be learnt for forecasts by drawn paths: take --kind mean.")
    answered = list(_answers(models, stream))
    if not answered:
        raise DataError("the validation part is empty, and shares are learnt on it.")
    scores = torch.zeros(len(models), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total, count = scores.new_zeros(()), scores.new_zeros(())
        for one in answered:
            loss = task.loss(mix(one.predictions, scores.softmax(0), task.spec), one.batch)
            total, count = total + loss.total.double(), count + loss.count
        mean = total / count.clamp(min=1)
        mean.backward()  # type: ignore[no-untyped-call]
        return mean

    optimizer.step(closure)
    shares = [round(share, _DIGITS) for share in scores.detach().softmax(0).tolist()]
    largest = shares.index(max(shares))
    shares[largest] = round(1 - sum(shares[:largest] + shares[largest + 1 :]), _DIGITS)
    return tuple(shares)


@torch.no_grad()
def _answers(models: Sequence[nn.Module], stream: BatchStream) -> Iterator[Answered]:
    """What the models say of one epoch, states carried where the stream asks for it."""
    states: list[Any] = [None] * len(models)
    left = _MOST_NUMBERS
    while left > 0 and (batch := stream.next_batch()) is not None:
        outputs = [model(batch.inputs, state) for model, state in zip(models, states, strict=True)]
        if stream.carries_state:
            states = [output.state for output in outputs]
        predictions = [output.prediction for output in outputs]
        left -= sum(map(_size, predictions))
        yield Answered(batch, predictions)


def _size(prediction: Any) -> int:
    """How many numbers it holds."""
    if isinstance(prediction, Tensor):
        return prediction.numel()
    if isinstance(prediction, tuple):
        return sum(map(_size, prediction))
    return _size(prediction.emissions.data) if hasattr(prediction, "emissions") else 0
