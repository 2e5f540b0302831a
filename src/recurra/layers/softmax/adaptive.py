"""Adaptive softmax: frequent classes in a short head, rare ones in tails that are scored only where needed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from recurra.core.batch import LossSum
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.layers.softmax.base import (
    DeferredLogits,
    SoftmaxHead,
    loss_sum,
    real_positions,
    smooth_prior,
    weight_rows,
)


class AdaptiveSoftmaxConfig(Config):
    """A head of frequent classes and tails of rare ones."""

    kind: Literal["adaptive"] = "adaptive"
    cutoffs: tuple[float, ...] = Field(
        default=(0.1, 0.4),
        description="where the head and each tail but the last end, by rank; below 1 as a share of the vocabulary",
    )
    div_value: float = Field(default=4.0, ge=1, description="each tail's rows are this many times shorter")

    @field_validator("cutoffs")
    @classmethod
    def _check(cls, cutoffs: tuple[float, ...]) -> tuple[float, ...]:
        if not cutoffs or min(cutoffs) <= 0 or any(value >= 1 and value != int(value) for value in cutoffs):
            raise ValueError("each cutoff is a whole number of classes, or a share between 0 and 1")
        return cutoffs

    def build(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> AdaptiveSoftmax:
        """The head."""
        return AdaptiveSoftmax(
            hidden_size, output_size, tied_weight, output_prior, cutoffs=self.cutoffs, div_value=self.div_value
        )


class AdaptiveSoftmax(SoftmaxHead):
    """P(class) = P(tail) P(class | tail) for rare classes; log-probabilities over all classes sum to one.

    Classes are ranked by `output_prior` inside, so that they may come in any order; without a prior they are taken to
    be sorted by falling frequency. Tail k has rows of row_size / div_value ** (k + 1) numbers; with a tied weight these
    are the first columns of the embedding's rows.

    Reference: Grave et al. (2017), Efficient softmax approximation for GPUs, https://arxiv.org/abs/1609.04309.
    """

    Config = AdaptiveSoftmaxConfig
    rank_to_class: Tensor
    class_to_rank: Tensor

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
        *,
        cutoffs: tuple[float, ...] = (0.1, 0.4),
        div_value: float = 4.0,
    ) -> None:
        super().__init__(hidden_size, output_size, tied_weight, output_prior)
        self.borders = _borders(cutoffs, output_size)
        num_tails = len(self.borders) - 2
        self.tail_sizes = [max(1, round(self.row_size / div_value ** (k + 1))) for k in range(num_tails)]
        self.tail_projections = nn.ModuleList(nn.Linear(self.row_size, size, bias=False) for size in self.tail_sizes)
        self.tied_weight = tied_weight
        if tied_weight is None:
            sizes = zip(itertools.pairwise(self.borders), [self.row_size, *self.tail_sizes], strict=True)
            self.weights = nn.ParameterList(weight_rows(end - start, size) for (start, end), size in sizes)
        self.tail_weight = weight_rows(num_tails, self.row_size)
        prior = torch.full((output_size,), 1 / output_size, dtype=torch.float64)
        if output_prior is not None:
            prior = smooth_prior(output_prior, output_size)
        with torch.no_grad():
            self.bias.copy_(prior.log())
        ranked = prior.argsort(descending=True, stable=True)
        self.register_buffer("rank_to_class", ranked)
        self.register_buffer("class_to_rank", ranked.argsort())
        masses = [prior[ranked[start:end]].sum() for start, end in itertools.pairwise(self.borders[1:])]
        self.tail_bias = nn.Parameter(torch.stack(masses).log().to(self.bias.dtype))

    def forward(self, hidden: Tensor) -> Tensor | DeferredLogits:
        """Log-probabilities in evaluation, `AdaptiveLogits` in training."""
        hidden = self.project(hidden)
        if not self.training:
            return self.log_probs(hidden)
        projections = [cast(nn.Linear, projection).weight for projection in self.tail_projections]
        return AdaptiveLogits(hidden, self._scorers(), projections, self.class_to_rank, self.borders)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """(..., output_size) log-probabilities of projected hidden states (..., row_size)."""
        head, *tails = self._scorers()
        scores = _log_softmax(hidden, head)
        num_frequent = self.borders[1]
        parts = [scores[..., :num_frequent]]
        for k, tail in enumerate(tails):
            inner = _log_softmax(self.tail_projections[k](hidden), tail)
            parts.append(inner + scores[..., num_frequent + k, None])
        return torch.cat(parts, dim=-1).index_select(-1, self.class_to_rank)

    def _scorers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of the head (its tails' entries last), then of each tail; in the order of ranks."""
        sizes = [end - start for start, end in itertools.pairwise(self.borders)]
        biases = torch.split(self.bias.index_select(0, self.rank_to_class), sizes)
        if self.tied_weight is None:
            weights: list[Tensor] = list(self.weights)
        else:
            head, *tails = torch.split(F.embedding(self.rank_to_class, self.tied_weight), sizes)
            weights = [head, *(rows[:, :size] for rows, size in zip(tails, self.tail_sizes, strict=True))]
        first = torch.cat([weights[0], self.tail_weight]), torch.cat([biases[0], self.tail_bias])
        return [first, *zip(weights[1:], biases[1:], strict=True)]


@dataclass(frozen=True, slots=True)
class AdaptiveLogits:
    """Log-probabilities not yet formed.

    Attributes:
        hidden: (B, T, row_size).
        scorers: weight and bias of the head, then of each tail.
        projections: (tail size, row_size) of each tail.
        class_to_rank: (output_size,).
        borders: ranks at which head and tails begin and end.
    """

    hidden: Tensor
    scorers: list[tuple[Tensor, Tensor]]
    projections: list[Tensor]
    class_to_rank: Tensor
    borders: list[int]

    def cross_entropy(self, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0) -> LossSum:
        """Exactly -log P of the targets; see `DeferredLogits`.

        Raises:
            ConfigError: label smoothing, which would need every class at every position.
        """
        if label_smoothing:
            raise ConfigError(
                f"the adaptive softmax can't smooth labels (label_smoothing={label_smoothing}): that needs the scores "
                "of all classes at every position. Set label_smoothing=0, or use the softmax `full` or `sampled`."
            )
        hidden, targets = real_positions(self.hidden, targets, mask)
        return loss_sum(self._total(hidden, targets), targets)

    def _total(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Summed negative log-likelihood of targets (N,) given projected hidden states (N, row_size)."""
        head, *tails = self.scorers
        ranks = self.class_to_rank[targets]
        borders = torch.tensor(self.borders[1:], device=ranks.device)
        cluster = torch.bucketize(ranks, borders, right=True)
        in_head = torch.where(cluster == 0, ranks, self.borders[1] + cluster - 1)
        scores = _log_softmax(hidden, head)
        total = -scores.gather(1, in_head[:, None]).sum()
        for k, tail in enumerate(tails):
            # A tail without positions is computed too (of no rows), so that each weight has a gradient on every rank.
            rows = (cluster == k + 1).nonzero().squeeze(1)
            inner = _log_softmax(F.linear(hidden.index_select(0, rows), self.projections[k]), tail)
            total = total - inner.gather(1, ranks[rows, None] - self.borders[k + 1]).sum()
        return total


def _log_softmax(hidden: Tensor, scorer: tuple[Tensor, Tensor]) -> Tensor:
    logits = F.linear(hidden, *scorer)
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _borders(cutoffs: tuple[float, ...], output_size: int) -> list[int]:
    """Ranks at which head and tails begin and end: [0, head's end, ..., output_size]."""
    inner = [max(1, math.ceil(value * output_size)) if value < 1 else int(value) for value in cutoffs]
    borders = [0, *inner, output_size]
    if any(start >= end for start, end in itertools.pairwise(borders)):
        raise ConfigError(
            f"cutoffs {cutoffs} of {output_size} classes give the borders {inner}: they must rise and stay below "
            f"{output_size}. Choose other cutoffs, or the softmax `full` for so few classes."
        )
    return borders
