"""Distillation: a model learns from what a trained one believes, beside the true targets.

The loss is (1 - weight) * (the task's own) + weight * T^2 * (the task's own, expected under the teacher's belief), both
sides softened by the temperature T. For classes, next tokens and labels that is the cross-entropy with the teacher's
probabilities; for the tags of a sentence the expected log-likelihood of the whole row; for numbers the loss of the
teacher's estimates; for forecasts the mean loss of quantiles of the teacher's distribution.

Reference: Hinton, Vinyals and Dean (2015), https://arxiv.org/abs/1503.02531; of generated texts word by word: Kim and
Rush (2016), section 3.1, https://arxiv.org/abs/1606.07947.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import Batch, LossSum, ModelOutput, OutputKind, Resolution
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.outputs import AttendedLogits, Forecast, Foreseen, Mixture
from recurra.core.state import State
from recurra.layers import TagScores
from recurra.training import Cost

_LEVELS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
"""Middles of ten equal shares of a distribution."""


class DistillConfig(Config):
    """A teacher, and how much it counts."""

    teacher: str = Field(description="folder of a trained model or ensemble of the same task")
    temperature: float = Field(1.0, gt=0, description="above 1, what the teacher takes for unlikely counts for more")
    written: int = Field(
        0, ge=0, description="of language models: so many tokens that the teacher writes itself are learnt from, too"
    )
    weight: float = Field(0.7, gt=0, le=1, description="of the teacher's belief; the rest is that of the true targets")


class Distilling:
    """The objective of a run with a teacher, which goes through the same batches, its state carried.

    Args:
        task: of both.
        teacher: the trained model, on the device of the training.
        config: the options.
    """

    def __init__(self, task: Any, teacher: nn.Module, config: DistillConfig) -> None:
        self.task, self.teacher, self.config = task, teacher.eval(), config

    def __call__(
        self, forward: Callable[[Batch, State | None], ModelOutput], batch: Batch, state: State | None
    ) -> Cost:
        """The cost of one batch; the state is the student's and the teacher's."""
        own, other = (None, None) if state is None else cast("tuple[State, State]", state)
        found = forward(batch, own)
        with torch.no_grad():
            told = self.teacher(batch.inputs, other)
        loss = self._loss(found.prediction, told.prediction, batch)
        both = None if found.state is None or told.state is None else (found.state, told.state)
        return Cost(loss, both, found.penalty)

    def _loss(self, found: Any, told: Any, batch: Batch) -> LossSum:
        weight = self.config.weight
        true = self.task.loss(found, batch)
        soft = self._believed(found, told, batch)
        per_term = soft.total / soft.count.clamp(min=1) * self.config.temperature**2
        return LossSum((1 - weight) * true.total + weight * per_term * true.count, true.count)

    def _believed(self, found: Any, told: Any, batch: Batch) -> LossSum:
        """The loss expected under the teacher's belief."""
        heat, kind = self.config.temperature, self.task.spec.output_kind
        if isinstance(told, Forecast | Mixture):
            return self._foreseen(found, told, batch)
        if isinstance(told, TagScores):
            likely = found.tempered(heat).expected_log_likelihood(told.tempered(heat).posterior())
            return LossSum(-likely, told.emissions.mask.sum())
        if kind is OutputKind.NUMBERS:
            if self.task.spec.resolution is Resolution.SEQUENCE and told.dim() == 3:
                told = told.mean(1)  # of the members of a `SeriesEnsemble`
            return cast(LossSum, self.task.loss(found, replace(batch, targets=told)))
        if isinstance(told, AttendedLogits):
            found, told = found.logits, told.logits
        student, teacher = _logits(found).float() / heat, told.float() / heat
        if self.task.spec.resolution is Resolution.SEQUENCE and student.dim() > teacher.dim():
            teacher = teacher[:, None].expand_as(student)  # each member of a `SeriesEnsemble` learns by itself
        mask = _counted(batch, self.task.spec.resolution)
        if mask is not None:
            student, teacher = student[mask], teacher[mask]
        if kind is OutputKind.LABELS:
            total = F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="sum")
            return LossSum(total, torch.tensor(student.numel(), device=total.device))
        chances = teacher.softmax(-1)
        costs = torch.where(chances > 0, chances * student.log_softmax(-1), 0.0)
        return LossSum(-costs.sum(), torch.tensor(student[..., 0].numel(), device=student.device))

    def _foreseen(self, found: Foreseen, told: Foreseen, batch: Batch) -> LossSum:
        likelihood = self.task.likelihood
        if not likelihood.is_distribution:
            return cast(LossSum, self.task.loss(found, replace(batch, targets=likelihood.mean(told))))
        levels = torch.tensor(_LEVELS, device=batch.targets.device)
        missing = batch.targets.isnan()
        losses = [
            self.task.loss(found, replace(batch, targets=wanted.masked_fill(missing, torch.nan)))
            for wanted in likelihood.quantile(told, levels).unbind(-1)
        ]
        return LossSum(
            torch.stack([loss.total for loss in losses]).mean(), torch.stack([loss.count for loss in losses])[0]
        )


def _logits(found: Any) -> Tensor:
    """Scores of all classes, of what a softmax returns in training, too.

    Raises:
        ConfigError: the softmax never forms them.
    """
    if isinstance(found, Tensor):
        return found
    if not hasattr(found, "log_probs"):
        raise ConfigError("a teacher needs scores of all words in training: set model.softmax=full.")
    return cast(Tensor, found.log_probs())


def _counted(batch: Batch, resolution: Resolution) -> Tensor | None:
    """(B, T) the places that have a target; None: all."""
    if resolution is Resolution.STEP:
        return cast(Tensor, batch.inputs.mask)
    if resolution is Resolution.TARGET:
        return cast(Tensor, batch.inputs.target.mask)
    return None
