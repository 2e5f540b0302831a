"""What all output heads share: the sizes, the tied weight with its projection, the bias that starts at the prior."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recurra.core.batch import LossSum
from recurra.core.errors import ConfigError, ShapeError


@runtime_checkable
class DeferredLogits(Protocol):
    """What a head returns in training when it never forms all logits."""

    def cross_entropy(self, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0) -> LossSum:
        """Summed negative log-likelihood of the targets at the real positions.

        Args:
            targets: (B, T) int64 classes; values where `mask` is False are never used.
            mask: (B, T) bool, True where the position counts; None means everywhere.
            label_smoothing: share of the probability that is spread evenly over all classes, in [0, 1).
        """
        ...


class SoftmaxHead(nn.Module, ABC):
    """Hidden states (B, T, hidden_size) -> scores of `output_size` classes.

    In evaluation every head returns (B, T, output_size) logits or log-probabilities, so that all are compared as full
    softmax. In training a head returns logits, or `DeferredLogits`.

    Attributes:
        hidden_size: size of what comes in.
        output_size: number of classes.
        row_size: size of a class's weight row: hidden_size, or the tied embedding's.
        bias: (output_size,), starts at the log of the prior.
        projection: (row_size, hidden_size) without bias where the two differ, else None.
    """

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        if tied_weight is not None and (tied_weight.dim() != 2 or tied_weight.shape[0] != output_size):
            raise ShapeError(
                f"a tied softmax over {output_size} classes needs an embedding of shape ({output_size}, dim), got "
                f"{tuple(tied_weight.shape)}. Tie only where inputs and outputs share one vocabulary."
            )
        self.hidden_size = hidden_size
        self.output_size = output_size
        self.row_size = hidden_size if tied_weight is None else tied_weight.shape[1]
        self.projection = None if self.row_size == hidden_size else nn.Linear(hidden_size, self.row_size, bias=False)
        prior = torch.zeros(output_size) if output_prior is None else smooth_prior(output_prior, output_size).log()
        self.bias = nn.Parameter(prior.to(torch.get_default_dtype()))

    @abstractmethod
    def forward(self, hidden: Tensor) -> Tensor | DeferredLogits:
        """Scores of hidden states.

        Args:
            hidden: (B, T, hidden_size), finite on padding too.
        Returns:
            (B, T, output_size), or in training `DeferredLogits`.
        """

    def project(self, hidden: Tensor) -> Tensor:
        """(..., hidden_size) -> (..., row_size)."""
        if hidden.shape[-1] != self.hidden_size:
            raise ShapeError(
                f"{type(self).__name__}(hidden_size={self.hidden_size}) got hidden states of shape "
                f"{tuple(hidden.shape)}: the last axis must be {self.hidden_size}."
            )
        return hidden if self.projection is None else self.projection(hidden)

    def extra_repr(self) -> str:
        """Sizes, for print(model)."""
        return f"hidden_size={self.hidden_size}, output_size={self.output_size}, row_size={self.row_size}"


def weight_rows(output_size: int, row_size: int) -> nn.Parameter:
    """(output_size, row_size) weight rows, uniform within 1 / sqrt(row_size)."""
    bound = 1 / math.sqrt(row_size)
    return nn.Parameter(torch.empty(output_size, row_size).uniform_(-bound, bound))


def smooth_prior(prior: tuple[float, ...], output_size: int) -> Tensor:
    """Relative frequencies as probabilities above zero; an unseen class counts as half a sighting.

    Args:
        prior: relative frequency (or count) of each class.
        output_size: how many are wanted.
    Returns:
        (output_size,) float64, sums to 1. The rarest seen class is taken to have been seen once.
    Raises:
        ShapeError: not one number a class.
        ConfigError: a negative or non-finite number, or all zero.
    """
    values = torch.tensor(prior, dtype=torch.float64)
    if values.shape != (output_size,):
        raise ShapeError(f"output_prior has {values.numel()} numbers for {output_size} classes: one a class is wanted.")
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()) or not bool((values > 0).any()):
        raise ConfigError("output_prior must hold finite frequencies, none below zero and not all zero.")
    values = values / values.sum()
    floor = min(float(values[values > 0].min()), 1 / output_size) / 2
    values = values.clamp(min=floor)
    return values / values.sum()


def real_positions(hidden: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Hidden states (N, row_size) and targets (N,) of the positions where `mask` is True."""
    axes = hidden.shape[:-1]
    if targets.shape != axes or (mask is not None and mask.shape != axes):
        given = " and ".join(str(tuple(tensor.shape)) for tensor in (targets, mask) if tensor is not None)
        raise ShapeError(f"targets and mask must have one entry a position, {tuple(axes)}; got {given}.")
    hidden, targets = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    if mask is None:
        return hidden, targets
    positions = mask.reshape(-1).nonzero().squeeze(1)
    if positions.numel() == targets.numel():
        return hidden, targets
    return hidden.index_select(0, positions), targets.index_select(0, positions)


def loss_sum(total: Tensor, targets: Tensor) -> LossSum:
    """A loss over targets (N,), all of which count."""
    return LossSum(total, torch.tensor(targets.numel(), device=total.device))


def require_smoothing(label_smoothing: float) -> None:
    """Refuse a label smoothing outside [0, 1)."""
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"label_smoothing must be in [0, 1), got {label_smoothing}.")
