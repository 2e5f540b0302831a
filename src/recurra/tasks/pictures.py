"""What there is to draw of a prediction: pure data, which the floors above put on paper or on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np


class Alignment(NamedTuple):
    """What was looked at for what.

    Attributes:
        rows: (R,) what was said.
        columns: (C,) what was looked at.
        weights: (R, C), 0..1.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: np.ndarray


class ForecastPicture(NamedTuple):
    """One series before and after an origin.

    Attributes:
        name: of the series.
        history_stamps: (T,) datetime64 or step numbers.
        history: (T,) what was, NaN where missing.
        stamps: (H,) of the steps ahead.
        mean: (H,) what is forecast.
        bands: level in per cent -> (low, high), (H,) each.
        truth: (H,) what came, NaN where missing; None where nobody knows yet.
    """

    name: str
    history_stamps: np.ndarray
    history: np.ndarray
    stamps: np.ndarray
    mean: np.ndarray
    bands: Mapping[float, tuple[np.ndarray, np.ndarray]]
    truth: np.ndarray | None = None


class ScorePicture(NamedTuple):
    """One series with how odd each step is.

    Attributes:
        name: of the series.
        stamps: (T,) datetime64 or step numbers.
        values: (T, C), NaN where missing.
        scores: (T,) 0..1, NaN where there is none.
        threshold: scores from here on are flagged.
        flagged: (T,) bool.
        windows: first and last step of each known anomaly; empty where nobody marked any.
    """

    name: str
    stamps: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    threshold: float
    flagged: np.ndarray
    windows: tuple[tuple[int, int], ...] = ()


Picture: TypeAlias = Alignment | ForecastPicture | ScorePicture
