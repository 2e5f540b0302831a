"""Augmentation of whole series, for the training split only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from recurra.core.config import Config
from recurra.data.collate import SeriesExample

_KNOTS = 6
"""Points between which the speed of a time warp changes, ends included."""


class SeriesAugmentConfig(Config):
    """Random changes of training series, of values that are normalised already; 0 turns each off."""

    probability: float = Field(1.0, ge=0, le=1, description="chance of each change below for each series, each epoch")
    jitter: float = Field(0.0, ge=0, description="noise on each value: its standard deviation")
    scaling: float = Field(0.0, ge=0, description="factor on each dimension: standard deviation around 1")
    time_warp: float = Field(0.0, ge=0, description="faster and slower stretches: standard deviation of the log speed")
    window_slice: float = Field(0.0, ge=0, lt=1, description="largest part that is cut off, at random places")
    mixing: float = Field(
        0.0, ge=0, description="mix in another series and its target (mixup): alpha of the beta distribution"
    )

    def is_active(self) -> bool:
        """Whether anything is changed at all."""
        strengths = (self.jitter, self.scaling, self.time_warp, self.window_slice, self.mixing)
        return self.probability > 0 and max(strengths) > 0

    def build(self, seed: int, examples: Sequence[SeriesExample], num_classes: int | None) -> SeriesAugment:
        """The change as a function of (example, epoch, index).

        Args:
            seed: of all randomness.
            examples: the training split, whose series are mixed in; a longer or shorter one is stretched.
            num_classes: of the targets; None where they are numbers.
        """
        return SeriesAugment(self, seed, examples, num_classes)


@dataclass(frozen=True, slots=True)
class SeriesAugment:
    """`augment_series` with its settings, as `BucketedBatches` takes it."""

    config: SeriesAugmentConfig
    seed: int
    examples: Sequence[SeriesExample]
    num_classes: int | None

    def __call__(self, example: SeriesExample, epoch: int, index: int) -> SeriesExample:
        """The example with changed steps; with mixing, its target is a row of shares of the classes.

        Reference: Zhang et al. (2018), mixup, https://arxiv.org/abs/1710.09412.
        """
        rng = np.random.default_rng([self.seed, epoch, index])
        changed = example._replace(steps=augment_series(example.steps, self.config, rng))
        if not self.config.mixing:
            return changed
        own = self._target(changed)
        other = self.examples[int(rng.integers(len(self.examples)))]
        drawn = float(rng.beta(self.config.mixing, self.config.mixing))
        if rng.random() >= self.config.probability or not len(other.steps) or not len(changed.steps):
            return changed._replace(target=own)
        share = max(drawn, 1 - drawn)
        steps = augment_series(other.steps, self.config, rng)
        steps = stretch(steps, np.linspace(0, len(steps) - 1, len(changed.steps)))
        mixed = (share * changed.steps + (1 - share) * steps).astype(np.float32)
        return changed._replace(steps=mixed, target=share * own + (1 - share) * self._target(other))

    def _target(self, example: SeriesExample) -> np.ndarray:
        if self.num_classes is None:
            return np.asarray(example.target, dtype=np.float32)
        return np.eye(self.num_classes, dtype=np.float32)[np.asarray(example.target)]


def augment_series(steps: np.ndarray, config: SeriesAugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Cut, warp, scale and disturb a series at random; the input is left as it is.

    Args:
        steps: (T, F) float32.
        config: the changes.
        rng: where all randomness comes from.
    Returns:
        (T, F) float32; a window slice is stretched to the length of the series.
    Reference: Um et al. (2017), https://arxiv.org/abs/1706.00527 (jitter, scaling, time warp); Le Guennec, Malinowski
        and Tavenard (2016), Data augmentation for time series classification (window slice).
    """
    last = max(0, len(steps) - 1)
    places = np.arange(len(steps), dtype=np.float64)
    if config.window_slice and last and rng.random() < config.probability:
        cut = rng.uniform(0, config.window_slice)
        places = places * (1 - cut) + rng.uniform(0, cut) * last
    if config.time_warp and last > 1 and rng.random() < config.probability:
        places = _warped(places, config.time_warp, rng)
    changed = stretch(steps, places)
    if config.scaling and rng.random() < config.probability:
        changed = changed * rng.normal(1, config.scaling, (1, steps.shape[1])).astype(np.float32)
    if config.jitter and rng.random() < config.probability:
        changed = changed + rng.normal(0, config.jitter, changed.shape).astype(np.float32)
    return changed


def stretch(steps: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values of (T, F) steps at fractional places (T',) within 0..T-1, by straight lines: (T', F)."""
    if not len(places):
        return steps[:0]
    below = np.floor(places).astype(np.int64)
    part = (places - below).astype(np.float32)[:, None]
    if not part.any():
        return steps[below]
    above = np.minimum(below + 1, len(steps) - 1)
    stretched: np.ndarray = steps[below] * (1 - part) + steps[above] * part
    return stretched


def _warped(places: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The same first and last place, gone through at a speed that changes."""
    speeds = np.exp(rng.normal(0, strength, _KNOTS))
    passed = np.cumsum(np.interp(np.linspace(0, _KNOTS - 1, len(places) - 1), np.arange(_KNOTS), speeds))
    share = np.concatenate([[0.0], passed / passed[-1]])
    return np.clip(places[0] + share * (places[-1] - places[0]), places[0], places[-1])
