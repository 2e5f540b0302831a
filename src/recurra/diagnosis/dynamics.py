"""How a recurrent layer passes its state on: products of step Jacobians, and the spectral radius of its matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.cells import NO_NOISE, Cell
from recurra.core.state import State, leaves, tree_map
from recurra.layers.recording import CellRecord, Recur, StackRecord
from recurra.runs.gradients import named_layers

_ROWS, _STEPS, _DIRECTIONS = 4, 64, 16
_SETTLING = 4
"""Steps after which random directions have turned towards those that grow most."""


@dataclass(frozen=True, slots=True)
class Dynamics:
    """What a layer does to a small change of its state.

    Attributes:
        exponents: leading Lyapunov exponents, in nats a step, largest first.
        gain: entry n is how much of a change in the direction that lasts longest is left n steps later.
        radius: spectral radius of the recurrent matrix; of each gate's block, the largest; None where it is not square.
    """

    exponents: tuple[float, ...]
    gain: tuple[float, ...]
    radius: float | None

    @property
    def largest(self) -> float:
        """The largest Lyapunov exponent."""
        return self.exponents[0]

    def reach(self, share: float) -> int | None:
        """Steps after which less than `share` of a change is left; None where more is left after all steps."""
        return next((steps for steps, left in enumerate(self.gain) if left < share), None)


def dynamics(stacks: list[StackRecord]) -> dict[str, Dynamics]:
    """Of each layer of the stacks that ran over several steps, by name."""
    found: dict[str, Dynamics] = {}
    for name, stack, record in named_layers(stacks):
        if name not in found and (measured := _measure(record, stack.lengths)) is not None:
            found[name] = measured
    return found


def _measure(record: CellRecord, lengths: Tensor) -> Dynamics | None:
    rows = lengths.argsort(descending=True, stable=True)[:_ROWS]
    num_steps = min(int(lengths[rows].min()), len(record.steps))
    if num_steps <= _SETTLING + 1 or record.recur is None:
        return None
    chosen = record.steps[max(0, num_steps - _STEPS - _SETTLING) : num_steps]
    logs = growth(record.recur, [(step.projected[rows], _rows(step.before, rows)) for step in chosen])
    # the median, as a row whose units are all off for one step would outweigh all others
    kept = logs[_SETTLING:].median(1).values
    exponents, order = kept.mean(0).sort(descending=True)
    gain = kept[:, order[0]].cumsum(0).clamp(-80, 80).exp().tolist()
    return Dynamics(tuple(exponents.tolist()), (1.0, *gain), spectral_radius(record.cell))


def growth(recur: Recur, steps: list[tuple[Tensor, State]]) -> Tensor:
    """(T, B, K) log stretching of K orthogonal directions by each step's Jacobian, the last step first.

    The directions are those of the transposed product, as the gradient travels; a QR decomposition keeps them apart.

    Args:
        recur: one step.
        steps: what each step read, and the state it started from.
    Reference: Benettin et al. (1980), Meccanica 15; of recurrent networks: Engelken et al. (2023),
        https://arxiv.org/abs/2006.02427.
    """
    directions: Tensor | None = None
    logs = []
    for projected, before in reversed(steps):
        state = tree_map(lambda leaf: leaf.detach().requires_grad_(), before)
        with torch.enable_grad():
            _, after = recur(projected.detach(), state, NO_NOISE)
            out = torch.cat([leaf.flatten(1) for leaf in leaves(after)], 1)
        if directions is None:
            draw = torch.Generator(device=out.device).manual_seed(0)
            shape = (*out.shape, min(_DIRECTIONS, out.shape[1]))
            directions = torch.linalg.qr(torch.randn(shape, generator=draw, device=out.device, dtype=out.dtype))[0]
        pulled = torch.autograd.grad(
            out, list(leaves(state)), directions.permute(2, 0, 1), is_grads_batched=True, allow_unused=True
        )
        parts = [
            torch.zeros(directions.shape[-1], *leaf.shape, device=out.device, dtype=out.dtype) if grad is None else grad
            for grad, leaf in zip(pulled, leaves(state), strict=True)
        ]
        moved = torch.cat([part.flatten(2) for part in parts], 2).permute(1, 2, 0)
        directions, triangle = torch.linalg.qr(moved)
        logs.append(triangle.diagonal(dim1=-2, dim2=-1).abs().clamp(min=1e-30).log())
    return torch.stack(logs)


def spectral_radius(cell: Cell) -> float | None:
    """The largest absolute eigenvalue of `weight_hh`, or of its largest block where there are several gates."""
    weight = dict(cell.named_parameters()).get("weight_hh")
    if weight is None or weight.dim() != 2 or weight.shape[1] != cell.hidden_size or len(weight) % cell.hidden_size:
        return None
    blocks = weight.detach().double().cpu().split(weight.shape[1])
    return max(float(torch.linalg.eigvals(block).abs().max()) for block in blocks)


def _rows(state: State, rows: Tensor) -> State:
    return tree_map(lambda leaf: leaf[rows], state)
