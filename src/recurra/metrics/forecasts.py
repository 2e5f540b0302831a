"""Collector of forecasts: batches in; figures over all values, and those of each series, out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.metrics.forecasting import (
    covered,
    crps_of_quantiles,
    crps_of_samples,
    overall_weighted_average,
    percentage_errors,
    pinball_losses,
    symmetric_percentage_errors,
)

_FEW_SERIES = 20
"""More are told one by one in the report alone."""


class Forecasted(NamedTuple):
    """The steps ahead of one origin, as they are forecast.

    Attributes:
        mean: (H, C) point forecast.
        quantiles: (H, C, Q) rising along Q, or None where a model knows points alone.
        samples: (N, H, C) sample paths, or None.
    """

    mean: np.ndarray
    quantiles: np.ndarray | None = None
    samples: np.ndarray | None = None


class Outcome(NamedTuple):
    """What came.

    Attributes:
        series: name of the series.
        values: (H, C), NaN where missing.
        spread: (C,) standard deviation in training: the unit of `mse_scaled` and `mae_scaled`.
        seasonal: (C,) mean difference of values a season apart before the origin: the unit of `mase`.
        naive: (H, C) Naive2 from the same origin, for `owa`; None where it was not asked for.
    """

    series: str
    values: np.ndarray
    spread: np.ndarray
    seasonal: np.ndarray
    naive: np.ndarray | None = None


class ForecastMetrics:
    """Collects forecasts from any number of origins.

    Args:
        probabilities: (Q,) levels of the quantiles, rising between 0 and 1.
        levels: intervals in per cent whose coverage is measured; the ends of each must be among the probabilities.
    """

    def __init__(self, probabilities: Sequence[float] = (), levels: Sequence[float] = ()) -> None:
        self.probabilities, self.levels = tuple(probabilities), tuple(levels)
        self._rows: dict[str, list[np.ndarray]] = defaultdict(list)
        self._names: list[str] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `Forecasted`, all of one horizon and of one kind.
            references: `Outcome`s.
        """
        pairs = list(zip(predictions, references, strict=True))
        if not pairs:
            return
        self._names += [outcome.series for _, outcome in pairs]
        first, outcome = pairs[0]
        terms = self._point_terms(
            np.stack([p.mean for p, _ in pairs]).astype(np.float64),
            np.stack([o.values for _, o in pairs]).astype(np.float64),
            *(np.stack([getattr(o, name) for _, o in pairs])[:, None] for name in ("spread", "seasonal")),
        )
        truth = np.stack([o.values for _, o in pairs]).astype(np.float64)
        if outcome.naive is not None:
            naive = np.stack([o.naive for _, o in pairs]).astype(np.float64)
            seasonal = np.stack([o.seasonal for _, o in pairs])[:, None]
            terms["naive/smape"] = symmetric_percentage_errors(naive, truth)
            terms["naive/mase"] = np.abs(naive - truth) / seasonal
        if first.quantiles is not None:
            terms |= self._interval_terms(np.stack([p.quantiles for p, _ in pairs]).astype(np.float64), truth)
        if first.samples is not None:
            paths = np.stack([p.samples for p, _ in pairs], axis=1).astype(np.float64)
            terms["crps"] = crps_of_samples(paths, truth)
        if "crps" in terms:
            terms["crps_scaled"] = terms["crps"] / np.stack([o.spread for _, o in pairs])[:, None]
        for name, values in terms.items():
            self._add(name, values)

    def compute(self) -> dict[str, float]:
        """Figures over all values.

        `mae`, `rmse`, `mse`, `mape`, `smape`, `mase`, `mae_scaled` and `mse_scaled` (in standard deviations of the
        training part); with quantiles `quantile_loss` (mean pinball loss), `crps`, `crps_scaled`, `wql` (CRPS relative
        to the size of what came, which makes series of different units one) and `coverage_80`, ...; `owa` where Naive2
        came along. Of a few series also `mae` and `mase` of each ("mae/north").
        """
        totals = {name: np.concatenate(rows).sum(axis=0) for name, rows in self._rows.items()}
        figures = _figures({name: (float(total[0]), float(total[1])) for name, total in totals.items()})
        if 1 < len(set(self._names)) <= _FEW_SERIES:
            each = self.per_series()
            figures |= {f"{tag}/{name}": found[tag] for tag in ("mae", "mase") for name, found in each.items()}
        return figures

    def per_series(self) -> dict[str, dict[str, float]]:
        """The same figures of each series, in the order in which they came."""
        names = list(dict.fromkeys(self._names))
        place = {name: number for number, name in enumerate(names)}
        index = np.array([place[name] for name in self._names])
        sums = {
            tag: [np.bincount(index, np.concatenate(rows)[:, part], len(names)) for part in (0, 1)]
            for tag, rows in self._rows.items()
        }
        return {
            name: _figures({tag: (float(total[i]), float(count[i])) for tag, (total, count) in sums.items()})
            for i, name in enumerate(names)
        }

    def _point_terms(
        self, mean: np.ndarray, truth: np.ndarray, spread: np.ndarray, seasonal: np.ndarray
    ) -> dict[str, np.ndarray]:
        error = np.abs(mean - truth)
        return {
            "mae": error,
            "mse": np.square(error),
            "mape": percentage_errors(mean, truth),
            "smape": symmetric_percentage_errors(mean, truth),
            "mase": error / seasonal,
            "mae_scaled": error / spread,
            "mse_scaled": np.square(error / spread),
        }

    def _interval_terms(self, quantiles: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
        terms = {
            "quantile_loss": pinball_losses(quantiles, truth, self.probabilities).mean(axis=-1),
            "crps": crps_of_quantiles(quantiles, truth, self.probabilities),
            "size": np.abs(truth),
        }
        for level in self.levels:
            low, high = (quantiles[..., nearest(self.probabilities, end)] for end in ends(level))
            terms[f"coverage_{level:g}"] = 100 * covered(low, high, truth)
        return terms

    def _add(self, name: str, values: np.ndarray) -> None:
        """Keep each row's sum and count."""
        flat = values.reshape(len(values), -1)
        known = np.isfinite(flat)
        self._rows[name].append(np.stack([np.where(known, flat, 0.0).sum(axis=1), known.sum(axis=1)], axis=1))


def ends(level: float) -> tuple[float, float]:
    """Lower and upper probability of the middle interval that holds `level` per cent: 80 -> 0.1, 0.9."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def nearest(probabilities: Sequence[float], wanted: float) -> int:
    """Where `wanted` stands among the probabilities, give or take rounding."""
    place = int(np.abs(np.asarray(probabilities) - wanted).argmin())
    assert abs(probabilities[place] - wanted) < 1e-6, f"no quantile {wanted} among {probabilities}"
    return place


def _figures(terms: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Means from sums and counts, and the figures that are made of several."""
    means = {name: total / count if count else float("nan") for name, (total, count) in terms.items()}
    found = {name: value for name, value in means.items() if not name.startswith("naive/") and name != "size"}
    if "mse" in found:
        found["rmse"] = float(np.sqrt(found["mse"]))
    if "size" in means:
        found["wql"] = means["crps"] / means["size"] if means["size"] > 0 else float("nan")
    if "naive/mase" in means and means["naive/smape"] > 0 and means["naive/mase"] > 0:
        found["owa"] = overall_weighted_average(
            found["smape"], found["mase"], means["naive/smape"], means["naive/mase"]
        )
    return found
