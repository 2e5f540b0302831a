"""A cell over time: forward, backpropagation through time (BPTT), and its truncated form.

Axes: B sequences, T steps, I inputs, H hidden units. A state is a tuple of (B, H) arrays whose first one is h, and
weights are a dictionary of arrays with the names and shapes of `recurra.cells`, so that both load each other's:

    w = {name: tensor.numpy().astype(float) for name, tensor in cell.state_dict().items()}
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in w.items()})
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.core.errors import ConfigError, ShapeError

Array: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = dict[str, Array]
State: TypeAlias = tuple[Array, ...]
Tape: TypeAlias = tuple[Any, ...]  # what a step leaves behind for its way back


class Gradients(NamedTuple):
    """What BPTT finds.

    Attributes:
        weights: dL/dw under the name of each weight.
        xs: (B, T, I), dL/dx_t.
        state: dL/d(state before the first step).
        hs: (B, T, H), the whole dL/dh_t: from y_t, and from all later steps.
    """

    weights: Weights
    xs: Array
    state: State
    hs: Array


class Cell(ABC):
    """One step in time, forwards and backwards; all else follows from these two."""

    num_gates = 1
    num_leaves = 1  # arrays in the state

    @abstractmethod
    def step(self, x: Array, state: State, w: Weights) -> tuple[State, Tape]:
        """The new state, and what `back` needs."""

    @abstractmethod
    def back(self, dstate: State, tape: Tape, w: Weights) -> tuple[Array, State, Weights]:
        """From dL/d(new state): dL/dx, dL/d(old state), and what this step adds to dL/dw."""

    def initial_weights(self, input_size: int, hidden_size: int, rng: np.random.Generator) -> Weights:
        """Uniform in +-1/sqrt(H), as torch.nn; biases zero."""
        rows, bound = self.num_gates * hidden_size, hidden_size**-0.5
        return {
            "weight_ih": rng.uniform(-bound, bound, (rows, input_size)),
            "weight_hh": rng.uniform(-bound, bound, (rows, hidden_size)),
            "bias_ih": np.zeros(rows),
            "bias_hh": np.zeros(rows),
        }

    def initial_state(self, batch_size: int, w: Weights) -> State:
        """Zeros."""
        return (np.zeros((batch_size, len(next(iter(w.values()))) // self.num_gates)),) * self.num_leaves

    def forward(self, xs: Array, w: Weights, state: State | None = None) -> tuple[Array, State, list[Tape]]:
        """Run over whole sequences (B, T, I); None starts from zeros.

        Returns:
            All h (B, T, H), the last state, from which a later call may go on, and the tapes for `backward`.
        """
        if xs.ndim != 3:
            raise ShapeError(f"`xs` has the shape {xs.shape}: (B, T, I) is wanted, also for one sequence or one input.")
        state = self.initial_state(len(xs), w) if state is None else state
        hs, tapes = np.zeros((*xs.shape[:2], state[0].shape[-1])), []
        for t in range(xs.shape[1]):
            state, tape = self.step(xs[:, t], state, w)
            hs[:, t] = state[0]
            tapes.append(tape)
        return hs, state, tapes

    def backward(
        self, dhs: Array, tapes: list[Tape], w: Weights, dstate: State | None = None, max_norm: float = np.inf
    ) -> Gradients:
        """Full BPTT: dL/dh_t = (dL/dh_t from y_t) + (dL/dh_t from step t+1), from the last step to the first.

        Args:
            dhs: (B, T, H), dL/dh_t as far as it comes from y_t.
            tapes: of `forward`.
            w: the weights.
            dstate: dL/d(last state) from what comes after; None is nothing.
            max_norm: clip each row's dL/dh_t on its way to this norm.
        Source: Werbos (1990), Backpropagation through time; clipping on the way, by value: Graves (2013), 2.1.
        """
        dstate = self.initial_state(len(dhs), w) if dstate is None else dstate
        total = {name: np.zeros_like(weight) for name, weight in w.items()}
        all_dh, dxs = np.zeros_like(dhs), []
        for t in reversed(range(dhs.shape[1])):
            dh = dstate[0] + dhs[:, t]
            if max_norm < np.inf:
                dh = dh * np.minimum(1, max_norm / np.maximum(np.linalg.norm(dh, axis=-1, keepdims=True), 1e-300))
            all_dh[:, t] = dh
            dx, dstate, dw = self.back((dh, *dstate[1:]), tapes[t], w)
            dxs.append(dx)
            for name in total:
                total[name] += dw[name]
        return Gradients(total, np.stack(dxs[::-1], 1), dstate, all_dh)

    def truncated(self, dhs: Array, tapes: list[Tape], w: Weights, k1: int, k2: int) -> Weights:
        """Truncated BPTT(k1, k2): every k1 steps, the losses of these k1 steps go back through the last k2 steps.

        Each loss counts once, and reaches back between k2 - k1 + 1 and k2 steps. k1 = k2 cuts the sequence into pieces,
        as is usual; k1 = 1 lets each loss go back exactly k2 steps, at k2 times the cost; k2 = T is full BPTT. Returns
        the sum of dL/dw over the cuts.

        Source: Williams and Peng (1990), An efficient gradient-based algorithm; Sutskever (2013), thesis, chapter 2.
        """
        if not 1 <= k1 <= k2:
            raise ConfigError(f"truncated BPTT with k1={k1}, k2={k2}: 1 <= k1 <= k2 is wanted, or losses are lost.")
        total, num_steps = {name: np.zeros_like(weight) for name, weight in w.items()}, dhs.shape[1]
        for begin in range(0, num_steps, k1):
            end = min(begin + k1, num_steps)
            start = max(0, end - k2)
            new = dhs[:, start:end].copy()
            new[:, : begin - start] = 0  # counted by an earlier cut
            for name, dw in self.backward(new, tapes[start:end], w).weights.items():
                total[name] += dw
        return total


def products(x: Array, h: Array, w: Weights) -> tuple[Array, Array]:
    """W_ih x + b_ih, and W_hh h + b_hh: what all cells begin with."""
    return x @ w["weight_ih"].T + w["bias_ih"], h @ w["weight_hh"].T + w["bias_hh"]


def products_back(dx_side: Array, dh_side: Array, x: Array, h: Array, w: Weights) -> tuple[Array, Array, Weights]:
    """dL/dx, dL/dh and dL/dw from dL/d(W_ih x + b_ih) and dL/d(W_hh h + b_hh), both summed over the batch."""
    dw = {
        "weight_ih": dx_side.T @ x,
        "weight_hh": dh_side.T @ h,
        "bias_ih": dx_side.sum(0),
        "bias_hh": dh_side.sum(0),
    }
    return dx_side @ w["weight_ih"], dh_side @ w["weight_hh"], dw


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * a))
