"""Keras layers on TensorFlow, compiled by XLA."""

from __future__ import annotations

from ..cases import Problem, Settings
from ..contest import Contestant
from .tensorflow_keras import build_function


def build(problem: Problem, settings: Settings) -> Contestant:
    """A tf.function compiled as a whole."""
    return build_function("tensorflow-xla", problem, settings, jit_compile=True)
