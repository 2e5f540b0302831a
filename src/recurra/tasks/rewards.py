"""Learning from rewards: the model's own sequences, weighed by how good they are, become the targets.

An update's loss is sum over rows of weight times -log p(sequence), whose gradient is that of the expected reward:

    self-critical:  weight = r(sample) - r(greedy)                   (Rennie et al. 2017, equations 7 and 8)
    minimum-risk:   weight = q_k (r_k - sum_j q_j r_j),  q_k ~ p(y_k)^a over distinct samples
                    (Shen et al. 2016, equations 12 to 14, divided by a, so that a does not change the gradient's size;
                    the weights are constants, the gradient is the same)

Sources: https://arxiv.org/abs/1612.00563, https://arxiv.org/abs/1512.02433; keeping a share of the likelihood: Wu
et al. (2016), equation 9, https://arxiv.org/abs/1609.08144.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from recurra.core.config import Config, by_kind
from recurra.core.errors import ConfigError
from recurra.metrics import require_sacrebleu, rouge_l, sentence_bleu

Reward = Callable[[str, str], float]
"""(hypothesis, reference) -> more is better."""


class LikelihoodConfig(Config):
    """Likelihood of the references: teacher forcing."""

    kind: Literal["likelihood"] = "likelihood"


class RewardConfig(Config):
    """What objectives of rewards share."""

    reward: str = Field(
        "bleu", description="bleu, chrf, rouge-l, or a function of your own: package.module:function(text, reference)"
    )
    likelihood_share: float = Field(0.1, ge=0, le=1, description="share of the references' likelihood in the loss")
    num_samples: int = Field(1, ge=1, description="sequences drawn for each source")
    temperature: float = Field(1.0, gt=0, description="of the drawing; 1 is the model's own distribution")


class SelfCriticalConfig(RewardConfig):
    """REINFORCE with the greedy sequence's reward as the baseline."""

    kind: Literal["self-critical"] = "self-critical"


class MinimumRiskConfig(RewardConfig):
    """Expected reward over a sample of sequences, the reference among them if asked."""

    kind: Literal["minimum-risk"] = "minimum-risk"
    num_samples: int = Field(5, ge=2, description="sequences drawn for each source; equal ones count once")
    sharpness: float = Field(0.2, gt=0, description="a: probabilities within the sample are taken to this power")
    with_reference: bool = Field(False, description="whether the reference is one of the sample")


ObjectiveConfig = by_kind((LikelihoodConfig, SelfCriticalConfig, MinimumRiskConfig))


def reward_of(name: str) -> Reward:
    """The reward of this name.

    Raises:
        ConfigError: no such reward, module or function.
        MissingExtraError: chrf without sacrebleu.
    """
    known: dict[str, Callable[[], Reward]] = {"bleu": lambda: sentence_bleu, "rouge-l": lambda: rouge_l, "chrf": _chrf}
    if name in known:
        return known[name]()
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise ConfigError(
            f"`task.objective.reward`: no reward `{name}`. Known: {', '.join(known)}; or package.module:function."
        )
    return _imported(module, function)


def _imported(module: str, function: str) -> Reward:
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise ConfigError(f"`task.objective.reward`: can't import {module} ({error}). Is it on PYTHONPATH?") from error
    if not callable(found):
        raise ConfigError(f"`task.objective.reward`: {module} has no function `{function}`.")

    def checked(hypothesis: str, reference: str) -> float:
        value = found(hypothesis, reference)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(
                f"`task.objective.reward`: {module}:{function} gave {value!r}; a finite number is wanted."
            )
        return number

    return checked


@cache
def _chrf() -> Reward:
    chrf: Any = require_sacrebleu().metrics.CHRF(lowercase=True)
    return lambda hypothesis, reference: float(chrf.sentence_score(hypothesis, [reference]).score) / 100


def advantages(rewards: Sequence[float], baselines: Sequence[float]) -> np.ndarray:
    """(N,) weights of drawn sequences for the mean reward of N draws: self-critical."""
    return (np.asarray(rewards, dtype=np.float64) - np.asarray(baselines)) / max(1, len(rewards))


def risk_weights(
    groups: Sequence[int], log_probs: Sequence[float], rewards: Sequence[float], sharpness: float
) -> np.ndarray:
    """(N,) weights of the sequences for the mean over groups of the expected reward within each group, divided by a.

    Args:
        groups: (N,) which source each sequence is of.
        log_probs: (N,) the model's, in nats; distinct sequences within a group.
        rewards: (N,).
        sharpness: a.
    """
    which, logits = np.asarray(groups), sharpness * np.asarray(log_probs, dtype=np.float64)
    values = np.asarray(rewards, dtype=np.float64)
    weights = np.zeros(len(which))
    for group in np.unique(which):
        rows = which == group
        share = np.exp(logits[rows] - logits[rows].max())
        share /= share.sum()
        weights[rows] = share * (values[rows] - share @ values[rows])
    return weights / max(1, len(np.unique(which)))
