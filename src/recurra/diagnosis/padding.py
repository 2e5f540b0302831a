"""Whether a model reads padding, how much of the batches is padding, and files that were padded before they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, Resolution
from recurra.core.inputs import Inputs
from recurra.core.sequences import Sequences
from recurra.diagnosis.horizon import answers
from recurra.layers.windows import lengths_of

_MORE = 3
_TAIL = 3


@dataclass(frozen=True, slots=True)
class Padding:
    """What there is to say of padding.

    Attributes:
        share: part of the steps of the training batches that is padding.
        longest, usual: length of the longest row, and that which 9 of 10 rows don't exceed.
        read: largest change of an answer when other values stand on the padding, as a part of the answers' size; None
            where it can't be measured.
        tails: share of the rows that end in one value, repeated, which is the same for all of them.
        tail: how much of those rows that value takes, in the mean.
    """

    share: float
    longest: int
    usual: int
    read: float | None
    tails: float
    tail: float


def padding(
    model: nn.Module, batches: Sequence[Batch], smaller: Sequence[Batch], resolution: Resolution
) -> Padding | None:
    """What batches as those of the training show, and the model on smaller ones; None: inputs have no sequences."""
    lengths: list[int] = []
    steps = 0
    for batch in batches:
        for part in sequences_of(batch.inputs):
            if part.batch_size != len(batch.targets):
                continue  # what rows share, such as the spellings of words
            own = part.lengths
            lengths += [part.num_steps] * part.batch_size if own is None else own.tolist()
            steps += part.batch_size * part.num_steps
    if not steps:
        return None
    ordered = sorted(lengths)
    tails, tail = _tails(batches)
    return Padding(
        1 - sum(lengths) / steps,
        ordered[-1],
        ordered[int(0.9 * (len(ordered) - 1))],
        reads_padding(model, smaller, resolution),
        tails,
        tail,
    )


def sequences_of(inputs: Any) -> Iterator[Sequences]:
    """The padded sequences among inputs."""
    if isinstance(inputs, Sequences):
        yield inputs
    elif isinstance(inputs, Inputs) and is_dataclass(inputs):
        for field in fields(inputs):
            yield from sequences_of(getattr(inputs, field.name))


@torch.no_grad()
def reads_padding(model: nn.Module, batches: Sequence[Batch], resolution: Resolution) -> float | None:
    """How much the answers change with what stands on the padding, as a part of their size."""
    found = []
    for batch in batches:
        changed = _refilled(batch.inputs)
        if changed is None:
            continue
        lengths = lengths_of(next(sequences_of(batch.inputs)))
        if len(lengths) != len(batch.targets):
            return None
        one, two = (answers(model(inputs, None).prediction, lengths, resolution) for inputs in (batch.inputs, changed))
        for a, b in zip(one, two, strict=True):
            if a.shape == b.shape:
                found.append(float((a - b).abs().max() / a.abs().mean().clamp(min=1e-6)))
    return max(found, default=None)


def _refilled(inputs: Any) -> Any:
    """The same rows with other values on the padding, and where nothing else must fit, more of it; None: no padding."""
    if isinstance(inputs, Sequences):
        return _longer(inputs)
    if not isinstance(inputs, Inputs) or not is_dataclass(inputs):
        return None
    changed = {
        field.name: _filled(part)
        for field in fields(inputs)
        if isinstance(part := getattr(inputs, field.name), Sequences) and part.lengths is not None
    }
    return replace(inputs, **changed) if changed else None  # type: ignore[type-var]


def _filled(part: Sequences) -> Sequences:
    real = part.mask
    values = part.data[real]
    if not len(values) or bool(real.all()):
        return part
    draw = torch.Generator().manual_seed(0)
    taken = values[torch.randint(len(values), (int((~real).sum()),), generator=draw).to(values.device)]
    data = part.data.clone()
    data[~real] = taken if not taken.is_floating_point() else taken * 3 + 1
    return part.with_data(data)


def _longer(part: Sequences) -> Sequences:
    extra = part.data[:, :1].expand(-1, _MORE, *part.data.shape[2:])
    reset = part.reset
    if reset is not None:
        reset = torch.cat([reset, torch.zeros_like(reset[:, :1]).expand(-1, _MORE)], 1)
    return _filled(Sequences(torch.cat([part.data, extra], 1), lengths_of(part), reset))


def _tails(batches: Sequence[Batch]) -> tuple[float, float]:
    """Share of the rows that end in a run of one value, the same for all; and the mean part that it takes of them."""
    ends: dict[tuple[float, ...], list[float]] = {}
    rows = 0
    for batch in batches:
        if not isinstance(batch.inputs, Sequences):
            return 0.0, 0.0
        for row in batch.inputs.unpad():
            rows += 1
            value, part = _run_at_end(row)
            if part:
                ends.setdefault(value, []).append(part)
    if not ends or not rows:
        return 0.0, 0.0
    parts = max(ends.values(), key=len)
    return len(parts) / rows, sum(parts) / len(parts)


def _run_at_end(row: Tensor) -> tuple[tuple[float, ...], float]:
    """The value that a row (T, ...) ends with, and which part of the row its run takes; 0 for runs of no length.

    The very last step is left out: a text ends with an eos.
    """
    flat = row.reshape(len(row), -1)[:-1]
    if len(flat) < 2 * _TAIL:
        return (), 0.0
    same = (flat == flat[-1]).all(1).flip(0).long().cumprod(0)
    run = int(same.sum())
    if run < _TAIL or run == len(flat):
        return (), 0.0
    return tuple(flat[-1].double().tolist()), run / len(row)
