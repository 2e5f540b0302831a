"""Sampled softmax: in training each batch is scored against its targets and a shared draw of other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import LossSum
from recurra.core.config import Config
from recurra.layers.softmax.base import (
    DeferredLogits,
    SoftmaxHead,
    loss_sum,
    real_positions,
    require_smoothing,
    smooth_prior,
    weight_rows,
)

# Mikolov et al. (2013), section 2.2: between uniform and the plain frequencies.
_PRIOR_POWER = 0.75


class SampledSoftmaxConfig(Config):
    """Full softmax at evaluation; in training each batch sees `num_samples` other classes on average."""

    kind: Literal["sampled"] = "sampled"
    num_samples: int = Field(default=1000, ge=1, description="classes drawn a batch, on average")

    def build(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> SampledSoftmax:
        """The head."""
        return SampledSoftmax(hidden_size, output_size, tied_weight, output_prior, num_samples=self.num_samples)


class SampledSoftmax(SoftmaxHead):
    """Softmax whose training loss estimates the normaliser from a draw of classes.

    Every class is drawn or not, independently, with a probability that grows with its prior to the power 0.75; frequent
    classes are always drawn. The gradient is that of -log P(target | the drawn classes and the target), in which each
    class's logit is lowered by the log of its probability to be drawn (the logQ correction): its minimum is the true
    distribution, however few are drawn. The value is the estimate of the full softmax's loss in which a drawn class
    counts 1 / probability times, so that training and validation losses compare. Both are exact from
    `num_samples >= output_size` on.

    Reference: Jean et al. (2015), https://arxiv.org/abs/1412.2007, section 3 for the gradient; Bengio and Senecal
        (2008), Adaptive importance sampling to accelerate training of a neural probabilistic language model, for the
        value.
    """

    Config = SampledSoftmaxConfig
    inclusion: Tensor

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
        *,
        num_samples: int = 1000,
    ) -> None:
        super().__init__(hidden_size, output_size, tied_weight, output_prior)
        self.weight = weight_rows(output_size, self.row_size) if tied_weight is None else tied_weight
        prior = torch.ones(output_size) if output_prior is None else smooth_prior(output_prior, output_size)
        chances = inclusion_probabilities(prior.double() ** _PRIOR_POWER, num_samples)
        self.register_buffer("inclusion", chances.to(torch.float32))

    def forward(self, hidden: Tensor) -> Tensor | DeferredLogits:
        """Logits in evaluation, `SampledLogits` in training."""
        hidden = self.project(hidden)
        if self.training:
            return SampledLogits(hidden, self.weight, self.bias, self.inclusion)
        return F.linear(hidden, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class SampledLogits:
    """Logits not yet formed, and how likely each class is to be drawn.

    Attributes:
        hidden: (B, T, row_size).
        weight: (output_size, row_size).
        bias: (output_size,).
        inclusion: (output_size,) probabilities.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor
    inclusion: Tensor

    def cross_entropy(self, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0) -> LossSum:
        """The full softmax's loss estimated from one new draw; see `DeferredLogits` and `SampledSoftmax`."""
        require_smoothing(label_smoothing)
        hidden, targets = real_positions(self.hidden, targets, mask)
        drawn = (torch.rand_like(self.inclusion) < self.inclusion).nonzero().squeeze(1)
        sizes = [drawn.numel(), targets.numel()]
        # One gather through F.embedding: its backward is several times faster than index_select's.
        classes = torch.cat([drawn, targets])
        drawn_weight, target_weight = torch.split(F.embedding(classes, self.weight), sizes)
        drawn_bias, target_bias = torch.split(self.bias.index_select(0, classes), sizes)
        log_chances = self.inclusion.log().to(drawn_bias.dtype)
        others = F.linear(hidden, drawn_weight, drawn_bias - log_chances.index_select(0, drawn))
        at_target = (hidden * target_weight).sum(-1) + target_bias
        others, at_target = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (others, at_target))
        _strike_out(others, drawn, targets)
        log_rest = others.logsumexp(-1)
        losses = F.softplus(log_rest - at_target + log_chances.index_select(0, targets))
        losses = losses + (F.softplus(log_rest - at_target) - losses).detach()
        if label_smoothing:
            # log Z = loss + at_target, and the mean over all classes of the logits is one product.
            at_mean = hidden @ self.weight.mean(0) + self.bias.mean()
            losses = losses + label_smoothing * (at_target - at_mean)
        return loss_sum(losses.sum(), targets)


def inclusion_probabilities(weights: Tensor, num_samples: int) -> Tensor:
    """Probabilities min(1, c * weight) that sum to `num_samples`.

    Args:
        weights: (V,) float64, above zero.
        num_samples: expected number of drawn classes; V or more draws all.
    """
    if num_samples >= weights.numel():
        return torch.ones_like(weights)
    heaviest_first = weights.sort(descending=True).values
    rest = heaviest_first.flip(0).cumsum(0).flip(0)
    counts = torch.arange(weights.numel(), dtype=weights.dtype)
    # With the k heaviest at probability 1, the others share what is left; k is the least that keeps them at or below 1.
    scale = (num_samples - counts) / rest
    fits = (scale * heaviest_first <= 1) & (counts < num_samples)
    k = int(fits.int().argmax())
    return (scale[k] * weights).clamp(max=1.0)


def _strike_out(others: Tensor, drawn: Tensor, targets: Tensor) -> None:
    """Take each row's own target out of `others` (N, S) in place, where it was drawn too; `drawn` is sorted."""
    if drawn.numel() == 0:
        return
    places = torch.searchsorted(drawn, targets).clamp_(max=drawn.numel() - 1)
    rows = (drawn[places] == targets).nonzero().squeeze(1)
    # Not -inf: a row of which nothing is left would give NaN.
    others[rows, places[rows]] = torch.finfo(others.dtype).min
