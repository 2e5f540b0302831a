"""The detector in scikit-learn's manners: arrays, lists and frames in, a score for each step out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from recurra import AnomalyDetector, load
from recurra.core.errors import DataError, ModelFileError

STEPS = np.arange(240)
VALUES = np.stack([np.sin(STEPS / 4), np.cos(STEPS / 9)], axis=1) + np.random.default_rng(0).normal(0, 0.1, (240, 2))


def quick(**options: Any) -> AnomalyDetector:
    small = {"model.hidden_size": 4, "training.max_updates": 4, "task.leads": [1, 2], "task.window_length": 24}
    return AnomalyDetector(options={**small, **options})


def test_arrays_of_one_and_of_several_columns(tmp_path: Path) -> None:
    for values in (VALUES[:, 0], VALUES):
        detector = quick().fit(values)
        odd = values.copy()
        odd[200] += 9
        scores, flags = detector.score(odd), detector.predict(odd)
        assert scores.shape == flags.shape == (240,) and scores.argmax() == 200
        assert flags[200] == 1 and set(flags) <= {0, 1}
        assert np.array_equal(flags, (scores >= detector.threshold_).astype(int))
        stream = detector.stream()
        np.testing.assert_allclose([stream.update(step) for step in odd], scores, rtol=1e-4, atol=1e-5)
        warm = detector.stream(odd[:200])
        assert warm.update(odd[200]) == pytest.approx(scores[200], rel=1e-4) and warm.flagged
    detector.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict([odd])[0], scores)


def test_lists_of_series_and_known_anomalies() -> None:
    detector = quick().fit([VALUES[:, 0], VALUES[:150, 1]])
    found = detector.score([VALUES[:, 0], VALUES[:100, 1]])
    assert [len(one) for one in found] == [240, 100]
    with pytest.raises(DataError, match="one is wanted"):
        detector.stream([VALUES[:, 0], VALUES[:, 1]])
    labels = np.zeros(240)
    labels[50] = 1
    spoilt = VALUES[:, 0].copy()
    spoilt[50] = 1e6
    detector = quick().fit(spoilt, labels)
    mean, spread = detector.model_.task.fit.scales[""]
    assert abs(mean[0]) < 1 and spread[0] < 2
    with pytest.raises(DataError, match="one label a step"):
        quick().fit(spoilt, labels[:5])
    with pytest.raises(DataError, match="labels that are no numbers"):
        quick().fit(spoilt, ["odd"] * 240)


def test_frames_with_dates() -> None:
    pandas = pytest.importorskip("pandas")
    stamps = pandas.date_range("2024-01-01", periods=240, freq="h")
    frame = pandas.DataFrame({"time": stamps, "load": VALUES[:, 0], "errors": VALUES[:, 1]})
    detector = quick().fit(frame)
    scores = detector.score(frame)
    assert scores.shape == (240,) and detector.model_.task.fit.calendar == ("hour",)
    stream = detector.stream(frame[:100])
    assert stream.update(VALUES[100]) == pytest.approx(scores[100], rel=1e-4)
    with pytest.raises(DataError, match="stamps"):
        detector.score(VALUES)


def test_manners() -> None:
    detector = quick(**{"data.series.missing": "keep"})
    assert clone(detector).get_params() == detector.get_params()
    with pytest.raises(ModelFileError, match="not fitted"):
        detector.score(VALUES)
    with pytest.raises(DataError, match="empty"):
        detector.fit([])
    holes = VALUES[:, 0].copy()
    holes[20] = np.nan
    assert np.isfinite(detector.fit(holes).score(holes)).all()
