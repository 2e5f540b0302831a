"""One prediction out of those of several models of one task.

    classes, each by itself   log of the mean probability (a linear pool); so are places of an answer and next tokens
    labels, true or not       log odds of the mean probability
    numbers                   the mean
    distributions, values     `core.outputs.Mixture`; `losses` says what it means
    tags of a sentence (CRF)  the mean of all scores (a logarithmic pool), which is again a chain

By Jensen's inequality the loss of the pool is never above the mean loss of its members. For the chain it follows from
Hoelder's: the mean scores' partition function is at most the geometric mean of the members'.

Reference: Genest and Zidek (1986), Combining probability distributions, Statistical Science 1(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.batch import OutputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.core.outputs import AttendedLogits, Forecast, Mixture
from recurra.layers import ChainWeights, TagScores


def mix(predictions: Sequence[Any], shares: Tensor, spec: TaskSpec) -> Any:
    """One prediction of the same type (of forecasts, a `Mixture`), as the task's loss and predictions take it.

    Args:
        predictions: M of them, in evaluation mode, of one batch.
        shares: (M,) how much each counts; they sum to 1.
        spec: of the task.
    """
    first = predictions[0]
    if isinstance(first, TagScores):
        return _tags(predictions, shares, spec)
    if isinstance(first, Forecast):
        return _forecasts(predictions, shares)
    if isinstance(first, AttendedLogits):
        logits = _tensors([one.logits for one in predictions], shares, spec)
        return AttendedLogits(logits, _attention([one.attention for one in predictions], shares))
    return _tensors(predictions, shares, spec)


def mean_of(parts: Sequence[Tensor], shares: Tensor) -> Tensor:
    """The weighted mean of tensors of one shape."""
    together = torch.stack(list(parts), -1)
    return together @ shares.to(together)


def _tensors(predictions: Sequence[Tensor], shares: Tensor, spec: TaskSpec) -> Tensor:
    kind = spec.output_kind
    rows = [_agreed(one, kind) if _is_ensemble(one, spec) else one for one in predictions]
    return _pool(rows, shares, kind)


def _pool(rows: Sequence[Tensor], shares: Tensor, kind: OutputKind) -> Tensor:
    if kind is OutputKind.NUMBERS:
        return mean_of(rows, shares)
    together = torch.stack([row.float() if row.dtype.itemsize < 4 else row for row in rows])
    logs = shares.to(together).log().reshape(-1, *[1] * rows[0].dim())
    if kind is OutputKind.CLASSES:
        # what no member takes for possible would make the gradient NaN
        never = together.isneginf().all(0)
        likely = together.log_softmax(-1).masked_fill(never, 0.0)
        return (likely + logs).logsumexp(0).masked_fill(never, -torch.inf)
    return (F.logsigmoid(together) + logs).logsumexp(0) - (F.logsigmoid(-together) + logs).logsumexp(0)


def _is_ensemble(prediction: Tensor, spec: TaskSpec) -> bool:
    """Whether it is what `SeriesEnsemble` gives: (B, num_members, O)."""
    return spec.resolution is Resolution.SEQUENCE and prediction.dim() == 3


def _agreed(prediction: Tensor, kind: OutputKind) -> Tensor:
    """(B, num_members, O) -> (B, O)."""
    count = prediction.shape[1]
    return _pool(prediction.unbind(1), prediction.new_full((count,), 1 / count), kind)


def _tags(predictions: Sequence[TagScores], shares: Tensor, spec: TaskSpec) -> TagScores:
    scores = [one.emissions.data for one in predictions]
    if all(one.chain is None for one in predictions):
        return TagScores(predictions[0].emissions.with_data(_pool(scores, shares, OutputKind.CLASSES)))
    chains = [one.chain or _no_chain(one.emissions.data) for one in predictions]
    chain = ChainWeights(*(mean_of(parts, shares) for parts in zip(*chains, strict=True)))
    return TagScores(predictions[0].emissions.with_data(mean_of(scores, shares)), chain)


def _no_chain(emissions: Tensor) -> ChainWeights:
    """A chain that any tag may follow any other in."""
    size = emissions.shape[-1]
    ends = emissions.new_zeros(size)
    return ChainWeights(emissions.new_zeros(size, size), ends, ends)


def _forecasts(predictions: Sequence[Forecast], shares: Tensor) -> Forecast | Mixture:
    drawn = [one.samples for one in predictions if one.samples is not None]
    if not drawn:
        return Mixture(tuple(predictions), shares)
    if len(drawn) < len(predictions):
        raise ConfigError("forecasts by drawn paths and forecasts by parameters can't be joined in one ensemble.")
    first = predictions[0]
    if drawn[0].shape[1] == 1:  # of points: one path each, and their mean is the point
        return first._replace(samples=mean_of(drawn, shares))
    counts = (shares / shares.max() * drawn[0].shape[1]).round().long().tolist()
    return first._replace(samples=torch.cat([one[:, :count] for one, count in zip(drawn, counts, strict=True)], 1))


def _attention(parts: Sequence[Tensor], shares: Tensor) -> Tensor:
    """(B, R, S), R that of the member with the most rounds."""
    rounds = max(part.shape[1] for part in parts)
    return mean_of([F.pad(part, (0, 0, 0, rounds - part.shape[1])) for part in parts], shares)
