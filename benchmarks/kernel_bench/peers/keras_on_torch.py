"""Keras layers on torch: its own loop over the steps."""

from __future__ import annotations

from typing import Any

import torch

from ..cases import Arrays, Problem, Settings
from ..clock import Call
from ..contest import Contestant
from .keras_layers import make_layer, read_gradients


def build(problem: Problem, settings: Settings) -> Contestant:
    """Forward, and torch's gradients for the inputs and all weights."""
    layer = make_layer(problem)
    weights = [variable.value for variable in layer.trainable_variables]
    x, grad_y = torch.from_numpy(problem.x), torch.from_numpy(problem.grad_y)
    leaf = torch.from_numpy(problem.x.copy()).requires_grad_()

    def infer() -> torch.Tensor:
        with torch.inference_mode():
            return layer(x, training=False)

    def train() -> Any:
        y = layer(leaf, training=True)
        return y, torch.autograd.grad(y, [leaf, *weights], grad_y)

    def read(result: Any) -> Arrays:
        y, (dx, *gradients) = result
        arrays = [gradient.numpy() for gradient in gradients]
        return read_gradients(problem.case.kind, y.detach().numpy(), dx.numpy(), arrays)

    return Contestant(
        "keras-torch",
        {"train": Call(train), "inference": Call(infer)},
        {"train": read, "inference": lambda y: {"y": y.numpy()}},
    )
