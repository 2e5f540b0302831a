"""Cheap anomaly scores against plain loops."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from recurra.baselines.anomaly import gaussian_nats, last_value_nats, windowed_gaussian
from recurra.metrics import NabSeries, nab_score

VALUES = np.random.default_rng(0).normal(50, 3, 400)


@pytest.mark.parametrize(("window", "step"), [(1000, 1), (60, 1), (60, 7)])
def test_the_windowed_gaussian_against_a_loop(window: int, step: int) -> None:
    found = windowed_gaussian(VALUES, window, step)
    start, kept = 0, 0
    for row, value in enumerate(VALUES):
        if row:
            part = VALUES[start : start + kept]
            chance = 0.5 * math.erfc(abs(value - part.mean()) / (part.std() or 1e-6) / math.sqrt(2))
            assert found[row] == pytest.approx(1 - chance, abs=1e-9)
        # grows to its length, then moves on by `step` rows at a time
        if kept < window:
            kept += 1
        elif row + 1 - (start + kept) == step:
            start += step
    assert found[0] == 0


def test_constant_values_are_not_odd_and_a_change_is() -> None:
    flat = np.full(300, 7.3)
    flat[200] = 7.4
    found = windowed_gaussian(flat, 100, 1)
    assert found[200] == found.max() == 1 and (found[1:200] == 0.5).all()


PUBLISHED = {
    "realAWSCloudwatch/elb_request_count_8c0756": -0.13844919792440225,
    "realAWSCloudwatch/rds_cpu_utilization_cc0c53": -0.13844919792440225,
    "realAWSCloudwatch/ec2_cpu_utilization_24ae8d": -1.266678759349383,
    "realAWSCloudwatch/ec2_cpu_utilization_c6585a": -1.32,
    "realKnownCause/rogue_agent_key_hold": -2.44,
    "realKnownCause/cpu_utilization_asg_misconfiguration": -1.11,
}
"""Raw scores, standard profile, threshold 1, of the detector with a window of 1,000 rows: numenta/NAB, results/
windowedGaussian/windowedGaussian_standard_scores.csv at 487c0f97."""


@pytest.mark.skipif("RECURRA_DATA" not in os.environ, reason="RECURRA_DATA is not set")
def test_published_scores_of_the_windowed_gaussian() -> None:
    root = Path(os.environ["RECURRA_DATA"], "anomaly_detection", "nab")
    labels = json.loads((root / "labels" / "combined_windows.json").read_text())
    corpus = []
    for name in PUBLISHED:
        rows = [line.split(",") for line in (root / "data" / f"{name}.csv").read_text().splitlines()[1:]]
        stamps = [stamp for stamp, _ in rows]
        windows = [(stamps.index(first[:19]), stamps.index(last[:19])) for first, last in labels[f"{name}.csv"]]
        corpus.append(NabSeries(windowed_gaussian(np.array([float(value) for _, value in rows]), 1000, 1), windows))
    assert nab_score(corpus, 1.0).by_series == pytest.approx(list(PUBLISHED.values()), rel=1e-9)


def test_distances_and_densities() -> None:
    distances, nats = gaussian_nats(VALUES, 50)
    part = VALUES[150:200]
    z = (VALUES[200] - part.mean()) / part.std()
    assert distances[200] == pytest.approx(abs(z))
    assert nats[200] == pytest.approx(0.5 * z**2 + math.log(part.std() * math.sqrt(2 * math.pi)))
    changes = np.diff(VALUES)
    distances, nats = last_value_nats(VALUES, 50)
    z = (changes[199] - changes[149:199].mean()) / changes[149:199].std()
    assert distances[200] == pytest.approx(abs(z)) and np.isnan(nats[:2]).all()
