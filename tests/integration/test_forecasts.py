"""Forecasts by the command line alone: train, predict, plot, evaluate, backtest, go on, be killed and resumed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from recurra.cli import using
from recurra.runs.config import MODELS_OF_TASK

SMALL = ("--quiet", "training.tensorboard=never", "training.epochs=1", "training.batch_size=32", "model.hidden_size=4")
TASK = ("task.horizon=6", "task.context_length=24", "data.test_fraction=0.15")
RECIPES = {
    "forecaster": ("forecast", "model.history.patch_length=6"),
    "seasonal-forecaster": ("forecast-seasonal", "task.windows.samples_per_epoch=100", "task.periods=[24]"),
    "forecast-decoder": ("forecast", "model=forecast-decoder"),
    "autoregressive-forecaster": ("forecast-sampled", "task.intervals.num_paths=10"),
}
EVERY = pytest.mark.parametrize("kind", RECIPES)
COUNT = 200


def lines(count: int = COUNT, start: int = 0) -> list[str]:
    """Rows `date,load,price` of every hour."""
    rng, steps = np.random.default_rng(0), np.arange(COUNT * 2)
    load = 10 + 3 * np.sin(2 * np.pi * steps / 24) + 0.2 * rng.normal(size=len(steps))
    stamps = np.datetime64("2024-01-01T00:00:00") + steps * np.timedelta64(1, "h")
    rows = [f"{str(s).replace('T', ' ')},{v:.3f},{5 * v:.3f}" for s, v in zip(stamps, load, strict=True)]
    return rows[start : start + count]


def write(path: Path, rows: list[str], head: str = "date,load,price") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("forecasts")
    write(made / "a.csv", lines())
    write(made / "later.csv", lines(COUNT + 40))
    return made


@pytest.fixture
def trained(folder: Path, call: Callable[..., Any]) -> Callable[[str], Path]:
    """The finished run of a kind of model, trained on first use."""

    def find(kind: str) -> Path:
        run = folder / kind
        if not run.exists():
            done = call("train", *RECIPES[kind], *TASK, "--data.train", folder / "a.csv", "--out", run, *SMALL)
            assert done.code == 0, done.err
        return run

    return find


def test_every_model_is_here() -> None:
    assert set(RECIPES) == set(MODELS_OF_TASK["forecasting"])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@EVERY
def test_forecasts_are_rows_with_dates_and_intervals(
    kind: str, trained: Callable[[str], Path], folder: Path, call: Any, tmp_path: Path
) -> None:
    run = trained(kind)
    plot = ("--plot", tmp_path / "p.png") if kind == "forecaster" else ()
    done = call("predict", run, folder / "a.csv", "--horizon", "4", "--levels", "50,90", *plot)
    assert done.code == 0, done.err
    rows = rows_of(done.out)
    assert list(rows[0]) == ["series", "stamp", "mean", "lo-50", "hi-50", "lo-90", "hi-90"]
    assert [row["series"] for row in rows] == ["load"] * 4 + ["price"] * 4
    assert [row["stamp"] for row in rows[:2]] == ["2024-01-09 08:00:00", "2024-01-09 09:00:00"]
    for row in rows:
        numbers = [float(row[name]) for name in ("lo-90", "lo-50", "hi-50", "hi-90")]
        assert numbers == sorted(numbers)
    assert not plot or ((tmp_path / "p.png").stat().st_size > 1000 and (tmp_path / "p-2.png").exists())
    asked = call("predict", run, folder / "a.csv", "--json")
    told = [json.loads(line) for line in asked.out.splitlines()]
    assert [one["series"] for one in told] == ["load", "price"] and len(told[0]["forecast"]) == 6
    model = recurra.load(run)
    found = model.predict(model.items(folder / "a.csv"))
    assert found[0][0, 0] == pytest.approx(told[0]["forecast"][0]["mean"])


@EVERY
def test_reports_and_evaluations(
    kind: str, trained: Callable[[str], Path], folder: Path, call: Any, require_same_figure: Callable[[Path], None]
) -> None:
    run = trained(kind)
    require_same_figure(run)
    results = json.loads((run / "results.json").read_text())
    tag = recurra.load(run).task.monitor[0]
    assert tag in results["test"] and {"last-value", "seasonal-naive-24", "ridge", "naive2"} <= set(
        results["baselines"]
    )
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "last-value" in report and "<svg" in report
    assert "recurra.load" in (run / "model" / "README.md").read_text(encoding="utf-8")
    found = call("evaluate", run, "--data.test", folder / "later.csv", "--json")
    assert found.code == 0, found.err
    assert tag in json.loads(found.out)
    tested = call("evaluate", run, "--data.test", folder / "later.csv", "--backtest", "--stride", "5", "--json")
    assert tested.code == 0 and json.loads(tested.out)["coverage_80"] >= 0, tested.err
    lone = call("evaluate", run, "--data.test", folder / "later.csv", "--stride", "5")
    assert lone.code == 2 and "--stride 5" in lone.err and "add --backtest" in lone.err


def test_pictures_overwrite_nothing_and_are_not_too_many(
    trained: Callable[[str], Path], folder: Path, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("forecaster")
    (tmp_path / "p-2.png").write_text("mine")
    found = call("predict", run, folder / "a.csv", "--plot", tmp_path / "p.png")
    assert found.code == 2 and found.out == "" and "p-2.png is there already" in found.err and "--plot" in found.err
    assert (tmp_path / "p-2.png").read_text() == "mine"
    monkeypatch.setattr(using, "_MOST_PICTURES", 1)
    few = call("predict", run, folder / "a.csv", "--plot", tmp_path / "q.png")
    assert few.code == 0 and "the first 1 of 2 predictions were drawn" in few.err
    assert [path.name for path in tmp_path.glob("q*")] == ["q.png"]


def test_what_was_trained_on_is_no_test(trained: Callable[[str], Path], call: Any, tmp_path: Path) -> None:
    run = trained("forecaster")
    seen = write(tmp_path / "seen.csv", lines(172))
    for flags in ((), ("--backtest",)):
        found = call("evaluate", run, "--data.test", seen, *flags)
        assert found.code == 2 and "training and validation looked at" in found.err, found
        assert "2024-01-08 01:00:00" in found.err and "Traceback" not in found.err


@pytest.mark.parametrize("kind", ["forecaster", "autoregressive-forecaster"])
def test_a_planted_future_changes_neither_weights_nor_forecasts(
    kind: str, trained: Callable[[str], Path], folder: Path, call: Any, tmp_path: Path
) -> None:
    """The test part is another one: the whole run must come out the same but for the test figures."""
    run = trained(kind)
    planted = [f"{row.split(',')[0]},{1e6 - 9 * i},{7e5 + i}" if i >= 170 else row for i, row in enumerate(lines())]
    path = write(tmp_path / "a.csv", planted)
    done = call("train", *RECIPES[kind], *TASK, "--data.train", path, "--out", tmp_path / "run", *SMALL)
    assert done.code == 0, done.err
    ours, theirs = recurra.load(run), recurra.load(tmp_path / "run")
    for name, tensor in ours.model.state_dict().items():
        assert tensor.equal(theirs.model.state_dict()[name]), name
    assert ours.task.files() == theirs.task.files()
    assert ours.metrics["valid"] == theirs.metrics["valid"] and ours.metrics["test"] != theirs.metrics["test"]
    upto = write(tmp_path / "b.csv", lines(170))
    np.testing.assert_array_equal(*(model.predict(model.items(upto))[0] for model in (ours, theirs)))


def test_more_steps_than_the_model_gives(trained: Callable[[str], Path], folder: Path, call: Any) -> None:
    found = call("predict", trained("forecaster"), folder / "a.csv", "--horizon", "9")
    assert found.code == 2 and "task.horizon=9" in found.err, found
    for kind in ("forecast-decoder", "autoregressive-forecaster"):
        done = call("predict", trained(kind), folder / "a.csv", "--horizon", "9")
        assert done.code == 0 and len(rows_of(done.out)) == 18, done.err


def test_values_that_a_model_can_not_read_are_told_of_before_the_training(call: Any, tmp_path: Path) -> None:
    sunk = [f"{row.split(',')[0]},{-5 if i == 180 else 10 + i % 24},3.{i}" for i, row in enumerate(lines())]
    path = write(tmp_path / "a.csv", sunk)
    run = tmp_path / "run"
    done = call("train", *RECIPES["seasonal-forecaster"], *TASK, "--data.train", path, "--out", run, *SMALL)
    assert done.code == 2 and "model.seasonality=additive" in done.err and "Traceback" not in done.err, done.err
    assert not run.exists()


def test_drawn_paths(trained: Callable[[str], Path], folder: Path, call: Any) -> None:
    run = trained("autoregressive-forecaster")
    found = call("predict", run, folder / "a.csv", "--json", "--paths", "3", "--horizon", "4")
    assert found.code == 0, found.err
    told = json.loads(found.out.splitlines()[0])
    assert np.shape(told["paths"]) == (3, 4, 1) and len(np.unique(told["paths"])) == 12
    for kind, flags, part in (
        ("autoregressive-forecaster", ("--paths", "3"), "add --json"),
        ("autoregressive-forecaster", ("--paths", "11", "--json"), "1 to 10 are wanted"),
        ("forecaster", ("--paths", "3", "--json"), "draws no paths"),
    ):
        refused = call("predict", trained(kind), folder / "a.csv", *flags)
        assert refused.code == 2 and part in refused.err and not refused.out, refused


def test_series_typed_in_and_piped(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain.csv"
    plain.write_text("load\n" + "".join(f"{row.split(',')[1]}\n" for row in lines()))
    run = tmp_path / "run"
    done = call("train", *RECIPES["forecaster"], *TASK, "--data.train", plain, "--out", run, *SMALL)
    assert done.code == 0, done.err
    model = recurra.load(run)
    item = model.task.item("10, 11, 12.5, 11, 10")
    assert model.predict([item])[0].shape == (6, 1)
    piped = io.TextIOWrapper(io.BytesIO(b"10, 11, 12.5, 11, 10\n3, 4, 5\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", piped)
    done = call("predict", run)
    assert done.code == 0, done.err
    assert [row["series"] for row in rows_of(done.out)] == ["line"] * 6 + ["line 2"] * 6


@pytest.mark.parametrize("kind", ["forecaster"])
def test_killed_and_resumed_is_the_same(kind: str, folder: Path, forks: Any, tmp_path: Path) -> None:
    often = ("training.checkpoint_seconds=0.000001", "training.epochs=2", "task.windows.samples_per_epoch=96")
    small = tuple(option for option in SMALL if "epochs" not in option)
    options = [option for option in RECIPES[kind] if "samples" not in option]
    given = ("train", *options, *TASK, "--data.train", folder / "a.csv", *small, *often)
    whole, resumed = forks.killed_and_resumed(*given, update=4, folder=tmp_path)
    assert whole == resumed


def test_going_on_with_newer_rows(trained: Callable[[str], Path], folder: Path, call: Any, tmp_path: Path) -> None:
    done = call(
        "finetune", trained("forecaster"), "--data.train", folder / "later.csv", "--out", tmp_path / "on", *SMALL[:4]
    )
    assert done.code == 0, done.err
    before, after = (recurra.load(run).task.fit for run in (trained("forecaster"), tmp_path / "on"))
    assert before.targets == after.targets and before.ends["load"] < after.ends["load"]


def test_what_is_forgotten_of_series_is_measured_on_what_was_held_out(folder: Path, call: Any, tmp_path: Path) -> None:
    run, told = tmp_path / "run", tmp_path / "on"
    done = call("train", *RECIPES["forecaster"], *TASK[:2], "--data.train", folder / "a.csv", "--out", run, *SMALL)
    assert done.code == 0, done.err
    done = call("finetune", run, "--data.train", folder / "later.csv", "--out", told, *SMALL[:4])
    assert done.code == 0, done.err
    assert {"before", "after"} <= json.loads((told / "results.json").read_text())["finetuning"]["forgetting"].keys()


BAD: dict[str, tuple[list[str], str]] = {
    "unsorted": ([*lines(60), lines()[10], *lines(100, 60)], "bad.csv:62: the stamps are not in order"),
    "twice": ([*lines(60), lines()[59], *lines(100, 60)], "bad.csv:62: the stamp"),
    "irregular": ([*lines(60), *lines(60, 70)], "bad.csv:62: 10 stamps are missing"),
    "text": ([*lines(60), lines()[60].replace(",", ",much", 1), *lines(100, 61)], "bad.csv:62"),
    "infinite": ([*lines(60), "2024-01-03 12:00:00,inf,1", *lines(100, 61)], "bad.csv:62"),
    "empty column": ([",".join([row.split(",")[0], "", row.split(",")[2]]) for row in lines()], "'load'"),
    "constant": ([f"{row.split(',')[0]},7,{row.split(',')[2]}" for row in lines()], "'load' is 7 in all"),
    "short": (lines(7), "horizon"),
    "no rows": ([], "bad.csv"),
    "no numbers": ([f"{row.split(',')[0]},a,b" for row in lines()], "bad.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_end_with_a_message_that_names_the_row(case: str, call: Any, tmp_path: Path) -> None:
    rows, message = BAD[case]
    path = write(tmp_path / "bad.csv", rows)
    named = ("data.series.targets=[load,price]",) if case == "empty column" else ()
    given = ("--data.train", path, "--out", tmp_path / "run", *named)
    found = call("train", *RECIPES["forecaster"], *TASK, *given, *SMALL)
    assert found.code == 2 and found.err.splitlines()[-1].startswith("recurra: "), found
    assert message in found.err and "Traceback" not in found.err, found.err
    assert not (tmp_path / "run").exists()


def test_covariates_that_end_too_early(call: Any, tmp_path: Path) -> None:
    known = ("data.series.known=[sun]", "data.series.targets=[load]")
    rows = [f"{row},{i % 7}" for i, row in enumerate(lines())]
    ahead = [f"{row.split(',')[0]},,,{i % 7}" for i, row in enumerate(lines(6, COUNT))]
    head = "date,load,price,sun"
    short, enough = (write(tmp_path / f"{n}.csv", rows + ahead[:n], head) for n in (4, 6))
    run = tmp_path / "run"
    done = call("train", *RECIPES["forecaster"], *TASK, *known, "--data.train", short, "--out", run, *SMALL)
    assert done.code == 0, done.err
    assert call("predict", run, enough).code == 0
    found = call("predict", run, short)
    assert found.code == 2 and "6 steps ahead are forecast, and they are given for 4" in found.err, found
