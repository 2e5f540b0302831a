"""What the validation part says of intervals: how wide those of points are, and how true those of distributions.

References: for distributions Kuleshov et al. (2018), "Accurate uncertainties for deep learning using calibrated
regression", https://arxiv.org/abs/1807.00263; for points split conformal prediction, for example Stankeviciute et al.
(2021), "Conformal time-series forecasting",
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
_DOUBT = 5
"""Windows apart that the validation part must hold to be believed by half."""


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


def fit_recalibration(predictions: Sequence[ForecastResult], references: Sequence[ForecastTruth]) -> np.ndarray | None:
    """(P,) for each of `RESIDUAL_LEVELS` the level to ask for instead, so that as many values lie below as should.

    A quantile p that F of the values lay below is asked for by F. Few windows say little: the step from p is made by
    n / (n + 5) only, where n counts windows that do not overlap. None where nothing came.
    """
    below = total = 0
    for found, truth in zip(predictions, references, strict=True):
        assert found.quantiles is not None, "distributions have quantiles"
        known = ~np.isnan(truth.values)
        below = below + (truth.values[..., None] <= found.quantiles)[known].sum(axis=0)
        total += int(known.sum())
    if not total:
        return None
    held = np.maximum.accumulate(np.concatenate([[0.0], below / total, [1.0]]) + 1e-9 * np.arange(np.size(below) + 2))
    wanted = np.interp(RESIDUAL_LEVELS, held, [0.0, *predictions[0].probabilities, 1.0])
    count = _windows_apart(references)
    share = count / (count + _DOUBT)
    mixed: np.ndarray = (share * wanted + (1 - share) * np.asarray(RESIDUAL_LEVELS)).clip(0.001, 0.999)
    return mixed


def recalibrated(recalibration: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """(Q,) levels to ask for in the place of `probabilities`."""
    found: np.ndarray = np.interp(probabilities, [0.0, *RESIDUAL_LEVELS, 1.0], [0.0005, *recalibration, 0.9995])
    return found


def _windows_apart(references: Sequence[ForecastTruth]) -> float:
    """How many windows there would be if none overlapped."""
    spans: dict[str, tuple[int, int]] = {}
    for truth in references:
        origin = len(truth.history)
        first, last = spans.get(truth.series, (origin, origin))
        spans[truth.series] = min(first, origin), max(last, origin)
    horizon = len(references[0].values)
    return sum((last - first) / horizon + 1 for first, last in spans.values())


def residual_quantiles(residuals: np.ndarray, horizon: int, probabilities: Sequence[float]) -> np.ndarray:
    """(horizon, C, Q), straight lines between the levels that were kept; beyond the last step its errors are taken."""
    steps = residuals[np.minimum(np.arange(horizon), len(residuals) - 1)]
    right = np.searchsorted(RESIDUAL_LEVELS, probabilities).clip(1, len(RESIDUAL_LEVELS) - 1)
    low, high = (np.asarray(RESIDUAL_LEVELS)[places] for places in (right - 1, right))
    share = ((probabilities - low) / (high - low)).clip(0, 1)
    found: np.ndarray = steps[..., right - 1] * (1 - share) + steps[..., right] * share
    return found
