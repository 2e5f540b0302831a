"""How far back the loss reaches: the gradient with respect to the states of each recurrent layer, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, Resolution, Task
from recurra.core.state import leaves
from recurra.layers.recording import CellRecord, StackRecord, recorded


def gradient_through_time(model: nn.Module, task: Task, batch: Batch) -> dict[str, list[float]]:
    """Mean norm of dL/ds_t over rows, for each recurrent layer and direction.

    L is the summed loss of the batch, so that each row's gradient is that of its own loss; where there is a loss of
    every step, only the last one counts, as all others would hide how far a single one reaches.

    Args:
        model: in evaluation mode.
        task: its task.
        batch: padding and steps before a row's last reset are left out.
    Returns:
        Curves by the layer's name; entry k is the norm k steps before the end of the rows that are so long. Stacks
        that were called for single steps have none.
    Reference: Pascanu et al. (2013), section 2, https://arxiv.org/abs/1211.5063.
    """
    with torch.enable_grad(), recorded(model) as stacks:
        output = model(batch.inputs, None)
        loss = task.loss(output.prediction, batch).total
        return curves(loss, stacks, every_step=task.spec.resolution is Resolution.STEP)


def curves(loss: Tensor, stacks: Sequence[StackRecord], *, every_step: bool) -> dict[str, list[float]]:
    """The curves of `gradient_through_time`, of a loss and the stacks that it came through."""
    found: dict[str, list[float]] = {}
    for name, stack, cell in named_layers(stacks):
        if stack.inputs.num_steps < 2 or not stack.outputs.requires_grad or name in found:
            continue
        if curve := _curve(loss, stack, cell, every_step):
            found[name] = curve
    return found


def named_layers(stacks: Sequence[StackRecord]) -> Iterator[tuple[str, StackRecord, CellRecord]]:
    """Each layer and direction of each call of a stack.

    They are called "layer 1", "layer 2 backward" and so on, with the stack's name before it where there are several.
    """
    several = len({stack.name for stack in stacks}) > 1
    for stack in stacks:
        for cell in stack.cells:
            direction = "" if stack.stack.num_directions == 1 else " backward" if cell.reverse else " forward"
            yield f"{stack.name + ' ' if several else ''}layer {cell.layer + 1}{direction}", stack, cell


def _curve(loss: Tensor, stack: StackRecord, cell: CellRecord, every_step: bool) -> list[float]:
    per_step = [list(leaves(step.after)) for step in cell.steps]
    flat = [leaf for parts in per_step for leaf in parts]
    if not flat or not all(leaf.requires_grad for leaf in flat):
        return []
    if every_step:
        (entering,) = torch.autograd.grad(loss, stack.outputs, retain_graph=True, allow_unused=True)
        if entering is None:
            return []
        seed = _at_last_step(entering, stack, cell)
        gradients = torch.autograd.grad(stack.outputs, flat, seed, retain_graph=True, allow_unused=True)
    else:
        gradients = torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True)
    width = len(per_step[0])
    norms = torch.stack([_norm(gradients[at : at + width], flat[0]) for at in range(0, len(flat), width)], 1)
    return _by_distance(norms, stack, cell)


def _at_last_step(entering: Tensor, stack: StackRecord, cell: CellRecord) -> Tensor:
    """The gradient (B, T, O) of the outputs, kept at the last step, in the order of the cell, that has a loss."""
    lengths = stack.lengths
    told = entering.detach().abs().amax(-1) > 0
    places = torch.arange(entering.shape[1], device=entering.device).expand_as(told)
    if cell.reverse:
        last = torch.where(told, places, entering.shape[1]).amin(1).clamp(max=entering.shape[1] - 1)
    else:
        last = torch.minimum(torch.where(told, places, 0).amax(1), (lengths - 1).clamp(min=0))
    rows = torch.arange(len(last), device=last.device)
    kept = torch.zeros_like(entering)
    kept[rows, last] = entering[rows, last]
    return kept


def _norm(parts: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """(B,) over the leaves of one step's state."""
    squares = torch.zeros(like.shape[0], dtype=torch.float64, device=like.device)
    for part in parts:
        if part is not None:
            squares = squares + part.double().flatten(1).square().sum(1)
    return squares.sqrt()


def _by_distance(norms: Tensor, stack: StackRecord, cell: CellRecord) -> list[float]:
    """(B, T) in the order of the scan -> means by the distance from each row's end, back to its last reset."""
    lengths = stack.lengths.tolist()
    starts = [0] * len(lengths)
    if stack.inputs.reset is not None and not cell.reverse:
        for row, (flags, length) in enumerate(zip(stack.inputs.reset.tolist(), lengths, strict=True)):
            starts[row] = max((step for step in range(length) if flags[step]), default=0)
    sums: list[list[float]] = []
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        for back, value in enumerate(norms[row, start:length].flip(0).tolist()):
            if back == len(sums):
                sums.append([])
            sums[back].append(value)
    return [sum(values) / len(values) for values in sums]
