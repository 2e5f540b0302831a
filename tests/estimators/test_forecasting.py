"""The forecaster in scikit-learn's manners: frames, arrays and lists in, the same out."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from recurra import Forecaster, load
from recurra.core.errors import ConfigError, DataError, ModelFileError
from recurra.data import DataConfig, SeriesSet, read_series, series_from_frame
from recurra.estimators.series_files import series_csv

pandas = pytest.importorskip("pandas")
QUICK: dict[str, Any] = {
    "epochs": 1,
    "horizon": 6,
    "context_length": 24,
    "options": {"model.hidden_size": 4, "model.history.patch_length": 6, "training.max_updates": 3},
}
STEPS = np.arange(220)
VALUES = np.stack([10 + 3 * np.sin(2 * np.pi * STEPS / 24), 50 + 5 * np.cos(2 * np.pi * STEPS / 24)], axis=1)
VALUES = VALUES + np.random.default_rng(0).normal(size=VALUES.shape)


def frame(count: int = 200) -> Any:
    stamps = pandas.date_range("2024-01-01", periods=count, freq="h")
    return pandas.DataFrame({"date": stamps, "load": VALUES[:count, 0], "price": VALUES[:count, 1]})


def quick(**more: Any) -> Forecaster:
    given = copy.deepcopy(QUICK)
    given["options"] |= more.pop("options", {})
    return Forecaster(**given, **more)


def test_frames_give_frames() -> None:
    model = quick().fit(frame())
    found = model.predict(levels=(80, 95))
    assert list(found.columns) == ["unique_id", "ds", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert found.unique_id.tolist() == ["load"] * 6 + ["price"] * 6
    assert found.ds.iloc[0] == pandas.Timestamp("2024-01-09 08:00")
    assert (found["lo-95"] <= found["lo-80"]).all() and (found["hi-80"] <= found["hi-95"]).all()
    shorter = model.predict(frame(150), horizon=2)
    assert shorter.ds.iloc[0] == pandas.Timestamp("2024-01-07 06:00") and len(shorter) == 4
    polars = pytest.importorskip("polars")
    same = model.predict(polars.from_pandas(frame()))
    assert isinstance(same, polars.DataFrame)
    np.testing.assert_allclose(same["mean"].to_numpy(), found["mean"].to_numpy())


def test_arrays_give_arrays_and_lists_lists(tmp_path: Path) -> None:
    model = quick().fit(VALUES[:200, 0])
    points = model.predict()
    assert points.shape == (6,)
    table = model.predict(levels=(80,))
    assert list(table) == ["mean", "lo-80", "hi-80"]
    np.testing.assert_array_equal(table["mean"], points)
    np.testing.assert_allclose(model.predict(VALUES[:200, 0]), points)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict([VALUES[:200, 0]])[0][:, 0].shape, (6,))
    assert quick().fit(VALUES[:200]).predict().shape == (6, 2)
    assert quick(options={"task.channels": "joint"}).fit(VALUES[:200]).predict().shape == (6, 2)
    several = quick().fit([VALUES[:200, 0], VALUES[:120, 1]])
    assert [one.shape for one in several.predict()] == [(6,), (6,)]
    assert [one.shape for one in several.predict(horizon=3)] == [(3,), (3,)]


def test_scores_backtests_and_streams() -> None:
    model = quick().fit(VALUES[:200, 0])
    wanted = -np.abs(model.predict() - VALUES[200:206, 0]).mean() / VALUES[:180, 0].std()
    assert model.score(VALUES[200:220, 0]) == pytest.approx(wanted, rel=1e-5)
    figures = model.backtest(VALUES[:, 0], stride=7)
    assert figures["mae"] > 0 and "coverage_80" in figures
    live = model.stream()
    for value in VALUES[200:, 0]:
        live.update(value)
    np.testing.assert_allclose(live.forecast().mean[:, 0], model.predict(VALUES[:, 0]), rtol=1e-5)
    with pytest.raises(DataError, match=r"which of load, price"):
        quick().fit(frame()).stream()
    with pytest.raises(DataError, match="no origin is left"):
        model.backtest(VALUES[:200, 0])


def test_covariates_known_ahead() -> None:
    known = frame()
    known["sun"] = STEPS[:200] % 5.0
    model = quick(options={"data.series.known": ["sun"], "data.series.targets": ["load"]}).fit(known)
    ahead = pandas.DataFrame({"sun": np.arange(200, 206) % 5.0})
    found = model.predict(known=ahead)
    np.testing.assert_array_equal(found["mean"], model.predict(known=ahead["sun"].to_numpy())["mean"])
    assert not np.allclose(found["mean"], model.predict(known=ahead * 3)["mean"])
    with pytest.raises(DataError, match="end too early"):
        model.predict()
    with pytest.raises(DataError, match="has no column 'sun'"):
        model.predict(known=pandas.DataFrame({"moon": [1.0]}))
    with pytest.raises(DataError, match="'sun' has no finite value 3 steps ahead"):
        model.predict(known=np.where(np.arange(6) == 2, np.nan, 1.0))
    with pytest.raises(DataError, match="known: numbers are wanted"):
        model.predict(known=["much"] * 6)
    pandas.testing.assert_frame_equal(model.predict(known=ahead, levels=80), model.predict(known=ahead, levels=(80,)))


def test_sample_paths() -> None:
    options = {"task.intervals.num_paths": 5, "training.max_updates": 2, "model.hidden_size": 4}
    given = {key: value for key, value in QUICK.items() if key != "options"}
    model = Forecaster(**given, recipe="forecast-sampled", options=options).fit(VALUES[:200, 0])
    (paths,) = model.predict_samples()
    assert paths.shape == (5, 6, 1)
    with pytest.raises(ConfigError, match="draws no paths"):
        quick().fit(VALUES[:200, 0]).predict_samples()


def test_scikit_learns_manners() -> None:
    model = quick(seed=3)
    copied = clone(model)
    assert copied.get_params() == model.get_params() and copied is not model
    assert copied.set_params(horizon=4).horizon == 4
    assert repr(Forecaster(horizon=7)) == "Forecaster(horizon=7)"
    with pytest.raises(ConfigError, match="no parameter `horison`"):
        model.set_params(horison=3)
    with pytest.raises(ModelFileError, match="not fitted yet"):
        model.predict()


def test_what_is_no_series_is_refused() -> None:
    for given, message in (([], "is empty"), ([VALUES[:9], VALUES[:9, 0]], "different numbers of columns")):
        with pytest.raises(DataError, match=message):
            quick().fit(given)
    with pytest.raises(DataError, match=r"^the data: the horizon"):
        quick().fit(VALUES[:5, 0])
    with pytest.raises(DataError, match="inf"):
        quick().fit(np.where(STEPS == 7, np.inf, VALUES[:, 0]))


def long_frame() -> Any:
    rows = pandas.concat([frame(30).assign(unique_id=name) for name in ("a", 'b "x", y')])
    rows.loc[rows.index[3], "load"] = np.nan
    return rows.assign(size=rows.unique_id.str.len().astype(float), sun=np.arange(60.0))


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (frame(), {}),
        (VALUES[:50], {}),
        (long_frame(), {"static": ["size"], "known": ["sun"], "past": ["price"], "missing": "keep"}),
    ],
    ids=["wide", "array", "long"],
)
def test_series_come_back_from_their_file_as_they_were(data: Any, options: dict[str, Any], tmp_path: Path) -> None:
    series = series_from_frame(data, DataConfig.model_validate({"series": options}).series)
    if not hasattr(data, "columns"):
        series = renamed(series)
    text, given = series_csv(series)
    (tmp_path / "x.csv").write_text(text)
    reading = {key.removeprefix("data.series."): value for key, value in given.items() if "series" in key}
    config = DataConfig.model_validate({"header": given["data.header"], "series": {**options, **reading}})
    again = read_series(tmp_path / "x.csv", config)
    assert (again.targets, again.past, again.known, again.static) == (
        series.targets,
        series.past,
        series.known,
        series.static,
    )
    for ours, theirs in zip(series.series, again.series, strict=True):
        for part in ("stamps", "values", "past", "known", "static"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))


def renamed(series: SeriesSet) -> SeriesSet:
    return replace(series, targets=("value-1", "value-2"))
