"""What anomaly detection learns of the training part before and after its model: names, scales, history, threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.core.errors import DataError
from recurra.data import Frequency, Series, SeriesSet, calendar_features
from recurra.data.series_types import carried_forward
from recurra.detection import Threshold
from recurra.detection.thresholds import load_threshold
from recurra.tasks.anomaly_options import AnomalyDetectionConfig


@dataclass(frozen=True, kw_only=True)
class AnomalyFit:
    """All that was fitted.

    Attributes:
        targets: names of the C columns that are watched.
        past: names of covariates that end with the values.
        known: names of covariates known ahead.
        label: column of 0 and 1 in the training file, or None.
        reading: options by which its files were read.
        frequency: time between steps, or None.
        calendar: features of the calendar that the model is told.
        scales: by name of a series, mean and spread (C,) each; "" are those of all together.
        covariates: mean and spread (P + F,) each.
        threshold: which scores are flagged; None before the model is trained.
        histories: by name of a series, what its scorer has seen in training and validation.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    label: str | None
    reading: dict[str, Any]
    frequency: Frequency | None
    calendar: tuple[str, ...]
    scales: Mapping[str, tuple[np.ndarray, np.ndarray]]
    covariates: tuple[np.ndarray, np.ndarray]
    threshold: Threshold | None = None
    histories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def scaled(self, name: str, values: np.ndarray, squash: bool) -> np.ndarray:
        """(T, C) in the spreads of the series' training part, or of all series where it is a new one."""
        mean, spread = self.scales.get(name, self.scales[""])
        standard = (values - mean) / spread
        return np.arcsinh(standard) if squash else standard

    def history(self, name: str) -> Mapping[str, Any] | None:
        """What was seen of a series before; that of the only one, whatever its name; None where nothing was."""
        if len(self.histories) == 1:
            return next(iter(self.histories.values()))
        return self.histories.get(name)

    def inputs(self, series: Series, scaled: np.ndarray) -> np.ndarray:
        """(T, I) float32: values without holes, their changes, the calendar, covariates."""
        filled = np.nan_to_num(carried_forward(scaled))
        changes = np.diff(filled, axis=0, prepend=filled[:1])
        dated = calendar_features(series.stamps, self.calendar) if self.calendar else np.empty((len(filled), 0))
        mean, spread = self.covariates
        others = np.concatenate([series.past, series.known[: len(filled)]], axis=1)
        others = np.nan_to_num(carried_forward((others - mean) / spread))
        return np.concatenate([filled, changes, dated, others], axis=1).astype(np.float32)

    @property
    def input_size(self) -> int:
        """I."""
        dated = calendar_features(np.zeros(1, "datetime64[s]"), self.calendar).shape[1] if self.calendar else 0
        return 2 * len(self.targets) + dated + len(self.past) + len(self.known)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        names = ("targets", "past", "known", "label", "reading", "calendar")
        return {
            **{name: getattr(self, name) for name in names},
            "frequency": None if self.frequency is None else str(self.frequency),
            "scales": {name: [part.tolist() for part in scale] for name, scale in self.scales.items()},
            "covariates": [part.tolist() for part in self.covariates],
            "threshold": None if self.threshold is None else self.threshold.state(),
            "histories": dict(self.histories),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> AnomalyFit:
        """What `to_json` gave."""
        given = dict(stored)
        given |= {name: tuple(given[name]) for name in ("targets", "past", "known", "calendar")}
        given["frequency"] = None if given["frequency"] is None else Frequency.parse(given["frequency"])
        given["scales"] = {name: _pair(parts) for name, parts in given["scales"].items()}
        given["covariates"] = _pair(given["covariates"])
        given["threshold"] = None if given["threshold"] is None else load_threshold(given["threshold"])
        return cls(**given)


def fit_scales(series: Sequence[tuple[Series, np.ndarray | None]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means and spreads of the columns of each series and of all together, known anomalies left out."""
    parts = {one.name: one.values if odd is None else one.values[~odd] for one, odd in series}
    scales = {name: _moments(values) for name, values in parts.items() if len(parts) > 1}
    return {**scales, "": _moments(np.concatenate(list(parts.values())))}


def fit_covariates(series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Means and spreads of the covariates of all series together."""
    return _moments(np.concatenate([np.concatenate([one.past, one.known[: len(one)]], axis=1) for one in series]))


def require_alike(fit: AnomalyFit, series: SeriesSet) -> None:
    """Check that series have the columns and the frequency that the model was trained on.

    Raises:
        DataError: they do not.
    """
    for kind, given, wanted in (
        ("columns", series.targets, fit.targets),
        ("past covariates", series.past, fit.past),
        ("covariates known ahead", series.known, fit.known),
    ):
        if len(given) != len(wanted):
            raise DataError(
                f"{series.source}: the model was trained on the {kind} {', '.join(wanted) or 'none'}, and here are "
                f"{', '.join(given) or 'none'}. Name the same ones, or train anew."
            )
    if fit.calendar and not series.stamped:
        raise DataError(
            f"{series.source}: the model was trained on series with stamps ({', '.join(fit.calendar)}), and here are "
            "none. Name their column with data.series.stamp, or train with task.calendar=[]."
        )
    if None not in (fit.frequency, series.frequency) and fit.frequency != series.frequency:
        raise DataError(
            f"{series.source}: has steps of {series.frequency}, and the model was trained on {fit.frequency}. Bring "
            "them to it with data.series.frequency, or train anew."
        )


def sizes_of(config: AnomalyDetectionConfig, fit: AnomalyFit) -> tuple[int, int]:
    """C and how many forecasts there are of each value."""
    return len(fit.targets), len(config.offsets)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of columns, NaN left out; what does not vary has its own size as spread."""
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt(np.square(np.where(known, values - mean, 0.0)).sum(axis=0) / counts)
    constant = spread <= 1e-9 * np.maximum(np.abs(mean), 1e-300)
    return mean, np.where(constant, np.maximum(np.abs(mean), 1.0), spread)


def _pair(parts: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = (np.array(part, dtype=np.float64) for part in parts)
    return mean, spread
