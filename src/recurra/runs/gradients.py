"""How far back the loss reaches: the gradient with respect to the state, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.core.batch import Batch, Task
from recurra.core.sequences import Sequences
from recurra.core.state import State, leaves
from recurra.kernels.dispatch import use

_ROWS, _STEPS = 16, 64


def gradient_through_time(model: Any, task: Task, batch: Batch) -> list[float] | None:
    """Mean norm of dL/ds_t over rows, where L is the loss of the last step and s_t the state after step t.

    Args:
        model: a language model, in evaluation mode.
        task: its task.
        batch: rows without padding are used, up to 16 of them and their first 64 steps.
    Returns:
        Entry k is the norm k steps before the last; None where no row is long enough.
    Reference: Pascanu et al. (2013), section 2, https://arxiv.org/abs/1211.5063.
    """
    device = next(model.parameters()).device
    data, targets = (part.to(device) for part in _full_rows(batch))
    if data.shape[0] == 0 or data.shape[1] < 2:
        return None
    state: State | None = None
    borders: list[list[Tensor]] = []
    prediction: Any = None
    # Not the fused kernels: on a GPU their backward pass works in training mode only.
    with torch.enable_grad(), use("reference"):
        for step in range(data.shape[1]):
            output = model(Sequences(data[:, step : step + 1]), state)
            state, prediction = output.state, output.prediction
            borders.append(list(leaves(state)))
        loss = task.loss(prediction, Batch(Sequences(data[:, -1:]), targets[:, -1:]))
        flat = [leaf for border in borders for leaf in border]
        gradients = torch.autograd.grad(loss.total, flat, allow_unused=True)
    width = len(borders[0])
    norms = []
    for step in range(len(borders)):
        parts = [g for g in gradients[step * width : (step + 1) * width] if g is not None]
        squares = sum((g.flatten(1).square().sum(1) for g in parts), torch.zeros(data.shape[0], device=device))
        norms.append(float(squares.sqrt().mean()))
    return norms[::-1]


def _full_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Up to 16 rows of up to 64 steps that have no padding."""
    data, targets = batch.inputs.data[:, :_STEPS], batch.targets[:, :_STEPS]
    if batch.inputs.lengths is not None:
        whole = batch.inputs.lengths >= data.shape[1]
        data, targets = data[whole], targets[whole]
    return data[:_ROWS], targets[:_ROWS]
