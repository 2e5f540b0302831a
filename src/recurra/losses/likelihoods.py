"""What a forecast's parameters mean, and what they cost: points, quantiles, distributions.

Axes: B rows, H steps ahead, C channels, K parameters, Q levels, N paths. A standardised value z stands for
shift + scale * z in the window's units, in which every loss is measured and every answer is given.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from recurra.core.config import Config, by_kind
from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast, Mixture
from recurra.losses.distributions import Likelihood, NegativeBinomial, Normal, StudentT, weighted

_NO_DISTRIBUTION = (
    "this model forecasts points, and knows neither intervals nor sample paths. Train it with "
    "task.likelihood=quantile, normal or student-t."
)


class MSEConfig(Config):
    """Squared error: the forecast is the mean."""

    kind: Literal["mse"] = "mse"

    def build(self) -> Point:
        """The loss."""
        return Point(F.mse_loss)


class MAEConfig(Config):
    """Absolute error: the forecast is the median."""

    kind: Literal["mae"] = "mae"

    def build(self) -> Point:
        """The loss."""
        return Point(F.l1_loss)


class HuberConfig(Config):
    """Squared error / 2 up to `delta`, growing linearly beyond it."""

    kind: Literal["huber"] = "huber"
    delta: float = Field(1.0, gt=0, description="in the window's units, which the task standardises")

    def build(self) -> Point:
        """The loss."""
        return Point(lambda found, wanted, reduction: F.huber_loss(found, wanted, reduction, delta=self.delta))


class QuantileConfig(Config):
    """Several quantiles by the pinball loss."""

    kind: Literal["quantile"] = "quantile"
    quantiles: tuple[float, ...] = Field(
        (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975), min_length=1, description="rising, between 0 and 1"
    )

    @field_validator("quantiles")
    @classmethod
    def _rise(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < level < 1 for level in given) or any(a >= b for a, b in pairwise(given)):
            raise ValueError("quantiles must rise and lie between 0 and 1, such as [0.1, 0.5, 0.9]")
        return given

    def build(self) -> Quantiles:
        """The loss."""
        return Quantiles(self.quantiles)


class NormalConfig(Config):
    """A normal distribution."""

    kind: Literal["normal"] = "normal"

    def build(self) -> Normal:
        """The likelihood."""
        return Normal()


class StudentTConfig(Config):
    """Student's t, whose tails are as heavy as the data ask for."""

    kind: Literal["student-t"] = "student-t"

    def build(self) -> StudentT:
        """The likelihood."""
        return StudentT()


class NegativeBinomialConfig(Config):
    """Counts 0, 1, 2, ... that vary more than their mean."""

    kind: Literal["negative-binomial"] = "negative-binomial"

    def build(self) -> NegativeBinomial:
        """The likelihood."""
        return NegativeBinomial()


LIKELIHOODS: dict[str, Any] = {
    "mse": MSEConfig,
    "mae": MAEConfig,
    "huber": HuberConfig,
    "quantile": QuantileConfig,
    "normal": NormalConfig,
    "student-t": StudentTConfig,
    "negative-binomial": NegativeBinomialConfig,
}
LikelihoodConfig = by_kind(LIKELIHOODS.values())


class Values(Likelihood):
    """Parameters that are values themselves; those of several forecasts are averaged.

    Reference: quantiles, too: Lichtendahl, Grushka-Cockayne and Winkler (2013), Management Science 59(7).
    """

    def pooled_loss(self, forecast: Mixture, targets: Tensor) -> Tensor:
        """Of the mean of the values."""
        return self._loss(averaged(forecast), targets)

    def pooled_quantile(self, forecast: Mixture, levels: Tensor) -> Tensor:
        """The mean of the quantiles."""
        return weighted(forecast, lambda part: self.quantile(part, levels))


class Point(Values):
    """One number a step, without a distribution."""

    num_parameters = 1
    is_distribution = False

    def __init__(self, error: Any) -> None:
        """Take `error(found, wanted, reduction="none")`."""
        self._error = error

    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """(B, H, C) errors."""
        errors: Tensor = self._error(self._mean(forecast), targets, reduction="none")
        return errors

    def _mean(self, forecast: Forecast) -> Tensor:
        """(B, H, C)."""
        if forecast.samples is not None:
            return forecast.samples.mean(1)
        return forecast.shift + forecast.scale * forecast.parameters[..., 0]

    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """Nothing: a point has no paths."""
        raise ConfigError(_NO_DISTRIBUTION)

    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        raise ConfigError(_NO_DISTRIBUTION)


class Quantiles(Values):
    """Quantiles without a family; between the trained ones, and beyond them, straight lines on normal paper.

    Sorting mends quantiles that cross, and never makes the pinball loss worse (Chernozhukov et al., 2010, Econometrica
    78(3), https://arxiv.org/abs/0704.3649).
    """

    def __init__(self, quantiles: tuple[float, ...]) -> None:
        """Take rising levels between 0 and 1."""
        self.quantiles = quantiles
        self.num_parameters = len(quantiles)

    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """(B, H, C) pinball losses, doubled and averaged over the quantiles: the median's is the absolute error.

        Reference: Koenker and Bassett (1978), Econometrica 46(1).
        """
        levels = targets.new_tensor(self.quantiles)
        found = forecast.shift[..., None] + forecast.scale[..., None] * forecast.parameters
        above = targets[..., None] - found
        return 2 * torch.maximum(levels * above, (levels - 1) * above).mean(-1)

    def _mean(self, forecast: Forecast) -> Tensor:
        """(B, H, C) medians: the mean of a distribution is not known from some of its quantiles."""
        if forecast.samples is None and 0.5 in self.quantiles:
            middle = forecast.parameters.sort(-1).values[..., self.quantiles.index(0.5)]
            return forecast.shift + forecast.scale * middle
        return self.quantile(forecast, forecast.parameters.new_tensor([0.5]))[..., 0]

    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """One draw from each distribution, shape of `shift`: the quantile of a uniform number."""
        shape = parameters.shape[:-1]
        uniform = torch.rand(shape, generator=generator, dtype=parameters.dtype, device=parameters.device)
        chosen = self._at(parameters, torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))[..., None])[..., 0]
        return shift + scale * chosen

    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        scores = torch.special.ndtri(levels).expand(*forecast.parameters.shape[:-1], len(levels))
        return forecast.shift[..., None] + forecast.scale[..., None] * self._at(forecast.parameters, scores)

    def _at(self, parameters: Tensor, scores: Tensor) -> Tensor:
        """Standardised values at normal scores (..., Q)."""
        known = parameters.sort(-1).values
        if len(self.quantiles) == 1:
            return known.expand_as(scores)
        knots = torch.special.ndtri(torch.tensor(self.quantiles, dtype=torch.float64)).to(parameters)
        right = torch.searchsorted(knots, scores.contiguous()).clamp(1, len(knots) - 1)
        low, high = known.gather(-1, right - 1), known.gather(-1, right)
        share = (scores - knots[right - 1]) / (knots[right] - knots[right - 1])
        return low + share * (high - low)


def averaged(forecast: Mixture) -> Forecast:
    """One forecast whose parameters are the means of values, rising ones first."""

    def values(part: Forecast) -> Tensor:
        return part.shift[..., None] + part.scale[..., None] * part.parameters.sort(-1).values

    found = weighted(forecast, values)
    shift = torch.zeros_like(found[..., 0])
    return Forecast(found, shift, torch.ones_like(shift))
