"""From what a model forecasts to numbers in the units of the file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast, Foreseen, Mixture, each
from recurra.losses import Likelihood
from recurra.losses.masking import at_least_float32
from recurra.metrics.forecasts import ends
from recurra.tasks.forecast_fit import ForecastFit, Scale

_DECILES = tuple(place / 10 for place in range(1, 10))


class ForecastTable(NamedTuple):
    """Forecasts of a batch in the units of the file.

    Attributes:
        mean: (B, H, C).
        quantiles: (B, H, C, Q), or None where the model knows points alone.
        samples: (B, N, H, C) paths, or None.
        probabilities: (Q,) of the quantiles.
    """

    mean: np.ndarray
    quantiles: np.ndarray | None
    samples: np.ndarray | None
    probabilities: tuple[float, ...]


@cache
def wanted_probabilities(levels: tuple[float, ...], detailed: bool) -> tuple[float, ...]:
    """The ends of intervals (in per cent) and the median, and with `detailed` the deciles."""
    wanted = {0.5, *(end for level in levels for end in ends(level)), *(_DECILES if detailed else ())}
    return tuple(sorted({round(level, 9) for level in wanted}))


def as_float(forecast: Foreseen) -> Foreseen:
    """Half precision is too coarse for a loss."""

    def change(one: Forecast) -> Forecast:
        parameters, shift, scale = (at_least_float32(part) for part in one[:3])
        return Forecast(parameters, shift, scale, one.samples)

    return each(forecast, change)


def first_steps(forecast: Foreseen, horizon: int) -> Foreseen:
    """The first steps of a forecast that looks further than is asked for.

    Raises:
        ConfigError: it does not look as far.
    """
    return each(forecast, lambda part: _first_steps(part, horizon))


def _first_steps(forecast: Forecast, horizon: int) -> Forecast:
    given = forecast.samples.shape[2] if forecast.samples is not None else forecast.parameters.shape[1]
    if given < horizon:
        raise ConfigError(
            f"{horizon} steps ahead are asked for, and this model gives all its {given} at once. Train it with "
            f"task.horizon={horizon}, or take one that goes on step by step (model=forecast-decoder or "
            "autoregressive-forecaster)."
        )
    if forecast.samples is not None or given == horizon:
        return forecast
    shift, scale = (part[:, :horizon] for part in (forecast.shift, forecast.scale))
    return Forecast(forecast.parameters[:, :horizon], shift, scale)


def in_units(
    likelihood: Likelihood,
    fit: ForecastFit,
    forecast: Foreseen,
    scales: Sequence[Scale],
    probabilities: tuple[float, ...],
) -> ForecastTable:
    """A forecast in the units of the file.

    Args:
        likelihood: says what the parameters mean.
        fit: knows the errors of validation.
        forecast: of (B, H, C, K), or several such ones.
        scales: (B,) of the rows.
        probabilities: (Q,) of the quantiles that are wanted.
    """
    shift, scale, spread = (np.stack(parts)[:, None] for parts in zip(*scales, strict=True))
    mean = _numpy(likelihood.mean(forecast)) * scale + shift
    quantiles = samples = None
    paths = None if isinstance(forecast, Mixture) else forecast.samples
    if likelihood.is_distribution:
        levels = torch.tensor(fit.asked(probabilities), device=_device(forecast))
        quantiles = _numpy(likelihood.quantile(forecast, levels)) * scale[..., None] + shift[..., None]
    elif (errors := fit.errors(mean.shape[1], probabilities)) is not None:
        quantiles = mean[..., None] + spread[..., None] * errors
    if paths is not None and likelihood.is_distribution:
        samples = _numpy(paths) * scale[:, None] + shift[:, None]
    return ForecastTable(mean, quantiles, samples, probabilities)


def _device(forecast: Foreseen) -> torch.device:
    return _device(forecast.parts[0]) if isinstance(forecast, Mixture) else forecast.shift.device


def _numpy(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.detach().cpu().double().numpy()
    return found
