"""Forecasting: parts in time, scales, windows, losses, intervals, reports; and a future that must not be seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recurra.baselines.forecasting import fitted_baselines
from recurra.core.batch import LossSum
from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError
from recurra.core.outputs import Forecast
from recurra.data import DataConfig, read_series
from recurra.tasks import Forecasting, ForecastingConfig, Prepared, StreamOptions
from recurra.tasks.forecast_residuals import fit_recalibration, recalibrated
from recurra.tasks.forecast_results import ForecastResult
from recurra.tasks.forecast_windows import ForecastSplit

from .forecast_files import Repeater, batch_of, daily_wave, hours, prepare, write_wide

VALUES = daily_wave(200)
TRAIN_END, VALID_END = 140, 170


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    return write_wide(tmp_path / "wide.csv", VALUES)


def answer(task: Any, split: ForecastSplit, model: Any) -> list[Any]:
    """Predictions of all windows, in order."""
    batch = batch_of(split)
    return list(task.predict(task.search(model, batch, quick=False).prediction, batch))


def test_parts_follow_each_other_and_scales_are_those_of_the_training_part(wide: Path) -> None:
    prepared = prepare(wide)
    task, splits = prepared.task, prepared.splits
    assert isinstance(task, Forecasting)
    assert list(task.fit.scales) == ["load", "price"]
    for column, scale in enumerate(task.fit.scales.values()):
        part = VALUES[:TRAIN_END, column]
        np.testing.assert_allclose([scale.shift[0], scale.scale[0]], [part.mean(), part.std()])
    assert splits.train.places[:, 1].min() == 24 and splits.train.places[:, 1].max() == TRAIN_END - 6
    assert splits.valid.places[:, 1].min() == TRAIN_END and splits.valid.places[:, 1].max() == VALID_END - 6
    assert splits.test.places[:, 1].min() == VALID_END and splits.test.places[:, 1].max() == 200 - 6
    assert task.fit.ends == {"load": hours(200)[VALID_END - 1], "price": hours(200)[VALID_END - 1]}
    assert task.fit.frequency is not None and str(task.fit.frequency) == "hours" and task.fit.periods == (24,)


def test_windows_are_scaled_history_and_targets(wide: Path) -> None:
    split = prepare(wide).splits.test
    batch = batch_of(split)
    for place in (0, len(split) - 1):
        row, origin = split.places[place]
        scaled = (VALUES[:, row] - VALUES[:TRAIN_END, row].mean()) / VALUES[:TRAIN_END, row].std()
        np.testing.assert_allclose(
            batch.inputs.past.data[place, :, 0], scaled[origin - 24 : origin], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(batch.targets[place, :, 0], scaled[origin : origin + 6], rtol=1e-4, atol=1e-5)
        truth = split.truths(np.array([place]))[0]
        np.testing.assert_array_equal(truth.values, VALUES[origin : origin + 6, row : row + 1])
        np.testing.assert_allclose(truth.seasonal, np.abs(VALUES[24:origin, row] - VALUES[: origin - 24, row]).mean())
    assert batch.inputs.shifted is None
    training = batch_of(split, StreamOptions(batch_size=512, length=1, seed=0, shuffle=True))
    assert training.inputs.shifted is not None


def test_predictions_come_back_in_the_units_and_dates_of_the_file(wide: Path) -> None:
    prepared = prepare(wide, likelihood="normal")
    split = prepared.splits.test
    found = answer(prepared.task, split, Repeater(2, 6))
    for one, (row, origin) in zip(found, split.places, strict=True):
        np.testing.assert_allclose(one.mean[:, 0], np.full(6, VALUES[origin - 1, row]), rtol=1e-5)
        assert one.channels == (("load", "price")[row],)
        assert [str(stamp) for stamp in one.stamps] == [
            text.replace(" ", "T") for text in hours(200)[origin : origin + 6]
        ]
        low, high = one.interval(80)
        # softplus(0) of the training spread on either side
        width = (np.log(2) + 1e-4) * VALUES[:TRAIN_END, row].std() * 1.2815515655
        np.testing.assert_allclose(one.mean - low, width, rtol=1e-4)
        np.testing.assert_allclose(high - one.mean, width, rtol=1e-4)


def planted(folder: Path, from_step: int, name: str = "planted.csv") -> Path:
    """The same file with another future."""
    other = VALUES.copy()
    other[from_step:] = 1e6 - 7 * other[from_step:][::-1]
    return write_wide(folder / name, other)


def test_a_planted_future_changes_nothing_that_is_fitted_or_trained_on(wide: Path, tmp_path: Path) -> None:
    ours, theirs = prepare(wide), prepare(planted(tmp_path, VALID_END))
    assert ours.task.files() == theirs.task.files()
    for part in ("train", "valid"):
        first, second = (batch_of(getattr(one.splits, part)) for one in (ours, theirs))
        torch.testing.assert_close(first.targets, second.targets, rtol=0, atol=0)
        torch.testing.assert_close(first.inputs.past.data, second.inputs.past.data, rtol=0, atol=0)
    # the training part does not see validation either
    seen = prepare(planted(tmp_path, TRAIN_END, "more.csv"))
    assert {n: s.shift.tolist() for n, s in seen.task.fit.scales.items()} == {
        n: s.shift.tolist() for n, s in ours.task.fit.scales.items()
    }
    torch.testing.assert_close(batch_of(seen.splits.train).targets, batch_of(ours.splits.train).targets, rtol=0, atol=0)


@pytest.mark.parametrize("step", [0, 3, 24])
def test_a_planted_future_changes_no_forecast_made_before_it(wide: Path, tmp_path: Path, step: int) -> None:
    """Predictions, units of errors, Naive2 and all cheap forecasts, for every origin up to the planted step."""
    first_changed = VALID_END + step
    ours, theirs = (prepare(path, likelihood="normal") for path in (wide, planted(tmp_path, first_changed)))
    before = ours.splits.test.places[:, 1] <= first_changed
    assert before.any() and (step == 0 or not before.all() or step == 24)
    model = Repeater(2, 6)
    mine, other = (answer(one.task, one.splits.test, model) for one in (ours, theirs))
    truths = [one.splits.test.truths(np.arange(len(before))) for one in (ours, theirs)]
    for place in np.flatnonzero(before):
        np.testing.assert_array_equal(mine[place].mean, other[place].mean)
        np.testing.assert_array_equal(mine[place].quantiles, other[place].quantiles)
        for part in ("seasonal", "spread", "naive", "history"):
            np.testing.assert_array_equal(*(getattr(found[place], part) for found in truths))
    cheap = [forecasts_of_baselines(one) for one in (ours, theirs)]
    assert cheap[0].keys() == cheap[1].keys() and len(cheap[0]) >= 5
    for name in cheap[0]:
        np.testing.assert_array_equal(cheap[0][name][before], cheap[1][name][before], err_msg=name)


def forecasts_of_baselines(prepared: Prepared) -> dict[str, np.ndarray]:
    train, test = prepared.splits.train, prepared.splits.test
    parts = [values[:end] for values, end in zip(train.filled(), train.ends, strict=True)]
    found = fitted_baselines(parts, 6, 24, train.fit.periods)
    return {name: one.forecast(test.histories(), 6, test.places[:, 0].tolist()) for name, one in found.items()}


def test_a_new_series_of_the_test_file_is_scaled_by_its_own_past(tmp_path: Path) -> None:
    def long(name: str, values: np.ndarray) -> str:
        return "".join(
            f"{name},{stamp},{value!r}\n" for stamp, value in zip(hours(len(values)), values.tolist(), strict=True)
        )

    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("unique_id,ds,y\n" + long("a", VALUES[:120, 0]) + long("c", VALUES[:110, 0]))
    for future in (VALUES[:, 1], np.where(np.arange(200) < 24, VALUES[:, 1], 1e9 + VALUES[:, 1])):
        test.write_text("unique_id,ds,y\n" + long("b", future))
        prepared = prepare(train, {"test": str(test), "test_fraction": 0})
        split = prepared.splits.test
        assert split.places[0].tolist() == [2, 24]
        assert split.rows[2].scale.shift[0] == pytest.approx(VALUES[:24, 1].mean())
        assert split.rows[2].index == -1


def test_backtests_start_after_training_and_validation(wide: Path, tmp_path: Path) -> None:
    task = prepare(wide).task
    data = DataConfig()
    split = task.read_backtest(str(wide), data, 5)
    assert split.places[:, 1].min() == VALID_END
    assert np.diff(split.places[split.places[:, 0] == 0, 1]).tolist() == [5] * 4
    seen = write_wide(tmp_path / "seen.csv", VALUES[: VALID_END + 3])
    with pytest.raises(DataError, match=r"no origin is left.*up to 2024-01-08 01:00:00, which leaves 3"):
        task.read_backtest(str(seen), data, 1)
    with pytest.raises(DataError, match=r"looked at series 'load' up to 2024-01-08 01:00:00"):
        task.read(str(seen), data)
    assert task.read(str(wide), data).places.tolist() == [[0, 194], [1, 194]]
    later = write_wide(tmp_path / "other.csv", VALUES, names=("north", "south"))
    renamed = parse(DataConfig, {"series": {"targets": ["north", "south"]}})
    assert task.read_backtest(str(later), renamed, 1).places[:, 1].min() == 24


def test_loss_counts_known_targets_alone(wide: Path) -> None:
    task = prepare(wide, likelihood="mse").task
    batch = batch_of(prepare(wide, likelihood="mse").splits.test)
    batch.targets[::2, 1] = float("nan")
    prediction = Forecast(torch.randn(*batch.targets.shape, 1, requires_grad=True), *(torch.ones(1, 1, 1),) * 2)
    found = task.loss(prediction, batch)
    known = ~batch.targets.isnan()
    wanted = F.mse_loss((1 + prediction.parameters[..., 0])[known], batch.targets[known], reduction="sum")
    torch.testing.assert_close(found.total, wanted)
    assert int(found.count) == int(known.sum())
    (gradient,) = torch.autograd.grad(found.mean(), prediction.parameters)
    assert bool(gradient.isfinite().all()) and bool((gradient[..., 0][~known] == 0).all())


def test_normalised_loss_is_in_units_of_the_window(wide: Path) -> None:
    batch = batch_of(prepare(wide, likelihood="mae").splits.test)
    scale = torch.full((1, 1, 1), 4.0)
    prediction = Forecast(torch.randn(*batch.targets.shape, 1), torch.full((1, 1, 1), 0.5), scale)

    def loss(normalised: bool) -> LossSum:
        found: LossSum = prepare(wide, likelihood="mae", normalised_loss=normalised).task.loss(prediction, batch)
        return found

    torch.testing.assert_close(loss(normalised=True).total * 4, loss(normalised=False).total)


@pytest.mark.parametrize("kind", ["quantile", "student-t", "mse"])
def test_a_saved_task_says_the_same(wide: Path, kind: str) -> None:
    prepared = prepare(wide, likelihood=kind)
    model = Repeater(prepared.task.spec.window.num_parameters, 6)
    if kind == "mse":
        valid = prepared.splits.valid
        prepared.task.calibrate(answer(prepared.task, valid, model), valid.truths(np.arange(len(valid))))
    stored = json.loads(json.dumps(prepared.task.files()))
    task = Forecasting.from_files(prepared.task.config, stored)
    assert task.spec == prepared.task.spec and task.monitor == prepared.task.monitor
    items = list(task.items(str(wide), DataConfig()))
    ours, theirs = (answer(one, one.encode(items), model) for one in (prepared.task, task))
    for first, second in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(first.mean, second.mean)
        np.testing.assert_array_equal(first.quantiles, second.quantiles)
        assert first.stamps.tolist() == second.stamps.tolist()


def test_asking_for_less_and_for_other_intervals(wide: Path) -> None:
    task = prepare(wide, likelihood="normal").task
    items = list(task.items(str(wide), DataConfig()))
    asked = task.asked_for(4, (50.0, 90.0))
    found = answer(asked, asked.encode(items), Repeater(2, 6))[0]
    assert found.mean.shape == (4, 1) and found.columns() == ["mean", "lo-50", "hi-50", "lo-90", "hi-90"]
    assert asked.header() == "series,stamp,mean,lo-50,hi-50,lo-90,hi-90"
    lines = asked.line(items[0], asked.readable(found)).splitlines()
    assert len(lines) == 4 and lines[0].startswith("load,2024-01-09 08:00:00,")
    widths = [high - low for low, high in map(found.interval, (50, 90))]
    assert (widths[1] > widths[0]).all()
    drawn = asked.picture(items[0], found)
    assert drawn.name == "load" and list(drawn.bands) == [50, 90] and len(drawn.history) == 200 and len(drawn.mean) == 4
    with pytest.raises(ConfigError, match=r"9 steps ahead are asked for.*task\.horizon=9"):
        answer(task.asked_for(9, None), task.asked_for(9, None).encode(items), Repeater(2, 6))
    for horizon, levels in ((0, None), (None, (100.0,)), (None, (0.0,))):
        with pytest.raises(ConfigError):
            task.asked_for(horizon, levels)


def test_a_series_in_other_units_is_told_of(wide: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = prepare(wide, likelihood="normal").task
    items = list(task.items(str(wide), DataConfig()))
    task.encode(items)
    assert not caplog.records
    task.encode([replace(items[0], values=items[0].values * 1e6)])
    assert len(caplog.records) == 1 and "Are the units those of the training?" in caplog.text


def test_points_get_intervals_from_the_errors_of_validation(wide: Path) -> None:
    prepared = prepare(wide, likelihood="mae")
    task, valid, test = prepared.task, prepared.splits.valid, prepared.splits.test
    model = Repeater(1, 6)
    with pytest.raises(ConfigError, match="knows no intervals"):
        task.asked_for(None, (80.0,))
    assert answer(task, valid, model)[0].quantiles is None
    assert task.header() == "series,stamp,mean"
    task.calibrate(answer(task, valid, model), valid.truths(np.arange(len(valid))))
    metrics = task.metrics()
    metrics.update(answer(task, valid, model), valid.truths(np.arange(len(valid))))
    assert metrics.compute()["coverage_80"] == pytest.approx(80, abs=2)
    assert (np.diff(answer(task, test, model)[0].quantiles, axis=-1) >= 0).all()


def test_columns_together_or_each_by_itself(wide: Path) -> None:
    joint = prepare(wide, channels="joint")
    assert joint.task.spec.window.target_size == 2 and len(joint.splits.test) == 25
    found = answer(joint.task, joint.splits.test, Repeater(7, 6))[0]
    assert found.channels == ("load", "price") and found.mean.shape == (6, 2)
    rows = joint.task.readable(found)["forecast"]
    assert [row["series"] for row in rows] == ["load"] * 6 + ["price"] * 6
    table = joint.task.report([found], joint.splits.test.truths(np.arange(1)))["classes"]
    assert set(table) == {"load", "price"}
    alone = prepare(wide)
    assert [one.name for one in alone.task.items(str(wide), DataConfig())] == ["load", "price"]
    with pytest.raises(DataError, match="has 2 columns, and this model forecasts 1 at a time"):
        alone.task.encode([VALUES])


def test_covariates_calendar_and_static_features_reach_the_window(tmp_path: Path) -> None:
    steps = np.arange(210)
    path = write_wide(tmp_path / "x.csv", VALUES[:, :1], names=("load",), wind=steps % 7.0, sun=steps % 5.0)
    series = {"targets": ["load"], "past": ["wind"], "known": ["sun"]}
    calendar = {"features": ["hour", "weekday"], "holidays": ["2024-01-03"]}
    prepared = prepare(path, {"series": series}, calendar=calendar)
    sizes = prepared.task.spec.window
    assert (sizes.past_size, sizes.known_size) == (1, 5)
    holidays = prepare(path, {"series": series}, calendar={"holidays": ["2024-01-03"]}).task.fit.calendar
    assert holidays == ("hour", "holiday")
    batch = batch_of(prepared.splits.test)
    origin = prepared.splits.test.places[3, 1]
    sun = (steps % 5.0 - (steps[:140] % 5.0).mean()) / (steps[:140] % 5.0).std()
    np.testing.assert_allclose(batch.inputs.future_known[3, :, 0], sun[origin : origin + 6], atol=1e-5)
    angle = 2 * np.pi * (np.arange(origin, origin + 6) % 24) / 24
    np.testing.assert_allclose(batch.inputs.future_known[3, :, 1], np.sin(angle), atol=1e-5)
    wind = (steps % 7.0 - (steps[:140] % 7.0).mean()) / (steps[:140] % 7.0).std()
    np.testing.assert_allclose(batch.inputs.past_covariates[3, :, 0], wind[origin - 24 : origin], atol=1e-5)
    items = list(prepared.task.items(str(path), DataConfig()))
    asked = batch_of(prepared.task.encode(items))
    assert len(items[0]) == 200
    np.testing.assert_allclose(asked.inputs.future_known[0, :, 0], sun[200:206], atol=1e-5)
    with pytest.raises(DataError, match="end too early: 11 steps ahead are forecast, and they are given for 10"):
        task = prepared.task.asked_for(11, None)
        batch_of(task.encode(items))


def test_static_features_tell_series_apart(tmp_path: Path) -> None:
    rows = [
        f"{name},{stamp},{value!r},{size}"
        for place, (name, size) in enumerate((("a", 3), ("b", 5)))
        for stamp, value in zip(hours(120), VALUES[:120, place].tolist(), strict=True)
    ]
    path = tmp_path / "long.csv"
    path.write_text("unique_id,ds,y,size\n" + "\n".join(rows) + "\n")
    prepared = prepare(path, {"series": {"static": ["size"]}})
    assert prepared.task.spec.window.static_size == 1
    batch = batch_of(prepared.splits.test)
    np.testing.assert_allclose(batch.inputs.static[:, 0], np.where(batch.rows == 0, -1.0, 1.0))
    asked = batch_of(prepared.task.encode(list(prepared.task.items(str(path), DataConfig()))))
    assert asked.inputs.static[:, 0].tolist() == [-1.0, 1.0]


def test_files_that_lost_their_dates_are_no_test(wide: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.split(",", 1)[1] for line in wide.read_text().splitlines()) + "\n")
    task = prepare(wide, calendar={"features": []}).task
    with pytest.raises(DataError, match=r"has no dates here, and had some in training, which went up to 2024-01-08"):
        task.read_backtest(str(bare), DataConfig(), 1)


def test_reports_tell_what_is_copied_and_what_the_intervals_held(wide: Path) -> None:
    prepared = prepare(wide, likelihood="normal")
    task, split = prepared.task, prepared.splits.test
    truths = split.truths(np.arange(len(split)))
    copies = answer(task, split, Repeater(2, 6))
    said = task.report(copies, truths)
    assert any("copies the last value" in sentence for sentence in said["sentences"])
    assert len(said["pictures"]) >= 3 and all(len(p.truth) == 6 for p in said["pictures"])
    good = [
        one._replace(mean=truth.values + 0.1, quantiles=truth.values[..., None] + np.linspace(-1, 1, 11))
        for one, truth in zip(copies, truths, strict=True)
    ]
    sentences = task.report(good, truths)["sentences"]
    assert not any("copies" in sentence for sentence in sentences)
    assert "The 80 % interval held 100.0 % of the values: it is too wide." in sentences
    seasonal = [one._replace(mean=truth.history[-24:][:6]) for one, truth in zip(copies, truths, strict=True)]
    assert any("copies the last season" in sentence for sentence in task.report(seasonal, truths)["sentences"])


def test_cheap_forecasts_are_measured_at_the_same_origins(wide: Path) -> None:
    prepared = prepare(wide)
    split = prepared.splits.test
    found = prepared.task.baselines(prepared.splits.train, split)
    errors = [np.abs(VALUES[origin : origin + 6, row] - VALUES[origin - 1, row]).mean() for row, origin in split.places]
    assert found["last-value"]["mae"] == pytest.approx(np.mean(errors))
    assert found["naive2"]["owa"] == pytest.approx(1)
    assert {"seasonal-naive-24", "season-mean-24", "drift", "ridge"} <= set(found)


def test_holes_are_filled_by_what_stood_before_and_not_counted(tmp_path: Path) -> None:
    holed = VALUES[:, :1].copy()
    holed[[165, 172, 180]] = np.nan
    path = write_wide(tmp_path / "holes.csv", holed, names=("load",))
    prepared = prepare(path, {"series": {"missing": "keep"}})
    split = prepared.splits.test
    batch = batch_of(split)
    known = np.stack([holed[origin : origin + 6] for _, origin in split.places])
    np.testing.assert_array_equal(batch.targets.isnan(), np.isnan(known))
    assert batch.inputs.observed is not None and not bool(batch.inputs.past.data.isnan().any())
    metrics = prepared.task.metrics()
    metrics.update(answer(prepared.task, split, Repeater(7, 6)), split.truths(np.arange(len(split))))
    filled = np.where(np.isnan(holed), np.roll(holed, 1, axis=0), holed)
    errors = [np.abs(holed[o : o + 6] - filled[o - 1]) for _, o in split.places]
    assert metrics.compute()["mae"] == pytest.approx(np.nanmean(errors), rel=1e-5)


def test_no_window_starts_before_its_first_value(tmp_path: Path) -> None:
    late = VALUES[:, :1].copy()
    late[:60] = np.nan
    prepared = prepare(write_wide(tmp_path / "late.csv", late, names=("load",)), {"series": {"missing": "keep"}})
    assert prepared.splits.train.places[:, 1].min() == 61
    assert prepared.task.read_backtest(str(tmp_path / "late.csv"), DataConfig(), 1).places[:, 1].min() == VALID_END


def test_numbers_are_written_out(wide: Path) -> None:
    task = prepare(wide).task
    given = {"big": 1234567.891, "small": 0.000123456789, "minus": -12.3456789, "none": 0.0, "name": 'a "b", c'}
    assert task.line(None, {"forecast": [given]}) == '1234568,0.000123457,-12.3457,0,"a ""b"", c"'


def test_counts_are_checked(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(4, (200, 1)).astype(float)
    good = write_wide(tmp_path / "counts.csv", counts, names=("sold",))
    prepared = prepare(good, likelihood="negative-binomial", scaling="none")
    found = answer(prepared.task, prepared.splits.test, Repeater(2, 6))[0]
    assert (found.quantiles == np.round(found.quantiles)).all() and (found.quantiles >= 0).all()
    counts[7] = 2.5
    bad = write_wide(tmp_path / "bad.csv", counts, names=("sold",))
    with pytest.raises(DataError, match=r"bad\.csv:9: \[2\.5\].* is no count"):
        prepare(bad, likelihood="negative-binomial", scaling="none")
    with pytest.raises(ConfigError, match=r"task\.scaling=none"):
        parse(ForecastingConfig, {"likelihood": "negative-binomial"})


def test_series_that_do_not_fit_the_model_are_refused(wide: Path, tmp_path: Path) -> None:
    task = prepare(wide).task
    days = tmp_path / "days.csv"
    days.write_text("date,load,price\n" + "".join(f"2024-01-{day:02d},{day},{day * 2}\n" for day in range(1, 29)))
    with pytest.raises(DataError, match="has steps of days, and the model was trained on hours"):
        list(task.items(str(days), DataConfig()))
    with pytest.raises(DataError, match="'load'"):
        list(task.items(str(write_wide(tmp_path / "y.csv", VALUES, names=("a", "b"))), DataConfig()))
    for item, message in ((np.zeros(0), "is empty"), (np.full(5, np.nan), "no number"), ("text", "array of numbers")):
        with pytest.raises(DataError, match=message):
            task.encode([item])
    with pytest.raises(DataError, match="1 series and 2 targets"):
        task.encode_labelled([VALUES[:, 0]], [1, 2])


def test_arrays_are_items_where_steps_have_no_dates(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("load\n" + "".join(f"{value!r}\n" for value in VALUES[:, 0].tolist()))
    task = prepare(path, periods=[24]).task
    found = answer(task, task.encode([VALUES[:50, 0], task.item("1, 2, , 4")]), Repeater(7, 6))
    assert found[0].stamps.tolist() == list(range(50, 56)) and found[1].stamps.tolist() == list(range(4, 10))
    np.testing.assert_allclose(found[0].mean, VALUES[49, 0], rtol=1e-5)
    np.testing.assert_allclose(found[1].mean, 4, rtol=1e-5)
    split = task.encode_labelled([VALUES[:50, 0]], [VALUES[50:56, 0]])
    np.testing.assert_allclose(split.truths(np.arange(1))[0].values[:, 0], VALUES[50:56, 0])


def test_many_series_share_one_model(tmp_path: Path) -> None:
    rows = "id," + ",".join(f"V{i}" for i in range(1, 81)) + "\n"
    for name, length in (("H1", 80), ("H2", 61), ("H3", 44)):
        rows += f"{name}," + ",".join(f"{v:.3f}" for v in VALUES[:length, 0]) + "," * (80 - length) + "\n"
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    prepared = prepare(
        path, {"test_fraction": 0}, windows={"samples_per_epoch": 10, "stride": 2, "evaluation_stride": 3}
    )
    assert prepared.task.spec.window.num_series == 3 and list(prepared.task.fit.scales) == ["H1", "H2", "H3"]
    stream = prepared.task.stream(prepared.splits.train, StreamOptions(batch_size=4, length=1, seed=0, shuffle=True))
    first = stream.next_batch()
    assert stream.batches_per_epoch() == 3 and first is not None
    assert first.inputs.series.tolist() == first.rows.tolist()
    items = list(prepared.task.items(str(path), DataConfig()))
    assert [len(item) for item in items] == [80, 61, 44]
    assert read_series(str(path), DataConfig()).targets == ("value",)


def test_too_short_a_training_part_names_the_mend(tmp_path: Path) -> None:
    path = write_wide(tmp_path / "short.csv", VALUES[:12])
    with pytest.raises(DataError, match="horizon"):
        prepare(path, horizon=12)
    with pytest.raises(DataError, match="shorter"):
        prepare(path, {"series": {"split": [5, 6]}, "valid_fraction": 0, "test_fraction": 0})


def test_intervals_that_held_too_much_are_narrowed(wide: Path) -> None:
    def coverage(recalibrate: bool, part: str) -> float:
        prepared = prepare(wide, likelihood="normal", intervals={"recalibrate": recalibrate})
        task, model, valid = prepared.task, Repeater(2, 6), prepared.splits.valid
        task.calibrate(answer(task, valid, model), valid.truths(np.arange(len(valid))))
        split = getattr(prepared.splits, part)
        metrics = task.metrics()
        metrics.update(answer(task, split, model), split.truths(np.arange(len(split))))
        assert Forecasting.from_files(task.config, json.loads(json.dumps(task.files()))).fit.asked((0.1, 0.5)) == (
            pytest.approx(task.fit.asked((0.1, 0.5)))
        )
        return abs(metrics.compute()["coverage_80"] - 80)

    for part in ("valid", "test"):
        before, after = coverage(False, part), coverage(True, part)
        assert before > 8 and after < before - 3


def test_recalibration_asks_for_the_level_that_held_as_much_as_wanted(wide: Path) -> None:
    split = prepare(wide).splits.valid
    truths = split.truths(np.arange(len(split)))
    levels = (0.1, 0.3, 0.5, 0.7, 0.9)
    rng = np.random.default_rng(0)
    # the truth is uniform on 0..1, and the forecast takes it for uniform on -1..2
    truths = [truth._replace(values=rng.random((6, 1)), series=str(i)) for i, truth in enumerate(truths * 20)]
    told = np.broadcast_to(3 * np.array(levels) - 1, (6, 1, 5))
    found = ForecastResult(told[..., 2], told, None, ("a",), truths[0].stamps, levels, (80.0,))
    asked = fit_recalibration([found] * len(truths), truths)
    assert asked is not None
    wanted = recalibrated(asked, (0.2, 0.5, 0.8))
    np.testing.assert_allclose(wanted, (np.array([0.2, 0.5, 0.8]) + 1) / 3, atol=0.03)
    assert (np.diff(recalibrated(asked, np.linspace(0, 1, 50).tolist())) >= 0).all()
    few = fit_recalibration([found] * 2, truths[:2])
    assert few is not None
    assert 0.2 < recalibrated(few, (0.2,))[0] < wanted[0] - 0.08
