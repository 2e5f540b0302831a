"""Keras layers on JAX: `stateless_call`, compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import Arrays, Problem, Settings
from ..clock import Call
from ..contest import Contestant
from .jax_scan import with_gradients
from .keras_layers import make_layer, read_gradients


def build(problem: Problem, settings: Settings) -> Contestant:
    """Forward, and the vector-Jacobian product for the inputs and all weights."""
    layer = make_layer(problem)
    weights = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    x, grad_y = jnp.asarray(problem.x), jnp.asarray(problem.grad_y)

    def forward(weights: list[jax.Array], x: jax.Array) -> jax.Array:
        return layer.stateless_call(weights, others, x)[0]

    infer = jax.jit(forward)
    train = jax.jit(with_gradients(forward))

    def read(result: Any) -> Arrays:
        y, (gradients, dx) = result
        arrays = [np.asarray(gradient) for gradient in gradients]
        return read_gradients(problem.case.kind, np.asarray(y), np.asarray(dx), arrays)

    return Contestant(
        "keras-jax",
        {
            "train": Call(lambda: jax.block_until_ready(train(weights, x, grad_y))),
            "inference": Call(lambda: jax.block_until_ready(infer(weights, x))),
        },
        {"train": read, "inference": lambda y: {"y": np.asarray(y)}},
    )
