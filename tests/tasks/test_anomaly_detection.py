"""Anomaly detection: no look ahead, streaming equal to batch, labels, thresholds, what travels with the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig
from recurra.models import MODELS
from recurra.runs.config import MODELS_OF_TASK
from recurra.tasks import AnomalyDetection, AnomalyDetectionConfig, Preparation, StreamOptions
from recurra.training.evaluation import run_over

STEPS = 300
WHOLE = StreamOptions(batch_size=4, length=1, seed=0, shuffle=False)


def write(folder: Path, *, columns: int = 2, labels: tuple[int, ...] = (), name: str = "load.csv") -> Path:
    rng = np.random.default_rng(0)
    stamps = np.datetime64("2024-01-01T00") + np.arange(STEPS) * np.timedelta64(1, "h")
    values = np.sin(np.arange(STEPS) * 2 * np.pi / 24)[:, None] + rng.normal(0, 0.1, (STEPS, columns))
    rows = ["time," + ",".join("abc"[:columns]) + (",anomaly" if labels else "")]
    for step in range(STEPS):
        odd = f",{int(step in labels)}" if labels else ""
        rows.append(f"{stamps[step]}:00," + ",".join(f"{value:.5f}" for value in values[step]) + odd)
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def prepared(folder: Path, options: dict[str, Any] | None = None, **data: Any) -> Any:
    config = parse(AnomalyDetectionConfig, {"kind": "anomaly-detection", "window_length": 16, **(options or {})})
    given = Preparation(data=parse(DataConfig, data), seed=0, cache=folder / "cache")
    return AnomalyDetection.prepare(config, given)


def model_of(task: AnomalyDetection) -> nn.Module:
    torch.manual_seed(0)
    kind = "series-predictor" if task.config.method == "prediction" else "series-autoencoder"
    cls = MODELS[kind]
    model: nn.Module = cls(cls.Config(hidden_size=6), task.spec).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def results(task: AnomalyDetection, model: nn.Module, split: Any) -> list[Any]:
    found = {}
    for batch, output in run_over(model, task, task.stream(split, WHOLE), torch.device("cpu")):
        found |= dict(zip(batch.ids, task.predict(output.prediction, batch), strict=True))
    return [found[str(place)] for place in range(len(split))]


def settled(task: AnomalyDetection, model: nn.Module, splits: Any) -> None:
    task.settle(lambda split: results(task, model, split), splits)


RECORD = {"statistic": "record", "error": "signed", "short_windows": [1, 5], "value_windows": [3], "warmup": 5}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"leads": [1, 4, 9], "scoring": RECORD},
    {"leads": [2, 3], "distribution": "normal", "scoring": {"error": "surprise", "long_window": 50, "rest": 3}},
    {"method": "reconstruction", "scoring": RECORD, "calendar": []},
    {"method": "reconstruction", "scoring": {"error": "surprise"}, "squash": False},
    {"threshold": {"kind": "quantile", "rate": 0.05, "adaptive": True}},
    {"threshold": {"kind": "evt", "risk": 0.01, "adaptive": True}},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_steps_one_by_one_give_what_the_whole_series_gives(options: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path)
    made = prepared(tmp_path, options, train=str(path))
    task, model = made.task, model_of(made.task)
    settled(task, model, made.splits)
    (series,) = task.items(str(write(tmp_path, name="more.csv")), DataConfig())
    series = series.part(0, 120)
    series.values[40, 0] = np.nan
    (whole,) = results(task, model, task.encode([series]))
    stream, scores, flags = task.live(model), [], []
    for values, stamp in zip(series.values, series.stamps, strict=True):
        scores.append(stream.update(values, stamp))
        flags.append(stream.flagged)
    np.testing.assert_allclose(scores, whole.scores, rtol=1e-4, atol=1e-5)
    assert stream.threshold == pytest.approx(whole.threshold, rel=1e-4)
    assert np.mean(np.array(flags) == whole.flagged) > 0.99
    gone_on = task.live(model, series.part(0, 60))
    found = gone_on.update(series.values[60], series.stamps[60])
    assert found == pytest.approx(whole.scores[60], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("options", OPTIONS[:5])
def test_what_comes_later_changes_no_score(options: dict[str, Any], tmp_path: Path) -> None:
    made = prepared(tmp_path, options, train=str(write(tmp_path)))
    task, model = made.task, model_of(made.task)
    (series,) = task.items(str(tmp_path / "load.csv"), DataConfig())
    (before,) = results(task, model, task.encode([series]))
    series.values[250:] = 99
    (after,) = results(task, model, task.encode([series]))
    np.testing.assert_allclose(before.scores[:250], after.scores[:250], rtol=1e-6, atol=1e-9)
    assert after.scores[250] > before.scores[250]


def test_training_sees_neither_held_out_steps_nor_known_anomalies(tmp_path: Path) -> None:
    path = write(tmp_path, labels=(30, 31, 250))
    made = prepared(tmp_path, {"leads": [1, 3]}, train=str(path), test_fraction=0.1)
    (train,), (valid,), (test,) = made.splits
    assert (len(train), len(valid), valid.start, len(test), test.start) == (240, 270, 240, 300, 270)
    targets = train.targets.reshape(240, 2, 2)
    for lead, place in ((1, 0), (3, 1)):
        missing = np.isnan(targets[:, 0, place])
        assert missing[-lead:].all() and set(np.flatnonzero(missing[:-lead])) == {30 - lead, 31 - lead}
        held = targets[:-lead, 0, place][~missing[:-lead]]
        np.testing.assert_allclose(held, train.scaled[lead:, 0][~missing[:-lead]].astype(np.float32))
    assert valid.labels.sum() == 3 and made.task.references(made.task.stream([valid], WHOLE).next_batch())[0].sum() == 1
    mean = np.delete(train.values, [30, 31], axis=0).mean(axis=0)
    np.testing.assert_allclose(made.task.fit.scales[""][0], mean)
    assert any("2 steps of the training part are known anomalies" in note for note in made.notes)


def test_labels_of_a_file_to_evaluate_are_found_by_themselves(tmp_path: Path) -> None:
    task = prepared(tmp_path, train=str(write(tmp_path, name="bare.csv"))).task
    (example,) = task.read(str(write(tmp_path, labels=(30, 31))), DataConfig())
    assert np.flatnonzero(example.labels).tolist() == [30, 31] and example.values.shape[1] == 2
    (example,) = task.read(str(tmp_path / "bare.csv"), DataConfig())
    assert example.labels is None


def test_windows_cut_at_random_can_be_resumed(tmp_path: Path) -> None:
    made = prepared(tmp_path, {"overlap": 2}, train=str(write(tmp_path)))
    options = StreamOptions(batch_size=4, length=1, seed=3, shuffle=True)
    stream, other = (made.task.stream(made.splits.train, options) for _ in range(2))
    assert stream.batches_per_epoch() == 9
    for _ in range(12):
        batch = stream.next_batch() or stream.next_batch()
    assert batch.inputs.data.shape == (4, 16, made.task.spec.input_size)
    stored = stream.state_dict()
    other.load_state_dict(json.loads(json.dumps(stored)))
    assert torch.equal(stream.next_batch().inputs.data, other.next_batch().inputs.data)


def test_windows_of_anomalies_from_a_json_file(tmp_path: Path) -> None:
    path = write(tmp_path, name="load.csv")
    windows = tmp_path / "windows.json"
    windows.write_text(
        json.dumps({"real/load.csv": [["2024-01-12 00:00:00.000000", "2024-01-12 05:00:00"]], "x.csv": []})
    )
    made = prepared(tmp_path, train=str(path), series={"windows": str(windows)})
    (valid,) = made.splits.valid
    assert np.flatnonzero(valid.labels).tolist() == list(range(264, 270))
    windows.write_text(json.dumps({"other.csv": [[1, 2]]}))
    with pytest.raises(DataError, match=r"load\.csv"):
        prepared(tmp_path, train=str(path), series={"windows": str(windows)})
    windows.write_text("[1, 2]")
    with pytest.raises(DataError, match="windows of anomalies are wanted"):
        prepared(tmp_path, train=str(path), series={"windows": str(windows)})


def test_all_that_was_fitted_travels(tmp_path: Path) -> None:
    made = prepared(tmp_path, {"threshold": {"kind": "evt", "adaptive": True}}, train=str(write(tmp_path)))
    task, model = made.task, model_of(made.task)
    settled(task, model, made.splits)
    again = AnomalyDetection.from_files(task.config, json.loads(json.dumps(task.files())))
    wanted, found = (results(one, model, one.read(str(tmp_path / "load.csv"), DataConfig())) for one in (task, again))
    np.testing.assert_array_equal(wanted[0].scores, found[0].scores)
    assert wanted[0].threshold == found[0].threshold and again.spec == task.spec
    row = task.readable(found[0])["steps"][7]
    assert list(row) == ["stamp", "a", "b", "score", "flag"] and row["stamp"] == "2024-01-01 07:00:00"
    assert task.header() == "series,stamp,a,b,score,flag"
    line = task.line(next(task.items(str(tmp_path / "load.csv"), DataConfig())), task.readable(found[0]))
    assert len(line.splitlines()) == STEPS and line.startswith("load,2024-01-01 00:00:00,")


def test_a_labelled_threshold(tmp_path: Path) -> None:
    path = write(tmp_path, labels=(280, 281))
    made = prepared(tmp_path, {"threshold": "labelled"}, train=str(path))
    model = model_of(made.task)
    settled(made.task, model, made.splits)
    (found,) = results(made.task, model, made.splits.valid)
    assert found.flagged[found.labels].any()
    bare = prepared(tmp_path, {"threshold": "labelled"}, train=str(write(tmp_path, name="bare.csv")))
    with pytest.raises(DataError, match="there are none"):
        settled(bare.task, model, bare.splits)


def test_without_a_validation_part_the_training_part_gives_the_threshold(tmp_path: Path) -> None:
    made = prepared(tmp_path, train=str(write(tmp_path)), valid_fraction=0)
    assert made.splits.valid is None
    settled(made.task, model_of(made.task), made.splits)
    assert 0 < made.task.fit.threshold.value < 1


@pytest.mark.parametrize("options", [{"leads": [1, 9]}, {"method": "reconstruction"}])
def test_short_series_are_scored_too(options: dict[str, Any], tmp_path: Path) -> None:
    made = prepared(tmp_path, {**options, "calendar": []}, train=str(write(tmp_path)))
    model = model_of(made.task)
    settled(made.task, model, made.splits)
    items = [np.zeros((length, 2)) for length in (1, 5, 40)]
    found = results(made.task, model, made.task.encode(items))
    assert [len(one.scores) for one in found] == [1, 5, 40]
    assert all(np.isfinite(one.scores).all() for one in found)


def test_several_series_each_in_its_own_units(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{name},2024-01-{1 + step // 24:02} {step % 24:02}:00,{level + rng.normal() * level / 100}"
        for name, level in (("small", 5), ("large", 5000))
        for step in range(150)
    ]
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["unique_id,ds,y", *rows]) + "\n")
    made = prepared(tmp_path, train=str(path))
    assert all(abs(one.scaled.mean()) < 0.2 and 0.5 < one.scaled.std() < 1.2 for one in made.splits.train)
    model = model_of(made.task)
    settled(made.task, model, made.splits)
    found = results(made.task, model, made.task.read(str(path), DataConfig()))
    assert [one.name for one in found] == ["small", "large"] and set(made.task.fit.histories) == {"small", "large"}
    path.write_text(path.read_text().replace("small,", "new,"))
    with pytest.raises(DataError, match="'new' was not in the training"):
        made.task.read(str(path), DataConfig())


def test_a_column_that_does_not_change_is_named_and_watched(tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("time,a\n" + "".join(f"2024-01-01 {step // 60:02}:{step % 60:02},5\n" for step in range(200)))
    made = prepared(tmp_path, train=str(path))
    assert any("constant over the training part: 'a'" in note for note in made.notes)
    model = model_of(made.task)
    settled(made.task, model, made.splits)
    (series,) = made.task.items(str(path), DataConfig())
    series.values[150:] = 9
    (found,) = results(made.task, model, made.task.encode([series]))
    assert found.scores[150] > found.scores[140]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    made = prepared(tmp_path, train=str(write(tmp_path)))
    with pytest.raises(DataError, match="trained on the columns a, b"):
        made.task.encode([np.zeros(10)])
    with pytest.raises(DataError, match="here are none"):
        made.task.encode([np.zeros((10, 2))])
    stream = made.task.live(model_of(made.task))
    with pytest.raises(DataError, match="give the stamp of the first step"):
        stream.update([1.0, 2.0])
    with pytest.raises(DataError, match="2 finite values"):
        stream.update([1.0], "2024-01-01 10:00")
    for options in ({"leads": [4, 1]}, {"leads": [0]}, {"method": "reconstruction", "leads": [1, 2]}):
        with pytest.raises(ConfigError, match="leads"):
            prepared(tmp_path, options, train=str(tmp_path / "load.csv"))
    bad = tmp_path / "bad.csv"
    bad.write_text((tmp_path / "load.csv").read_text().replace("time,a,b", "time,a,anomaly"))
    with pytest.raises(DataError, match=r"bad\.csv:\d+: label column 'anomaly' is"):
        prepared(tmp_path, train=str(bad), label_column="anomaly")
    assert set(MODELS_OF_TASK["anomaly-detection"]) == {"series-predictor", "series-autoencoder"}
