"""JAX's lax.scan over the steps, compiled: the inputs' product for all steps before it, time-major, as fast code does.

Weights stand transposed, (I, gates * H), so that no transposition is left for the scan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..cases import Arrays, Problem, Settings
from ..clock import Call
from ..contest import Contestant

# The calling thread does the work: cheaper than to wake another one for each call.
jax.config.update("jax_cpu_enable_async_dispatch", False)

Weights = dict[str, jax.Array]


def build(problem: Problem, settings: Settings) -> Contestant:
    """Forward, and the vector-Jacobian product for the inputs and all weights."""
    case = problem.case
    weights = {name: jnp.asarray(array.T) for name, array in problem.weights.items()}
    xs, grad_y = (jnp.asarray(array.swapaxes(0, 1)) for array in (problem.x, problem.grad_y))
    start = jnp.zeros((case.batch_size, case.hidden_size), jnp.float32)
    scan = _SCANS[case.kind]

    def forward(weights: Weights, xs: jax.Array) -> jax.Array:
        return scan(weights, xs, start)

    infer = jax.jit(forward)
    train = jax.jit(with_gradients(forward))

    def read(result: Any) -> Arrays:
        y, (gradients, dx) = result
        found = {name: np.asarray(gradient).T for name, gradient in gradients.items()}
        return found | {"y": _batch_first(y), "dx": _batch_first(dx)}

    return Contestant(
        "jax",
        {
            "train": Call(lambda: jax.block_until_ready(train(weights, xs, grad_y))),
            "inference": Call(lambda: jax.block_until_ready(infer(weights, xs))),
        },
        {"train": read, "inference": lambda y: {"y": _batch_first(y)}},
    )


def make_product(a: np.ndarray, b: np.ndarray) -> Callable[[], jax.Array]:
    """One product of matrices, for the peak."""
    left, right, multiply = jnp.asarray(a), jnp.asarray(b), jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(multiply(left, right))


def with_gradients(forward: Callable) -> Callable:
    """(weights, xs, grad_y) -> outputs and the gradients of both."""

    def run(weights: Any, xs: jax.Array, grad_y: jax.Array) -> Any:
        y, backward = jax.vjp(forward, weights, xs)
        return y, backward(grad_y)

    return run


def _lstm(weights: Weights, xs: jax.Array, start: jax.Array) -> jax.Array:
    projected = xs @ weights["weight_ih"] + (weights["bias_ih"] + weights["bias_hh"])

    def step(state, x):
        h, c = state
        i, f, g, o = jnp.split(x + h @ weights["weight_hh"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (start, start), projected)[1]


def _gru(weights: Weights, xs: jax.Array, start: jax.Array) -> jax.Array:
    projected = xs @ weights["weight_ih"] + weights["bias_ih"]

    def step(h, x):
        x_r, x_z, x_n = jnp.split(x, 3, -1)
        h_r, h_z, h_n = jnp.split(h @ weights["weight_hh"] + weights["bias_hh"], 3, -1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        h = (1 - z) * jnp.tanh(x_n + r * h_n) + z * h
        return h, h

    return lax.scan(step, start, projected)[1]


def _elman(activation: Callable[[jax.Array], jax.Array]) -> Callable[[Weights, jax.Array, jax.Array], jax.Array]:
    def scan(weights: Weights, xs: jax.Array, start: jax.Array) -> jax.Array:
        projected = xs @ weights["weight_ih"] + (weights["bias_ih"] + weights["bias_hh"])

        def step(h, x):
            h = activation(x + h @ weights["weight_hh"])
            return h, h

        return lax.scan(step, start, projected)[1]

    return scan


_SCANS = {"lstm": _lstm, "gru": _gru, "elman": _elman(jnp.tanh), "elman-relu": _elman(jax.nn.relu)}


def _batch_first(array: jax.Array) -> np.ndarray:
    return np.asarray(array).swapaxes(0, 1)
