"""Parametric distributions of a forecast's values: normal, Student's t, negative binomial."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.outputs import Forecast, Foreseen, Mixture
from recurra.losses.beta import incomplete_beta

_SMALLEST = 1e-4
"""Least standardised spread: keeps a likelihood from running away on a constant stretch."""
_BISECTIONS = 50
_TABLE = 513
"""Degrees of freedom at which quantiles of Student's t are kept."""


class Likelihood(ABC):
    """What parameters (..., K) mean; `loss` has gradients, the rest is for answers."""

    num_parameters: int
    is_distribution: ClassVar[bool] = True
    """False where there are neither quantiles nor draws."""
    is_count: ClassVar[bool] = False
    """True where targets must be whole numbers from 0."""

    def loss(self, forecast: Foreseen, targets: Tensor) -> Tensor:
        """(B, H, C) loss of each value; nats where there is a density.

        Args:
            forecast: parameters (B, H, C, K), or several such forecasts.
            targets: (B, H, C) in the window's units, no NaN.
        """
        return self.pooled_loss(forecast, targets) if isinstance(forecast, Mixture) else self._loss(forecast, targets)

    def mean(self, forecast: Foreseen) -> Tensor:
        """(B, H, C) point forecasts; means of the sample paths where there are some."""
        if isinstance(forecast, Mixture):
            return weighted(forecast, self._mean)
        return self._mean(forecast)

    def quantile(self, forecast: Foreseen, levels: Tensor) -> Tensor:
        """(B, H, C, Q) quantiles; never falling along Q where `levels` rise.

        Args:
            forecast: parameters (B, H, C, K), or sample paths, which then count alone; or several such forecasts.
            levels: (Q,) between 0 and 1.
        """
        if isinstance(forecast, Mixture):
            return self.pooled_quantile(forecast, levels)
        if forecast.samples is not None:
            return _quantiles_of_paths(forecast.samples, levels.to(forecast.samples))
        return self._quantile(forecast, levels.to(forecast.parameters))

    @abstractmethod
    def pooled_loss(self, forecast: Mixture, targets: Tensor) -> Tensor:
        """`loss` of several forecasts together: never more than the mean of their losses."""

    @abstractmethod
    def pooled_quantile(self, forecast: Mixture, levels: Tensor) -> Tensor:
        """`quantile` of several forecasts together."""

    @abstractmethod
    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """One draw of each value.

        Args:
            parameters: (..., K).
            shift: (...) or what broadcasts with it.
            scale: the same, above 0.
            generator: of random numbers; None: torch's own.
        Returns:
            (...) in the window's units.
        """

    @abstractmethod
    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """`loss` of one forecast."""

    @abstractmethod
    def _mean(self, forecast: Forecast) -> Tensor:
        """`mean` of one forecast."""

    @abstractmethod
    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        """`quantile` by the parameters."""


class Density(Likelihood):
    """A family of distributions; several of them together are their mixture (a linear pool).

    Reference: Genest and Zidek (1986), Combining probability distributions, Statistical Science 1(1).
    """

    def pooled_loss(self, forecast: Mixture, targets: Tensor) -> Tensor:
        """-log of the mean density."""
        parts = [self._loss(part, targets) for part in forecast.parts]
        return -(torch.stack(parts, -1).neg() + forecast.shares.to(parts[0]).log()).logsumexp(-1)

    def pooled_quantile(self, forecast: Mixture, levels: Tensor) -> Tensor:
        """Where the mean of the distribution functions crosses the levels: bisection between the parts' quantiles."""
        found = torch.stack([self.quantile(part, levels).double() for part in forecast.parts])
        low, high = found.amin(0), found.amax(0)
        wanted = levels.to(low)
        if self.is_count:
            low = low - 1
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            middle = middle.floor() if self.is_count else middle
            enough = weighted(forecast, partial(self._below, values=middle)) >= wanted
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
            if bool((high - low <= (1 if self.is_count else 0)).all()):
                break
        return high.to(forecast.parts[0].parameters)

    @abstractmethod
    def _below(self, forecast: Forecast, values: Tensor) -> Tensor:
        """P(value <= `values`), (B, H, C, Q) float64."""


class Normal(Density):
    """Parameters: mean, and a raw spread that softplus makes positive."""

    num_parameters = 2

    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """Negative log density."""
        mean, spread = _located(forecast.parameters)
        z = ((targets - forecast.shift) / forecast.scale - mean) / spread
        return 0.5 * z.square() + (spread * forecast.scale).log() + 0.5 * math.log(2 * math.pi)

    def _mean(self, forecast: Forecast) -> Tensor:
        """(B, H, C)."""
        return _centre(forecast)

    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """mean + spread * standard normal."""
        mean, spread = _located(parameters)
        return shift + scale * (mean + spread * _standard_normal(mean, generator))

    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        return _spread_out(forecast, torch.special.ndtri(levels))

    def _below(self, forecast: Forecast, values: Tensor) -> Tensor:
        return torch.special.ndtr(_standardised(forecast, values))


class StudentT(Density):
    """Parameters: centre, raw spread, raw degrees of freedom, which are above 2 so that the variance is finite."""

    num_parameters = 3

    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """Negative log density."""
        centre, spread = _located(forecast.parameters)
        freedom = _freedom(forecast.parameters)
        z = ((targets - forecast.shift) / forecast.scale - centre) / spread
        half = (freedom + 1) / 2
        normaliser = torch.lgamma(half) - torch.lgamma(freedom / 2) - 0.5 * (freedom * math.pi).log()
        return half * torch.log1p(z.square() / freedom) - normaliser + (spread * forecast.scale).log()

    def _mean(self, forecast: Forecast) -> Tensor:
        """(B, H, C)."""
        return _centre(forecast)

    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """A standard normal over the root of a chi-squared share."""
        centre, spread = _located(parameters)
        freedom = _freedom(parameters)
        chi_squared = 2 * torch._standard_gamma(freedom / 2, generator)
        z = _standard_normal(centre, generator) * (freedom / chi_squared.clamp(min=1e-12)).sqrt()
        return shift + scale * (centre + spread * z)

    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        freedom = _freedom(forecast.parameters)
        table = _student_t_table(tuple(levels.tolist())).to(freedom)
        place = 2 / freedom * (_TABLE - 1)
        left = place.long().clamp(max=_TABLE - 2)
        share = (place - left)[..., None]
        return _spread_out(forecast, table[left] * (1 - share) + table[left + 1] * share)

    def _below(self, forecast: Forecast, values: Tensor) -> Tensor:
        z = _standardised(forecast, values)
        freedom = _freedom(forecast.parameters)[..., None].double()
        tail = incomplete_beta(freedom / 2, torch.full_like(freedom, 0.5), freedom / (freedom + z.square())) / 2
        return torch.where(z > 0, 1 - tail, tail)


class NegativeBinomial(Density):
    """Parameters: raw mean, raw overdispersion a; the variance is mean + a * mean^2.

    The window's units must be counts. The mean is scale * softplus(raw + shift / scale): DeepAR's form where the shift
    is 0, and positive for every shift.

    Reference: Salinas et al. (2020), section 3.1, https://arxiv.org/abs/1704.04110.
    """

    num_parameters = 2
    is_count: ClassVar[bool] = True

    def _loss(self, forecast: Forecast, targets: Tensor) -> Tensor:
        """Negative log probability; in float64, as it is a small difference of large numbers."""
        mean, dispersion = self._moments(forecast.parameters.double(), forecast.shift.double(), forecast.scale.double())
        successes = 1 / dispersion
        log_ways = torch.lgamma(targets + successes) - torch.lgamma(targets + 1) - torch.lgamma(successes)
        spread = torch.log1p(dispersion * mean)
        return ((targets + successes) * spread - targets * (dispersion * mean).log() - log_ways).to(targets.dtype)

    def _mean(self, forecast: Forecast) -> Tensor:
        """(B, H, C)."""
        if forecast.samples is not None:
            return forecast.samples.mean(1)
        return self._moments(forecast.parameters, forecast.shift, forecast.scale)[0]

    def sample(self, parameters: Tensor, shift: Tensor, scale: Tensor, generator: torch.Generator | None) -> Tensor:
        """A Poisson count whose rate is drawn from a gamma distribution."""
        mean, dispersion = self._moments(parameters, shift, scale)
        rate = torch._standard_gamma(1 / dispersion, generator) * dispersion * mean
        return torch.poisson(rate, generator)

    def _quantile(self, forecast: Forecast, levels: Tensor) -> Tensor:
        mean, dispersion = self._moments(forecast.parameters.double(), forecast.shift, forecast.scale)
        mean, dispersion = mean[..., None], dispersion[..., None]
        successes = 1 / dispersion
        stop = 1 / (1 + dispersion * mean)
        spread = (mean + dispersion * mean.square()).sqrt()
        # Cantelli: no quantile p lies further above the mean than spread * sqrt(p / (1 - p)).
        high = (mean + spread * (levels / (1 - levels)).double().sqrt()).ceil() + 1
        low = torch.full_like(high, -1.0)
        while bool((high - low > 1).any()):
            middle = ((low + high) / 2).floor().clamp(min=0)
            enough = incomplete_beta(successes, middle + 1, stop) >= levels
            wide = high - low > 1
            high, low = torch.where(enough & wide, middle, high), torch.where(~enough & wide, middle, low)
        return high.to(forecast.parameters)

    def _below(self, forecast: Forecast, values: Tensor) -> Tensor:
        mean, dispersion = self._moments(forecast.parameters.double(), forecast.shift, forecast.scale)
        mean, dispersion = mean[..., None], dispersion[..., None]
        found = incomplete_beta(1 / dispersion, values.clamp(min=0) + 1, 1 / (1 + dispersion * mean))
        return torch.where(values < 0, 0.0, found)

    def _moments(self, parameters: Tensor, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        mean = scale * F.softplus(parameters[..., 0] + shift / scale) + _SMALLEST
        return mean, F.softplus(parameters[..., 1]) / scale.sqrt() + _SMALLEST


def weighted(forecast: Mixture, of: Callable[[Forecast], Tensor]) -> Tensor:
    """The mean over the parts of what `of` says of each."""
    found = torch.stack([of(part) for part in forecast.parts], -1)
    return found @ forecast.shares.to(found)


def _quantiles_of_paths(samples: Tensor, levels: Tensor) -> Tensor:
    """(B, H, C, Q) from (B, N, H, C), straight lines between the sorted paths; torch.quantile has a limit of size."""
    ordered = samples.sort(1).values
    place = levels * (samples.shape[1] - 1)
    low = place.long()
    high = (low + 1).clamp(max=samples.shape[1] - 1)
    below = ordered[:, low]
    return (below + (place - low)[:, None, None] * (ordered[:, high] - below)).movedim(1, -1)


@lru_cache(maxsize=16)
def _student_t_table(levels: tuple[float, ...]) -> Tensor:
    """(N, Q) quantiles at 2 / freedom = 0, ..., 1 in even steps, between which straight lines are near enough."""
    inverse = torch.linspace(0, 1, _TABLE, dtype=torch.float64)[1:]
    wanted = torch.tensor(levels, dtype=torch.float64)
    normal = torch.special.ndtri(wanted)
    return torch.cat([normal[None], student_t_quantile((2 / inverse)[:, None], wanted)])


def student_t_quantile(freedom: Tensor, levels: Tensor) -> Tensor:
    """Standard quantiles of Student's t.

    It lies between the normal's and, as `freedom` is at least 2, the closed form for 2 degrees; bisection in between.

    Args:
        freedom: at least 2; broadcasts with `levels`.
        levels: between 0 and 1.
    """
    freedom, levels = torch.broadcast_tensors(freedom.double(), levels.double())
    tail = torch.minimum(levels, 1 - levels)
    low = torch.special.ndtri(tail).abs()
    high = (1 - 2 * tail) / (2 * tail * (1 - tail)).sqrt() + 1e-9
    for _ in range(40):
        middle = (low + high) / 2
        # P(T > t) is half the incomplete beta function at freedom / (freedom + t^2).
        beyond = incomplete_beta(freedom / 2, torch.full_like(freedom, 0.5), freedom / (freedom + middle.square())) / 2
        low, high = torch.where(beyond > tail, middle, low), torch.where(beyond > tail, high, middle)
    return torch.copysign(high, levels - 0.5)


def _located(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and positive spread, standardised."""
    return parameters[..., 0], F.softplus(parameters[..., 1]) + _SMALLEST


def _freedom(parameters: Tensor) -> Tensor:
    return 2 + F.softplus(parameters[..., 2])


def _centre(forecast: Forecast) -> Tensor:
    if forecast.samples is not None:
        return forecast.samples.mean(1)
    return forecast.shift + forecast.scale * forecast.parameters[..., 0]


def _spread_out(forecast: Forecast, standard: Tensor) -> Tensor:
    """(B, H, C, Q): the centre and standard quantiles around it."""
    centre, spread = _located(forecast.parameters)
    values = centre[..., None] + spread[..., None] * standard.to(forecast.parameters)
    return forecast.shift[..., None] + forecast.scale[..., None] * values


def _standardised(forecast: Forecast, values: Tensor) -> Tensor:
    """(B, H, C, Q) float64: how many spreads values lie above the centre."""
    centre, spread = _located(forecast.parameters.double())
    scaled = (values - forecast.shift[..., None]) / forecast.scale[..., None]
    return (scaled - centre[..., None]) / spread[..., None]


def _standard_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
