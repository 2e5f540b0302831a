"""Errors of forecasts, value by value; NaN stands where nothing can be said, and is left out of means.

Axes: (...) any, often H steps ahead and C channels; Q levels; N sample paths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentage_errors(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(...) |error| in per cent of the truth's size; NaN where the truth is 0: the terms of MAPE."""
    size = np.abs(truth)
    return 100 * np.divide(np.abs(forecast - truth), size, out=np.full(np.shape(truth), np.nan), where=size > 0)


def symmetric_percentage_errors(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(...) |error| in per cent of the mean size of forecast and truth, 0..200; 0 where both are 0: the terms of sMAPE.

    Reference: Makridakis et al. (2020), "The M4 Competition", https://doi.org/10.1016/j.ijforecast.2019.04.014, 3.1.
    """
    error, size = np.abs(forecast - truth), np.abs(forecast) + np.abs(truth)
    return 200 * np.divide(error, size, out=np.where(np.isnan(error), np.nan, 0.0), where=size > 0)


def seasonal_scale(history: np.ndarray, period: int) -> np.ndarray:
    """(C,) mean |difference| of values a period apart, the unit of MASE; NaN where there are none or it is 0.

    Args:
        history: (T, C) up to the origin, NaN where missing.
        period: steps of a season; 1 for none.

    Reference: Hyndman and Koehler (2006), https://doi.org/10.1016/j.ijforecast.2006.03.001.
    """
    return seasonal_scales(history, period)[-1]


def seasonal_scales(history: np.ndarray, period: int) -> np.ndarray:
    """(T + 1, C) `seasonal_scale` of the first 0, 1, ..., T values."""
    steps = np.abs(history[period:] - history[:-period])
    known = ~np.isnan(steps)
    sums = np.cumsum(np.where(known, steps, 0.0), axis=0)
    counts = np.cumsum(known, axis=0)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=sums > 0)
    return np.concatenate([np.full((min(period, len(history)) + 1, history.shape[1]), np.nan), means])


def overall_weighted_average(smape: float, mase: float, naive_smape: float, naive_mase: float) -> float:
    """OWA of M4: the mean of sMAPE and MASE, each relative to that of Naive2; below 1 is better than Naive2."""
    return (smape / naive_smape + mase / naive_mase) / 2


def pinball_losses(quantiles: np.ndarray, truth: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(..., Q) of quantiles (..., Q) at `levels`: the loss whose least is at the true quantile.

    Reference: Koenker and Bassett (1978), Econometrica 46(1).
    """
    share = np.asarray(levels)
    above = truth[..., None] - quantiles
    return np.maximum(share * above, (share - 1) * above)


def crps_of_quantiles(quantiles: np.ndarray, truth: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(...) continuous ranked probability score, approximated: twice the integral of the pinball loss over the levels.

    Each of the rising `levels` stands for the stretch that is nearest to it. With one level, the median, it is the
    absolute error.

    Reference: Gneiting and Ranjan (2011), https://doi.org/10.1198/jbes.2010.08110.
    """
    rising = np.asarray(levels, dtype=np.float64)
    borders = np.concatenate([[0.0], (rising[1:] + rising[:-1]) / 2, [1.0]])
    return 2 * (pinball_losses(quantiles, truth, levels) @ np.diff(borders))


def crps_of_samples(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(...) continuous ranked probability score of the samples (N, ...) as they are: E|X - y| - E|X - X'| / 2.

    Reference: Gneiting and Raftery (2007), https://doi.org/10.1198/016214506000001437, equation 21.
    """
    count = len(samples)
    ordered = np.sort(samples, axis=0)
    weights = (2 * np.arange(1, count + 1) - count - 1) / count**2
    return np.abs(samples - truth).mean(axis=0) - np.tensordot(weights, ordered, axes=(0, 0))


def covered(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(...) 1 where the truth lies in the interval, 0 where not, NaN where it is missing."""
    return np.where(np.isnan(truth), np.nan, (truth >= low) & (truth <= high))
