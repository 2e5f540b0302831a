"""Optimizers: configs, parameter groups for discriminative rates, clipping and weight penalties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.config import Config, by_kind

Parameters = list[nn.Parameter]


class BaseOptimizerConfig(Config):
    """Options that every optimizer has."""

    learning_rate: float = Field(1e-3, gt=0, description="step size before the schedule's factor")
    l1: float = Field(0.0, ge=0, description="L1 penalty on matrices, added to the gradient")
    l2: float = Field(0.0, ge=0, description="L2 penalty on matrices, added to the gradient")
    weight_decay: float = Field(0.0, ge=0, description="decoupled decay of matrices (Loshchilov and Hutter 2019)")
    clip_norm: float = Field(0.0, ge=0, description="scale the gradient down to this norm; 0 is off")
    clip_value: float = Field(0.0, ge=0, description="clamp each gradient entry to +-this; 0 is off")
    accumulate: int = Field(1, ge=1, description="batches that make one update")
    discriminative: float = Field(
        1.0, ge=1, le=1000, description="each layer group below the top learns this many times slower"
    )
    unfreeze_epochs: int = Field(0, ge=0, description="epochs between unfreezing of layer groups, top first; 0 is off")

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The torch optimizer over parameter groups."""
        raise NotImplementedError

    def build(self, layer_groups: Sequence[Parameters]) -> torch.optim.Optimizer:
        """An optimizer with one parameter group a layer group; rates fall by `discriminative` from top to bottom.

        Args:
            layer_groups: from the input to the output, as `model.layer_groups()` gives them.
        """
        top = len(layer_groups) - 1
        groups = [
            {"params": group, "lr": self.learning_rate / self.discriminative ** (top - depth)}
            for depth, group in enumerate(layer_groups)
            if group
        ]
        for group in groups:
            group["base_lr"] = group["lr"]
        return self.make(groups)


class SGDConfig(BaseOptimizerConfig):
    """Stochastic gradient descent; momentum as Polyak's, or Nesterov's."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """SGD."""
        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, nesterov=nesterov)


class RMSpropConfig(BaseOptimizerConfig):
    """RMSprop (Hinton 2012, lecture 6)."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = Field(0.99, gt=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """RMSprop."""
        rate = self.learning_rate
        return torch.optim.RMSprop(groups, lr=rate, alpha=self.alpha, eps=self.epsilon, momentum=self.momentum)


class AdagradConfig(BaseOptimizerConfig):
    """Adagrad (Duchi et al. 2011)."""

    kind: Literal["adagrad"] = "adagrad"
    initial_accumulator: float = Field(0.0, ge=0)

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adagrad."""
        start = self.initial_accumulator
        return torch.optim.Adagrad(groups, lr=self.learning_rate, initial_accumulator_value=start)


class AdamConfig(BaseOptimizerConfig):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adam, in torch's fused form."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(groups, lr=self.learning_rate, betas=betas, eps=self.epsilon, fused=True)


class AdamWConfig(AdamConfig):
    """Adam with decoupled weight decay by default (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: float = Field(0.01, ge=0, description="decoupled decay of matrices")


OPTIMIZERS: dict[str, type[BaseOptimizerConfig]] = {
    "sgd": SGDConfig,
    "rmsprop": RMSpropConfig,
    "adagrad": AdagradConfig,
    "adam": AdamConfig,
    "adamw": AdamWConfig,
}
OptimizerConfig = by_kind(OPTIMIZERS.values())


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to its base rate times the schedule's factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def clip(parameters: Iterable[nn.Parameter], config: BaseOptimizerConfig) -> Tensor:
    """Clip gradients in place, by value and then by norm; returns the norm found before norm clipping."""
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    if config.clip_value > 0:
        nn.utils.clip_grad_value_(with_gradient, config.clip_value)
    norm = nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    if config.clip_norm > 0:
        nn.utils.clip_grads_with_norm_(with_gradient, config.clip_norm, norm)
    return norm


@torch.no_grad()
def penalise(optimizer: torch.optim.Optimizer, config: BaseOptimizerConfig) -> None:
    """Apply L1, L2 and decoupled decay to the matrices that have a gradient; biases and gains are left alone."""
    if not (config.l1 or config.l2 or config.weight_decay):
        return
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is None or weight.dim() < 2:
                continue
            if config.l1:
                weight.grad.add_(weight.sign(), alpha=config.l1)
            if config.l2:
                weight.grad.add_(weight, alpha=config.l2)
            if config.weight_decay:
                weight.mul_(1 - group["lr"] * config.weight_decay)
