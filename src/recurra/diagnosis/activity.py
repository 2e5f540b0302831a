"""What the units of recurrent layers do: gates that are stuck, activations at their ends, units that never speak."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.cells import Cell, GRUCell, LSTMCell
from recurra.core.state import leaves
from recurra.layers.recording import CellRecord, StackRecord
from recurra.runs.gradients import named_layers

_NEAR_END = 0.05
_STILL = 1e-5


@dataclass(frozen=True, slots=True)
class Activity:
    """Of the outputs of one activation function within a layer, over rows and steps.

    Attributes:
        kind: sigmoid, tanh or relu.
        mean, deviation: over all units.
        low, high: share of the values within 0.05 of either end (of a sigmoid 0 and 1, of tanh -1 and 1); for ReLU,
            `low` is the share of zeros and `high` 0.
        stuck: share of the units that stay at one end over all rows and steps; for ReLU, of those that are always 0.
    """

    kind: str
    mean: float
    deviation: float
    low: float
    high: float
    stuck: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's units.

    Attributes:
        activities: by the gate's name, or "sigmoid 1" and the like for a cell whose gates have no known names.
        size: mean absolute value of the state.
        dead: share of the units of the state's first leaf that don't move over all rows and steps.
    """

    activities: dict[str, Activity]
    size: float
    dead: float


def activity(stacks: list[StackRecord]) -> dict[str, Layer]:
    """Of each layer of the stacks, by name; padding is left out."""
    found: dict[str, Layer] = {}
    for name, stack, record in named_layers(stacks):
        if name not in found and record.steps:
            found[name] = _layer(record, stack.lengths)
    return found


def _layer(record: CellRecord, lengths: Tensor) -> Layer:
    real = torch.arange(len(record.steps), device=lengths.device)[None, :] < lengths[:, None]
    states = torch.stack([next(leaves(step.after)).detach() for step in record.steps], 1)[real]
    activities = {}
    for name, parts in record.activations.items():
        values = torch.stack(parts, 1)
        if len(parts) == len(record.steps) and values.shape[:2] == real.shape:
            for gate, own in _named(record.cell, name, values[real]):
                activities[gate] = measure(name.split()[0], own)
    still = float((states.amax(0) - states.amin(0) < _STILL).double().mean()) if len(states) else 0.0
    return Layer(activities, float(states.abs().mean()), still)


def measure(kind: str, values: Tensor) -> Activity:
    """Of values (N, H) after an activation."""
    if kind == "relu":
        low, high = values == 0, torch.zeros_like(values, dtype=torch.bool)
        stuck = low.all(0)
    else:
        bottom = 0.0 if kind == "sigmoid" else -1.0
        low, high = values < bottom + _NEAR_END, values > 1 - _NEAR_END
        stuck = low.all(0) | high.all(0)
    low_share, high_share, stuck_share = (float(part.double().mean()) for part in (low, high, stuck))
    spread = float(values.double().std()) if values.numel() > 1 else 0.0
    return Activity(kind, float(values.double().mean()), spread, low_share, high_share, stuck_share)


def _named(cell: Cell, name: str, values: Tensor) -> list[tuple[str, Tensor]]:
    """The gates that a call's values hold, by name, in the order in which the known cells call their activations."""
    if isinstance(cell, LSTMCell):
        coupled = cell.options.coupled
        gates = {"sigmoid 0": "forget gate", "tanh 0": "candidate", "tanh 1": "shown cell"}
        gates |= {"sigmoid 1": "output gate"} if coupled else {"sigmoid 1": "input gate", "sigmoid 2": "output gate"}
        return [(gates.get(name, name), values)]
    if isinstance(cell, GRUCell) and name == "sigmoid 0":
        reset, update = values.chunk(2, -1)
        return [("reset gate", reset), ("update gate", update)]
    if isinstance(cell, GRUCell) and name == "tanh 0":
        return [("candidate", values)]
    kind, number = name.split()
    return [(kind if number == "0" else f"{kind} {int(number) + 1}", values)]
