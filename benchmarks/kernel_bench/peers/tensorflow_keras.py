"""Keras layers on TensorFlow, as tf.function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ..cases import Arrays, Problem, Settings
from ..clock import Call
from ..contest import Contestant
from .keras_layers import make_layer, read_gradients

# It warns of functions that are traced anew for each shape, which is what is wanted here.
tf.get_logger().setLevel("ERROR")


def build(problem: Problem, settings: Settings) -> Contestant:
    """A tf.function that TensorFlow's executor runs."""
    return build_function("tensorflow", problem, settings, jit_compile=False)


def build_function(name: str, problem: Problem, settings: Settings, jit_compile: bool) -> Contestant:
    """Forward, and the tape's gradients for the inputs and all weights."""
    _set_threads(settings.threads)
    layer = make_layer(problem)
    weights = [variable.value for variable in layer.trainable_variables]
    x, grad_y = tf.constant(problem.x), tf.constant(problem.grad_y)

    @tf.function(jit_compile=jit_compile)
    def infer(x: tf.Tensor) -> tf.Tensor:
        return layer(x, training=False)

    @tf.function(jit_compile=jit_compile)
    def train(x: tf.Tensor, grad_y: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, tape.gradient(y, [x, *weights], output_gradients=grad_y)

    def read(result: Any) -> Arrays:
        y, (dx, *gradients) = result
        return read_gradients(problem.case.kind, y.numpy(), dx.numpy(), [gradient.numpy() for gradient in gradients])

    return Contestant(
        name,
        {"train": Call(lambda: train(x, grad_y)), "inference": Call(lambda: infer(x))},
        {"train": read, "inference": lambda y: {"y": y.numpy()}},
    )


def _set_threads(threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
