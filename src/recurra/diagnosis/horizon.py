"""How far back an input still changes what a model says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, Resolution
from recurra.core.sequences import Sequences
from recurra.layers import Recurrent
from recurra.layers.recording import StackRecord

_DISTANCES = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)


def main_stack(stacks: list[StackRecord], batch: Batch) -> StackRecord | None:
    """The call that read the rows of the batch over the most steps; None where a model reads otherwise."""
    rows = len(batch.targets)
    fitting = [stack for stack in stacks if stack.inputs.batch_size == rows and stack.inputs.num_steps > 1]
    return max(fitting, key=lambda stack: stack.inputs.num_steps, default=None)


@torch.no_grad()
def memory_curve(model: nn.Module, batch: Batch, main: StackRecord, resolution: Resolution) -> dict[int, float]:
    """How much the answer changes when one input is exchanged for another row's, by the input's distance from the end.

    Args:
        model: in evaluation mode.
        batch: whose first step is exchanged, then those further back.
        main: the stack whose inputs are exchanged.
        resolution: where there is an answer to each step, the last one is looked at.
    Returns:
        Mean size of the change, as a part of the largest one.
    """
    lengths = main.lengths
    told = answers(model(batch.inputs, None).prediction, lengths, resolution)
    sizes: dict[int, float] = {}
    shortest = int(lengths.min())
    for distance in sorted({*_DISTANCES, *(shortest * part // 8 - 1 for part in range(1, 9) if shortest >= 8)}):
        rows = (lengths > distance).nonzero()[:, 0]
        if len(rows) < min(2, len(lengths)):
            break
        with _exchanged(main, distance):
            changed = answers(model(batch.inputs, None).prediction, lengths, resolution)
        parts = [
            (one[rows] - two[rows]).double().flatten(1).norm(dim=1) for one, two in zip(told, changed, strict=True)
        ]
        sizes[distance] = float(torch.stack(parts).sum(0).mean())
    largest = max(sizes.values(), default=0.0)
    return {distance: size / largest for distance, size in sizes.items()} if largest > 0 else {}


def horizon(curve: dict[int, float], share: float = 0.02) -> int:
    """The largest distance at which the answer still changes by `share` of the most."""
    return max((distance for distance, size in curve.items() if size >= share), default=0)


def answers(prediction: Any, lengths: Tensor, resolution: Resolution) -> list[Tensor]:
    """The tensors of a raw prediction that have a row for each of the batch's; of steps, the last real one."""
    found = [part for part in _tensors(prediction) if part.dim() and part.shape[0] == len(lengths)]
    if resolution is not Resolution.STEP:
        return [part.nan_to_num(neginf=0.0, posinf=0.0) for part in found]
    rows = torch.arange(len(lengths), device=lengths.device)
    last = (lengths - 1).clamp(min=0)
    return [part[rows, last] for part in found if part.dim() > 1 and part.shape[1] > int(last.max())]


def _tensors(prediction: Any) -> Iterator[Tensor]:
    if isinstance(prediction, Tensor):
        if prediction.is_floating_point():
            yield prediction
    elif isinstance(prediction, tuple):
        for part in prediction:
            yield from _tensors(part)
    elif is_dataclass(prediction):
        for field in fields(prediction):
            yield from _tensors(getattr(prediction, field.name))


@contextmanager
def _exchanged(main: StackRecord, distance: int) -> Iterator[None]:
    """Inside the block, the stack reads at that distance from the end what another row has there."""
    lengths = main.lengths
    rows = torch.arange(len(lengths), device=lengths.device)
    places = (lengths - 1 - distance).clamp(min=0)
    others = rows.roll(1)
    taken = torch.minimum(places[others], lengths[others] - 1).clamp(min=0)
    if len(rows) == 1:  # alone, it takes what stands half a row away
        taken = (places + lengths // 2) % lengths.clamp(min=1)

    def exchange(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        inputs: Sequences = arguments[0] if arguments else named["inputs"]
        if inputs.data.shape[:2] != main.inputs.data.shape[:2]:
            return None
        data = inputs.data.clone()
        data[rows, places] = inputs.data[others, taken]
        changed = inputs.with_data(data)
        return ((changed, *arguments[1:]), named) if arguments else (arguments, {**named, "inputs": changed})

    stack: Recurrent = main.stack
    hook = stack.register_forward_pre_hook(exchange, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
