"""A running mean of the weights, used at evaluation (Polyak and Juditsky 1992; NT-ASGD, Merity et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recurra.training.distributed import full, like


class WeightAverage:
    """Mean of the weights over all updates since `start`."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = dict(model.named_parameters())
        self._mean: dict[str, Tensor] = {}
        self._count = 0

    @property
    def started(self) -> bool:
        """Whether averaging is on."""
        return bool(self._mean)

    def start(self) -> None:
        """Begin with the weights of now."""
        self._mean = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._count = 1

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of now, if averaging is on."""
        if not self._mean:
            return
        self._count += 1
        for name, mean in self._mean.items():
            mean.lerp_(self._parameters[name].detach(), 1 / self._count)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the mean in the model's place for a while; does nothing while averaging is off."""
        if not self._mean:
            yield
            return
        kept = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._copy(self._mean)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, source: dict[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(source[name])

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {name: full(mean).clone() for name, mean in self._mean.items()}

    @property
    def count(self) -> int:
        """How many updates the mean holds."""
        return self._count

    def load(self, tensors: dict[str, Tensor], count: int) -> None:
        """Put back what a checkpoint kept."""
        self._mean = {name: like(tensor, self._parameters[name]) for name, tensor in tensors.items()}
        self._count = count
