"""The simple recurrent network, in both forms of the articles. Source: Elman (1990), Finding structure in time."""

from collections.abc import Callable

import numpy as np

from recurra.core.errors import ConfigError, did_you_mean
from recurra.theory.recurrence import Array, Cell, State, Tape, Weights, products, products_back, sigmoid

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
    "relu": (lambda a: np.maximum(a, 0), lambda h: (h > 0).astype(np.float64)),
}
"""phi, and phi' as a function of h = phi(a)."""


class Elman(Cell):
    """h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh); articles 000, 001 and 003, with one bias for two."""

    def __init__(self, activation: str = "tanh") -> None:
        if activation not in ACTIVATIONS:
            raise ConfigError(f"no activation `{activation}`.{did_you_mean(activation, ACTIVATIONS)}")
        self.phi, self.dphi = ACTIVATIONS[activation]

    def step(self, x: Array, state: State, w: Weights) -> tuple[State, Tape]:
        """a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, h_t = phi(a_t)."""
        from_x, from_h = products(x, state[0], w)
        h = self.phi(from_x + from_h)
        return (h,), (x, state[0], h)

    def back(self, dstate: State, tape: Tape, w: Weights) -> tuple[Array, State, Weights]:
        """dL/da_t = dL/dh_t phi'(a_t), dL/dh_{t-1} = W_hh^T dL/da_t, dL/dW_hh = dL/da_t h_{t-1}^T."""
        x, h_before, h = tape
        da = dstate[0] * self.dphi(h)
        dx, dh, dw = products_back(da, da, x, h_before, w)
        return dx, (dh,), dw


class JoinedElman(Elman):
    """h_t = phi(W [h_{t-1}, x_t] + b); articles 002, 004. Weights: `weight` (H, H + I), h's columns first, `bias`."""

    def initial_weights(self, input_size: int, hidden_size: int, rng: np.random.Generator) -> Weights:
        """Those of `Elman`, joined."""
        return join(super().initial_weights(input_size, hidden_size, rng))

    def step(self, x: Array, state: State, w: Weights) -> tuple[State, Tape]:
        """z_t = [h_{t-1}, x_t], h_t = phi(W z_t + b)."""
        z = np.concatenate([state[0], x], -1)
        h = self.phi(z @ w["weight"].T + w["bias"])
        return (h,), (z, h)

    def back(self, dstate: State, tape: Tape, w: Weights) -> tuple[Array, State, Weights]:
        """dL/dz_t = W^T dL/da_t, whose first H entries are dL/dh_{t-1}; dL/dW = dL/da_t z_t^T."""
        z, h = tape
        da = dstate[0] * self.dphi(h)
        dh, dx = np.split(da @ w["weight"], [h.shape[-1]], -1)
        return dx, (dh,), {"weight": da.T @ z, "bias": da.sum(0)}


def join(w: Weights) -> Weights:
    """W = [W_hh, W_ih], b = b_ih + b_hh: the same network in the other form."""
    return {"weight": np.hstack([w["weight_hh"], w["weight_ih"]]), "bias": w["bias_ih"] + w["bias_hh"]}


def split(w: Weights) -> Weights:
    """W_hh and W_ih, which are views of W; b becomes b_ih, and b_hh zero."""
    weight_hh, weight_ih = np.split(w["weight"], [len(w["weight"])], -1)
    return {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": w["bias"], "bias_hh": np.zeros_like(w["bias"])}
