"""From which score on a step is flagged: a quantile, extreme-value theory, or labelled steps.

Extreme values are extrapolated from s / (1 - s), or a root of it, which has no upper end as scores s have.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field

from recurra.core.config import Config, by_kind
from recurra.core.errors import DataError
from recurra.detection.pareto import ParetoTail, fit_pareto

_FEWEST_PEAKS = 10


class Threshold(Protocol):
    """Flags scores one after another."""

    @property
    def value(self) -> float:
        """Scores from here on are flagged."""

    def update(self, score: float) -> bool:
        """Whether the score is flagged; an adaptive threshold learns from it."""

    def state(self) -> dict[str, Any]:
        """JSON values, for `load_threshold`."""


class QuantileThresholdConfig(Config):
    """The score that a given share of normal steps passes."""

    kind: Literal["quantile"] = "quantile"
    rate: float = Field(0.002, gt=0, lt=1, description="share of normal steps that may be flagged")
    adaptive: bool = Field(False, description="go on with the scores that follow, without those that are flagged")

    def fit(self, scores: np.ndarray, labels: np.ndarray | None, power: float = 1.0) -> Threshold:
        """Learn it from scores (N,) of a stretch that is mostly normal."""
        fitted = QuantileThreshold(self.rate, scores)
        return fitted if self.adaptive else ConstantThreshold(fitted.value)


class ExtremeThresholdConfig(Config):
    """Peaks over threshold: a Pareto tail over the highest scores says which one is as rare as wanted.

    Reference: Siffer et al. (2017), https://doi.org/10.1145/3097983.3098144.
    """

    kind: Literal["evt"] = "evt"
    risk: float = Field(1e-4, gt=0, lt=1, description="share of normal steps that may be flagged")
    level: float = Field(0.98, ge=0.5, lt=1, description="quantile from which on scores belong to the tail")
    adaptive: bool = Field(False, description="go on with the scores that follow, without those that are flagged")

    def fit(self, scores: np.ndarray, labels: np.ndarray | None, power: float = 1.0) -> Threshold:
        """Learn it from scores (N,) of a stretch that is mostly normal; `power` as of `ScoringConfig`."""
        fitted = PeaksOverThreshold(self.risk, self.level, scores, power)
        return fitted if self.adaptive else ConstantThreshold(fitted.value)


class LabelledThresholdConfig(Config):
    """The score with the best F1 on labelled steps."""

    kind: Literal["labelled"] = "labelled"
    by: Literal["events", "steps"] = Field(
        "events", description="events: an anomaly is found by any of its steps; steps: each step counts"
    )

    def fit(self, scores: np.ndarray, labels: np.ndarray | None, power: float = 1.0) -> Threshold:
        """Learn it from scores (N,) and labels (N,)."""
        if labels is None or not labels.any():
            raise DataError(
                "task.threshold=labelled needs labelled anomalies in the validation part, and there are none. Name a "
                "column of 0 and 1 with --data.label_column or a JSON file of windows with --data.series.windows, hold "
                "more out with --data.valid_fraction, or take task.threshold=evt or quantile."
            )
        return ConstantThreshold(best_f1_threshold(scores, labels, self.by))


class FixedThresholdConfig(Config):
    """A score that is known."""

    kind: Literal["fixed"] = "fixed"
    value: float = Field(gt=0, le=1, description="scores from here on are flagged")

    def fit(self, scores: np.ndarray, labels: np.ndarray | None, power: float = 1.0) -> Threshold:
        """Itself."""
        return ConstantThreshold(self.value)


THRESHOLDS: dict[str, Any] = {
    "evt": ExtremeThresholdConfig,
    "quantile": QuantileThresholdConfig,
    "labelled": LabelledThresholdConfig,
    "fixed": FixedThresholdConfig,
}
ThresholdConfig = by_kind(THRESHOLDS.values())


class ConstantThreshold:
    """A threshold that stays."""

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def update(self, score: float) -> bool:
        """Whether the score is at least the threshold."""
        return score >= self.value

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": "constant", "value": self.value}


class QuantileThreshold:
    """The empirical quantile of all normal scores so far.

    Args:
        rate: share of them that may be flagged.
        scores: (N,) of the start.
    """

    def __init__(self, rate: float, scores: Sequence[float] | np.ndarray) -> None:
        self._rate = rate
        self._sorted = np.sort(scores).tolist()
        if not self._sorted:
            raise DataError("no scores to take a threshold from.")

    @property
    def value(self) -> float:
        """Just above the score that a share of `rate` of them passes, but above 0."""
        place = min(int(np.ceil((1 - self._rate) * len(self._sorted))), len(self._sorted)) - 1
        return float(np.nextafter(max(self._sorted[place], 0.0), 1.0))

    def update(self, score: float) -> bool:
        """Whether the score is flagged; otherwise it becomes one of the normal ones."""
        if score >= self.value:
            return True
        insort(self._sorted, score)
        return False

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": "quantile", "rate": self._rate, "scores": self._sorted}


class PeaksOverThreshold:
    """The level that normal scores pass with a chance of `risk`, from a Pareto tail over those above `level`.

    Reference: Siffer et al. (2017), algorithms 1 and 2 (SPOT).

    Args:
        risk: share of normal scores that may be flagged.
        level: quantile of the start from which on scores belong to the tail.
        scores: (N,) of the start, from 0 to 1.
        power: of which s / (1 - s) is the one of what is extrapolated.
    """

    def __init__(self, risk: float, level: float, scores: Sequence[float] | np.ndarray, power: float = 1.0) -> None:
        self._power = power
        odds = self._odds(np.asarray(scores, dtype=np.float64))
        if not len(odds):
            raise DataError("no scores to take a threshold from.")
        self._risk = risk
        start = np.quantile(odds, level, method="lower")
        if (odds > start).sum() < _FEWEST_PEAKS:
            # so few scores, or so many equal ones, that the tail begins lower
            start = np.sort(odds)[-min(_FEWEST_PEAKS + 1, len(odds))]
        self._start = float(start)
        self._peaks = (odds[odds > start] - start).tolist()
        self._count = len(odds)
        self._fit()

    def update(self, score: float) -> bool:
        """Whether the score is flagged; otherwise it becomes one of the normal ones."""
        if score >= self.value:
            return True
        self._count += 1
        excess = float(self._odds(np.array(score))) - self._start
        if excess > 0:
            self._peaks.append(excess)
            self._fit()
        else:
            self._move()
        return False

    def _fit(self) -> None:
        peaks = np.array(self._peaks)
        self._tail = fit_pareto(peaks) if self._peaks else ParetoTail(0.0, 1e-9)
        if self._tail.shape < 0:
            # odds have no upper end: a tail that seems to have one has too few peaks
            self._tail = ParetoTail(0.0, float(peaks.mean()))
        self._move()

    def _move(self) -> None:
        """The threshold of the tail as it is: it moves with the count, too."""
        share = self._risk * self._count / max(len(self._peaks), 1)
        beyond = (self._start + max(self._tail.exceeded(min(share, 1.0)), 0.0)) ** self._power
        self.value = float(np.nextafter(beyond / (1 + beyond), 1.0))

    def _odds(self, scores: np.ndarray) -> np.ndarray:
        odds: np.ndarray = (scores / np.maximum(1 - scores, 1e-12)) ** (1 / self._power)
        return odds

    def state(self) -> dict[str, Any]:
        """JSON values."""
        own = {"risk": self._risk, "start": self._start, "power": self._power}
        return {"kind": "evt", **own, "peaks": self._peaks, "count": self._count}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PeaksOverThreshold:
        """What `state` gave."""
        found = cls.__new__(cls)
        found._risk, found._start, found._power = (float(state[name]) for name in ("risk", "start", "power"))
        found._peaks, found._count = list(state["peaks"]), int(state["count"])
        found._fit()
        return found


def load_threshold(state: Mapping[str, Any]) -> Threshold:
    """The threshold whose `state` this is."""
    if state["kind"] == "constant":
        return ConstantThreshold(state["value"])
    if state["kind"] == "quantile":
        return QuantileThreshold(state["rate"], state["scores"])
    return PeaksOverThreshold.from_state(state)


def best_f1_threshold(scores: np.ndarray, labels: np.ndarray, by: Literal["events", "steps"]) -> float:
    """The threshold with the best F1; of equally good ones the highest.

    Args:
        scores: (N,).
        labels: (N,) bool or 0/1, some of them 1.
        by: steps: each is right or wrong. events: a run of labels is found by any of its steps and counts once; each
            flagged step outside is a false alarm.
    """
    labels = np.asarray(labels, dtype=bool)
    scores = np.asarray(scores, dtype=np.float64)
    if by == "steps":
        found = scores[labels]
    else:
        starts = np.flatnonzero(labels & ~np.concatenate([[False], labels[:-1]]))
        events = np.cumsum(np.isin(np.arange(len(labels)), starts)) - 1
        found = np.full(len(starts), -np.inf)
        np.maximum.at(found, events[labels], scores[labels])
    found, false = np.sort(found), np.sort(scores[~labels])
    candidates = np.unique(found)
    hits = len(found) - np.searchsorted(found, candidates, "left")
    alarms = len(false) - np.searchsorted(false, candidates, "left")
    f1 = 2 * hits / (hits + alarms + len(found))
    return float(candidates[len(f1) - 1 - np.argmax(f1[::-1])])
