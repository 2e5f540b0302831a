"""A batch of the model's own sequences, weighed by their rewards, in the place of a batch of references."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from recurra.core.batch import Batch, Metrics
from recurra.metrics import Generated
from recurra.tasks.pair_coding import PairBatch, PairExample
from recurra.tasks.pair_search import PairSearch, row_nats
from recurra.tasks.rewards import (
    MinimumRiskConfig,
    Reward,
    RewardConfig,
    SelfCriticalConfig,
    advantages,
    reward_of,
    risk_weights,
)


class Rewarding:
    """Makes such batches.

    Args:
        searching: how sequences are found and drawn.
        config: the objective.
    Raises:
        ConfigError: no such reward.
    """

    def __init__(self, searching: PairSearch, config: RewardConfig) -> None:
        self._searching, self._config, self._reward = searching, config, reward_of(config.reward)

    def batch(self, model: Any, batch: PairBatch) -> Batch:
        """The batch to learn from; the model acts in evaluation mode, so that it is the model that will be used."""
        was_training = model.training
        model.eval()
        try:
            rows, weights = self._weigh(model, batch)
        finally:
            model.train(was_training)
        if share := self._config.likelihood_share:
            tokens = sum(len(row.target) + row.ended for row in batch.rows)
            rows = [*rows, *batch.rows]
            weights = np.concatenate([(1 - share) * weights, np.full(len(batch.rows), share / max(1, tokens))])
        made = self._searching.coder.collate(rows)
        # The loss is divided by the number of rows, and the weights are shares of means already.
        scaled = torch.tensor(weights * len(rows), dtype=torch.float32)
        return replace(made, weights=scaled).to(batch.targets.device)

    def _weigh(self, model: Any, batch: PairBatch) -> tuple[list[PairExample], np.ndarray]:
        """Sequences as examples, and the weight of each."""
        config = self._config
        rows, log_probs = self._searching.draw(model, batch, config.num_samples, config.temperature)
        groups = np.repeat(np.arange(len(batch.rows)), config.num_samples).tolist()
        if isinstance(config, SelfCriticalConfig):
            greedy = self._searching.search(model, batch, quick=True)
            base = [self._value(found[0].tokens, row) for found, row in zip(greedy, batch.rows, strict=True)]
            return rows, advantages(self._values(rows), [base[group] for group in groups])
        assert isinstance(config, MinimumRiskConfig), "every objective of rewards is here"
        if config.with_reference:
            rows, groups = [*rows, *batch.rows], [*groups, *range(len(batch.rows))]
            log_probs = [*log_probs, *(-row_nats(model(batch.inputs).prediction, batch)).tolist()]
        kept = _distinct(groups, rows)
        rows, groups, log_probs = [rows[i] for i in kept], [groups[i] for i in kept], [log_probs[i] for i in kept]
        return rows, risk_weights(groups, log_probs, self._values(rows), config.sharpness)

    def _values(self, rows: Sequence[PairExample]) -> list[float]:
        return [self._value(row.target.tolist(), row) for row in rows]

    def _value(self, tokens: Iterable[int], row: PairExample) -> float:
        """The reward of target tokens as the text that a person would read."""
        coder, given = self._searching.coder, list(tokens)
        return self._reward(coder.text(given, coder.words(given, row)), row.reference or "")


class RewardMetrics:
    """A task's metrics, and the mean reward of the texts beside them.

    Args:
        scores: the task's collector.
        reward: of a text and its reference.
    """

    def __init__(self, scores: Metrics, reward: Reward) -> None:
        self._scores, self._reward = scores, reward
        self._values: list[float] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch."""
        self._scores.update(predictions, references)
        for prediction, reference in zip(predictions, references, strict=True):
            text = prediction.text if isinstance(prediction, Generated) else prediction
            self._values.append(self._reward(text, reference))

    def compute(self) -> dict[str, float]:
        """The task's figures, and `reward`."""
        return {**self._scores.compute(), "reward": float(np.mean(self._values)) if self._values else math.nan}


def _distinct(groups: Sequence[int], rows: Sequence[PairExample]) -> list[int]:
    """Positions of the rows that no earlier row of their group equals."""
    seen: set[tuple[int, bytes, bool]] = set()
    kept = []
    for place, (group, row) in enumerate(zip(groups, rows, strict=True)):
        key = (group, row.target.astype(np.int32).tobytes(), row.ended)
        if key not in seen:
            seen.add(key)
            kept.append(place)
    return kept
