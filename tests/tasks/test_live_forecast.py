"""A forecast that goes on with each observation equals the forecast from the whole history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.core.errors import DataError
from recurra.data import DataConfig, Series
from recurra.models import MODELS
from recurra.tasks import Forecasting

from .forecast_files import Repeater, batch_of, daily_wave, prepare, write_wide

DRAWING = "autoregressive-forecaster"
MODEL_OPTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "window": ("forecaster", {}, "quantile"),
    "reversible": ("forecaster", {"history": {"normalisation": "window", "patch_length": 4}}, "normal"),
    "segments": ("forecaster", {"history": {"patch_length": 4}, "head": {"kind": "segments"}}, "mse"),
    "carried": ("forecaster", {"history": {"normalisation": "running", "carry": True}}, "mse"),
    "decoder": ("forecast-decoder", {}, "student-t"),
    "autoregressive": (DRAWING, {}, "normal"),
    "autoregressive-carried": (DRAWING, {"carry": True, "normalisation": "none"}, "normal"),
    "autoregressive-points": (DRAWING, {}, "mae"),
}


def built(folder: Path, name: str, data: dict[str, Any] | None = None, **more: Any) -> tuple[Any, Any, list[Series]]:
    """Task, untrained model and the series of the file."""
    kind, options, likelihood = MODEL_OPTIONS[name]
    path = write_wide(folder / "x.csv", daily_wave(150), **more)
    prepared = prepare(path, data, likelihood=likelihood, intervals={"num_paths": 7})
    task = prepared.task
    torch.manual_seed(0)
    model = MODELS[kind](MODELS[kind].Config(hidden_size=5, **options), task.spec).eval()
    assert isinstance(task, Forecasting)
    return task, model, list(task.items(str(path), DataConfig()))


@pytest.mark.parametrize("name", MODEL_OPTIONS)
def test_observations_one_by_one_are_the_whole_history(tmp_path: Path, name: str) -> None:
    task, model, (series, _) = built(tmp_path, name)
    for start in (1, 60):
        live = task.live(model, series.part(0, start))
        for step in range(start, 150):
            live.update(series.values[step])
        assert live.stamp == series.stamps[-1]
        batch = batch_of(task.encode([series]))
        whole = task.predict(task.search(model, batch, quick=False).prediction, batch)[0]
        found = live.forecast()
        np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-5)
        np.testing.assert_array_equal(found.stamps, whole.stamps)
        if whole.quantiles is not None:
            np.testing.assert_allclose(found.quantiles, whole.quantiles, rtol=1e-4)


@pytest.mark.parametrize("name", MODEL_OPTIONS)
def test_a_short_forecast_is_the_beginning_of_a_long_one(tmp_path: Path, name: str) -> None:
    task, model, (series, _) = built(tmp_path, name)
    assert task.fit.calendar, "what is known ahead shall matter"
    live = task.live(model, series)
    found = []
    for horizon in (6, 2):
        asked = task.asked_for(horizon, None)
        batch = batch_of(asked.encode([series]))
        found += [asked.predict(asked.search(model, batch, quick=False).prediction, batch)[0], live.forecast(horizon)]
    assert [len(one.mean) for one in found] == [6, 6, 2, 2]
    for one in found[1:]:
        np.testing.assert_allclose(one.mean[:2], found[0].mean[:2], rtol=1e-5)


def test_holes_and_covariates_go_along(tmp_path: Path) -> None:
    steps = np.arange(156)
    columns = {"targets": ["load", "price"], "past": ["wind"], "known": ["sun"], "missing": "keep"}
    more = {"wind": steps % 7.0, "sun": steps % 5.0}
    task, model, (series, _) = built(tmp_path, "window", {"series": columns}, **more)
    holed = series.values.copy()
    holed[[80, 149]] = np.nan
    series = replace(series, values=holed)
    live = task.live(model, series.part(0, 75))
    for step in range(75, 150):
        live.update(holed[step], past=series.past[step], known=series.known[step], stamp=series.stamps[step])
    batch = batch_of(task.encode([series]))
    whole = task.predict(task.search(model, batch, quick=False).prediction, batch)[0]
    np.testing.assert_allclose(live.forecast(known=series.known[150:156]).mean, whole.mean, rtol=1e-5)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    task, model, (series, _) = built(tmp_path, "window")
    live = task.live(model, series)
    with pytest.raises(DataError, match="1 finite numbers a step are wanted"):
        live.update([1.0, 2.0])
    with pytest.raises(DataError, match="finite"):
        live.update(np.inf)
    with pytest.raises(DataError, match="0 finite numbers"):
        live.update(1.0, past=[3.0])
    with pytest.raises(DataError, match="does not come after"):
        live.update(1.0, stamp="2024-01-01")
    with pytest.raises(Exception, match="whole histories alone"):
        task.live(Repeater(7, 6), series)
    assert live.forecast(3).mean.shape == (3, 1)
