"""Anomaly detection on the Numenta Anomaly Benchmark, beside its null detector and windowed Gaussians in the same run.

    RECURRA_DATA=... python benchmarks/anomaly.py alarms|likelihood|autoencoder [--seed 0] [--threads 1]

35 series of the benchmark, standard profile: 100 is perfect, 0 is a detector that never alarms. One configuration for
all series. The network of a series is trained on its probation part alone (the first 15 %, at most 750 rows), which is
not scored; after that every score is made of what came before it. As the benchmark defines it, the one threshold of a
detector is the best for all series together. `windowed gaussian` is the benchmark's own detector of that name (6,400
rows, moved on by 100), `windowed gaussian 1000` looks 1,000 rows back, `values alone` is what the recipe's scores are
without its network. Core-seconds are process CPU time from the first
import to the last figure. The last line is JSON.
"""

from __future__ import annotations

from measured import data, run_one  # isort: skip

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.baselines.anomaly import windowed_gaussian
from recurra.detection import Scorer, ScoringConfig
from recurra.estimators import AnomalyDetector
from recurra.metrics import NAB_PROFILES, NabSeries, best_nab_score
from recurra.metrics.nab import probation_rows

FEW = {"data.valid_fraction": 0.0, "training.patience": 0, "training.epochs": 10_000, "data.series.missing": "keep"}
QUIET = {"task.scoring.rest": 288}
"""Rows after an alarm in which only something odder is another one: a day of five minutes each."""


class Series(NamedTuple):
    """One series of the benchmark.

    Attributes:
        stamps: (T,) datetime64.
        values: (T,).
        windows: first and last row of each labelled window.
    """

    stamps: np.ndarray
    values: np.ndarray
    windows: list[tuple[int, int]]


def corpus() -> dict[str, Series]:
    """All series by path."""
    root = Path(data("anomaly_detection", "nab"))
    labelled = json.loads((root / "labels" / "combined_windows.json").read_text())
    found = {}
    for path in sorted((root / "data").glob("*/*.csv")):
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        stamps = np.array([stamp for stamp, _ in rows], dtype="datetime64[s]")
        name = path.relative_to(root / "data").as_posix()
        inside = [
            np.flatnonzero((stamps >= np.datetime64(first[:19])) & (stamps <= np.datetime64(last[:19])))
            for first, last in labelled[name]
        ]
        windows = [(int(part[0]), int(part[-1])) for part in inside]
        found[name] = Series(stamps, np.array([float(value) for _, value in rows]), windows)
    return found


def scored(recipe: str, one: Series, seed: int, options: dict[str, Any]) -> np.ndarray:
    """(T,) scores of a detector that was trained on the probation part."""
    start = probation_rows(len(one.values))
    detector = AnomalyDetector(recipe, seed=seed, options={**FEW, **options})
    detector.fit({"timestamp": one.stamps[:start], "value": one.values[:start]})
    scores = detector.score({"timestamp": one.stamps, "value": one.values})
    assert isinstance(scores, np.ndarray), "one series has one array of scores"
    return scores


def values_alone(one: Series) -> np.ndarray:
    """(T,) scores of the recipe's statistic of the values, without a network: what its forecasts add is the rest."""
    config = ScoringConfig(statistic="record", short_windows=[], value_windows=[1, 30], rest=QUIET["task.scoring.rest"])
    values = one.values[:, None]
    start = probation_rows(len(values))
    mean, spread = values[:start].mean(), values[:start].std() or 1.0
    return Scorer(config, 1)(np.full_like(values, np.nan), np.arcsinh((values - mean) / spread))


def compared(recipe: str, updates: int) -> Callable[[Path, int], dict[str, Any]]:
    """The benchmark of a recipe."""

    def run(folder: Path, seed: int) -> dict[str, Any]:
        series = corpus()
        options = {**QUIET, "training.max_updates": updates}
        detectors = {
            recipe: lambda one: scored(recipe, one, seed, options),
            "values alone": values_alone,
            "null": lambda one: np.zeros(len(one.values)),
            "windowed gaussian": lambda one: windowed_gaussian(one.values),
            "windowed gaussian 1000": lambda one: windowed_gaussian(one.values, 1000, 1),
        }
        found: dict[str, Any] = {}
        for name, detector in detectors.items():
            scores = [NabSeries(detector(one), one.windows) for one in series.values()]
            best = {profile: best_nab_score(scores, weights) for profile, weights in NAB_PROFILES.items()}
            own = best["standard"]
            found[name] = {profile: round(one.score, 2) for profile, one in best.items()}
            found[name] |= {"missed": own.missed, "false_alarms": own.false_alarms}
            print(f"{name:<24}" + "  ".join(f"{tag} {value}" for tag, value in found[name].items()), flush=True)
            if name == recipe:
                for path, raw, one in zip(series, own.by_series, series.values(), strict=True):
                    print(f"    {path:<64} {len(one.windows)} windows  {raw:6.2f}")
        return {"series": len(series), "windows": sum(len(one.windows) for one in series.values()), **found}

    return run


BENCHMARKS = {
    "alarms": compared("anomaly-alarms", 300),
    "likelihood": compared("anomaly-detection", 300),
    "autoencoder": compared("anomaly-autoencoder", 300),
}


if __name__ == "__main__":
    run_one(__doc__, BENCHMARKS)
