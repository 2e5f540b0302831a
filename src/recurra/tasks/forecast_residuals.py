"""Intervals of models that forecast points: quantiles of the errors that they made on the validation part.

Reference: split conformal prediction, for example Stankeviciute et al. (2021), "Conformal time-series forecasting",
https://papers.nips.cc/paper/2021/hash/312f1ba2a72318edaaa995a67835fad5-Abstract.html; errors are pooled over series and
origins, step by step of the horizon.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recurra.tasks.forecast_results import ForecastResult, ForecastTruth

RESIDUAL_LEVELS = (0.005, 0.01, 0.025, *(place / 20 for place in range(1, 20)), 0.975, 0.99, 0.995)
_FEW = 20
"""Errors of a step; with fewer, the errors of all steps are taken together."""


def fit_residuals(predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth]) -> np.ndarray | None:
    """(H, C, P) quantiles of errors in training spreads, at `RESIDUAL_LEVELS`; None where nothing came."""
    errors = np.stack(
        [(truth.values - found.mean) / truth.spread for found, truth in zip(predictions, references, strict=True)]
    )
    known = ~np.isnan(errors)
    if not known.any(axis=(0, 1)).all():
        return None
    if known.sum(axis=0).min() < _FEW:
        pooled = np.nanquantile(errors, RESIDUAL_LEVELS, axis=(0, 1)).T
        return np.broadcast_to(pooled, (errors.shape[1], *pooled.shape)).copy()
    return np.moveaxis(np.nanquantile(errors, RESIDUAL_LEVELS, axis=0), 0, -1)


def residual_quantiles(residuals: np.ndarray, horizon: int, probabilities: Sequence[float]) -> np.ndarray:
    """(horizon, C, Q), straight lines between the levels that were kept; beyond the last step its errors are taken."""
    steps = residuals[np.minimum(np.arange(horizon), len(residuals) - 1)]
    right = np.searchsorted(RESIDUAL_LEVELS, probabilities).clip(1, len(RESIDUAL_LEVELS) - 1)
    low, high = (np.asarray(RESIDUAL_LEVELS)[places] for places in (right - 1, right))
    share = ((probabilities - low) / (high - low)).clip(0, 1)
    found: np.ndarray = steps[..., right - 1] * (1 - share) + steps[..., right] * share
    return found
