"""The windowed score of the Numenta Anomaly Benchmark: early detections earn, false alarms and missed windows cost.

Reference: Lavin and Ahmad (2015), section II, https://arxiv.org/abs/1510.03336; weights and the position of a row in
its window as in version 1.1 of the benchmark. A detector that never alarms has 0, one that alarms on the first row of
each window and nowhere else has 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recurra.core.errors import DataError, ShapeError

PROBATION = 0.15
"""Part of a series, from its start, that is not scored."""

_LONGEST = 5000
"""Longer series are on probation no longer than one of so many rows."""


class NabProfile(NamedTuple):
    """What alarms are worth.

    Attributes:
        true_positive: earned by an alarm at the start of a window.
        false_positive: what an alarm far from any window costs.
        false_negative: what a window without an alarm costs.
    """

    true_positive: float
    false_positive: float
    false_negative: float


NAB_PROFILES: Mapping[str, NabProfile] = {
    "standard": NabProfile(1.0, 0.11, 1.0),
    "low-false-positives": NabProfile(1.0, 0.22, 1.0),
    "low-false-negatives": NabProfile(1.0, 0.11, 2.0),
}


class NabSeries(NamedTuple):
    """One scored series.

    Attributes:
        scores: (T,) anomaly scores, any scale.
        windows: first and last row of each true anomaly, both included, in order, apart from each other.
    """

    scores: np.ndarray
    windows: Sequence[tuple[int, int]]


class NabScore(NamedTuple):
    """A score and the threshold that gave it.

    Attributes:
        score: 100 is perfect, 0 is a detector that never alarms; may be below 0.
        threshold: a row alarms where its score is at least this; inf where no alarm at all is best.
        missed: how many windows had no alarm.
        false_alarms: how many rows outside windows alarmed.
        by_series: raw score of each series, from -false_negative to true_positive a window, minus false alarms.
    """

    score: float
    threshold: float
    missed: int
    false_alarms: int
    by_series: tuple[float, ...]


class _Rows(NamedTuple):
    """The rows of a corpus that count: (N,) each."""

    scores: np.ndarray
    values: np.ndarray
    series: np.ndarray
    window: np.ndarray


def nab_score(
    corpus: Sequence[NabSeries],
    threshold: float,
    profile: NabProfile = NAB_PROFILES["standard"],
    probation: float = PROBATION,
) -> NabScore:
    """The score of a corpus at one threshold for all series.

    Args:
        corpus: scores and windows of each series.
        threshold: from here on a row alarms.
        profile: weights.
        probation: part of each series that is not scored; 0 where the detector knew what came before.
    Raises:
        DataError: no window in the whole corpus counts.
        ShapeError: windows that are not in order, or outside their series.
    """
    rows = _rows(corpus, profile, probation)
    alarms = rows.scores >= threshold
    raw = np.zeros(len(corpus))
    outside = alarms & (rows.window < 0)
    np.add.at(raw, rows.series[outside], rows.values[outside])
    windows, first = np.unique(rows.window[rows.window >= 0], return_index=True)
    owner = rows.series[rows.window >= 0][first]
    best = np.full(len(windows), -profile.false_negative)
    inside = alarms & (rows.window >= 0)
    np.maximum.at(best, np.searchsorted(windows, rows.window[inside]), rows.values[inside])
    np.add.at(raw, owner, best)
    missed = len(windows) - len(np.unique(rows.window[inside]))
    score = _normalised(float(raw.sum()), len(windows), profile)
    return NabScore(score, float(threshold), missed, int(outside.sum()), tuple(raw.tolist()))


def best_nab_score(
    corpus: Sequence[NabSeries], profile: NabProfile = NAB_PROFILES["standard"], probation: float = PROBATION
) -> NabScore:
    """The score at the threshold that is best for the corpus as a whole: how the benchmark compares detectors.

    Every distinct score is tried; of equally good thresholds the highest is taken.
    """
    rows = _rows(corpus, profile, probation)
    gains = np.where(rows.window < 0, rows.values, 0.0)
    order = np.argsort(-rows.scores, kind="stable")
    inside = order[rows.window[order] >= 0]
    by_window = inside[np.argsort(rows.window[inside], kind="stable")]
    borders = np.flatnonzero(np.diff(rows.window[by_window])) + 1
    for part in np.split(by_window, borders):
        reached = np.maximum.accumulate(np.append(-profile.false_negative, rows.values[part]))
        gains[part] = np.diff(reached)
    totals = np.cumsum(gains[order])
    scores = rows.scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    best = last[np.argmax(totals[last])]
    threshold = scores[best] if totals[best] > 0 else np.inf
    return nab_score(corpus, float(threshold), profile, probation)


def alarm_values(num_rows: int, windows: Sequence[tuple[int, int]], profile: NabProfile) -> np.ndarray:
    """What an alarm on each row is worth.

    Args:
        num_rows: T.
        windows: first and last row of each window.
        profile: weights.
    Returns:
        (T,): in a window from `true_positive` down to nearly 0, where the earliest alarm counts; elsewhere from nearly
        0 right behind a window down to -`false_positive`.
    """
    values = np.full(num_rows, -profile.false_positive)
    rows = np.arange(num_rows)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        place = -(last - rows[first : last + 1] + 1) / width
        values[first : last + 1] = profile.true_positive * _sigmoid(place) / _sigmoid(np.array(-1.0))
        end = windows[number + 1][0] if number + 1 < len(windows) else num_rows
        behind = (rows[last + 1 : end] - last) / max(width - 1, 1)
        values[last + 1 : end] = profile.false_positive * np.where(behind >= 3, -1.0, _sigmoid(behind))
    return values


def probation_rows(num_rows: int, probation: float = PROBATION) -> int:
    """How many rows at the start of a series are not scored."""
    return min(int(probation * num_rows), int(probation * _LONGEST))


def _rows(corpus: Sequence[NabSeries], profile: NabProfile, probation: float) -> _Rows:
    parts = []
    numbered = 0
    for index, (scores, windows) in enumerate(corpus):
        length = len(scores)
        flat = [row for window in windows for row in window]
        if sorted(flat) != flat or len({*windows}) != len(windows) or (flat and not 0 <= flat[0] <= flat[-1] < length):
            raise ShapeError(
                f"series {index} of {length} rows: windows {list(windows)} must lie in the series, in order, and apart "
                "from each other."
            )
        window = np.full(length, -1)
        for first, last in windows:
            window[first : last + 1] = numbered
            numbered += 1
        start = probation_rows(length, probation)
        values = alarm_values(length, windows, profile)
        given = np.asarray(scores, dtype=np.float64)
        parts.append((given[start:], values[start:], np.full(length - start, index), window[start:]))
    joined = _Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if not np.isfinite(joined.scores).all():
        raise DataError("NAB: an anomaly score is not a finite number.")
    if (joined.window < 0).all():
        raise DataError("NAB: no anomaly window behind the probation period of any series: there is nothing to find.")
    return joined


def _normalised(raw: float, num_windows: int, profile: NabProfile) -> float:
    null = -profile.false_negative * num_windows
    return 100 * (raw - null) / (profile.true_positive * num_windows - null)


def _sigmoid(place: np.ndarray) -> np.ndarray:
    """From 1 far before a window's end over 0 at it to -1 behind."""
    return 2 / (1 + np.exp(5 * place)) - 1
