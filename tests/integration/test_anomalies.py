"""Anomalies by the command line alone: train, predict, plot, evaluate, be killed and resumed, refuse bad files."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra

Call = Callable[..., Any]
SMALL = ("--quiet", "training.tensorboard=never", "training.max_updates=6", "model.hidden_size=4")
RECIPES = {
    "alarms": ("anomaly-alarms", "task.leads=[1,3]", "task.scoring.rest=5", "task.window_length=24"),
    "autoencoder": ("anomaly-autoencoder", "task.window_length=8", "task.threshold=quantile"),
}
COUNT, ODD = 260, range(240, 246)


def text(count: int = COUNT, *, head: str = "time,requests,anomaly", labelled: bool = True) -> str:
    rng, steps = np.random.default_rng(0), np.arange(count)
    values = 100 + 30 * np.sin(2 * np.pi * steps / 24) + rng.normal(0, 2, count)
    values[[step for step in ODD if step < count]] += 300
    stamps = np.datetime64("2024-01-01T00:00:00") + steps * np.timedelta64(1, "h")
    rows = zip(stamps, values, steps, strict=True)
    lines = [f"{str(s).replace('T', ' ')},{v:.3f}" + (f",{int(n in ODD)}" if labelled else "") for s, v, n in rows]
    return "\n".join([head, *lines]) + "\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("anomalies")
    (made / "load.csv").write_text(text())
    (made / "bare.csv").write_text(text(head="time,requests", labelled=False))
    windows = {"load.csv": [["2024-01-11 00:00", "2024-01-11 05:00"]]}
    (made / "windows.json").write_text(json.dumps({**windows, "bare.csv": windows["load.csv"]}))
    return made


@pytest.fixture
def trained(folder: Path, call: Call) -> Callable[[str], Path]:
    """The finished run of a recipe, trained on first use."""

    def find(name: str) -> Path:
        run = folder / name
        if not run.exists():
            data = ("--data.train", folder / "load.csv", "data.test_fraction=0.1")
            done = call("train", *RECIPES[name], *data, "--out", run, *SMALL)
            assert done.code == 0, done.err
        return run

    return find


def test_scores_and_flags_are_rows_with_stamps(
    trained: Callable[[str], Path], folder: Path, call: Call, tmp_path: Path
) -> None:
    run = trained("alarms")
    done = call("predict", run, folder / "bare.csv", "--plot", tmp_path / "p.png")
    assert done.code == 0, done.err
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == ["series", "stamp", "requests", "score", "flag"] and len(rows) == COUNT
    assert rows[240]["stamp"] == "2024-01-11 00:00:00" and rows[240]["flag"] == "1" and rows[200]["flag"] == "0"
    assert (tmp_path / "p.png").stat().st_size > 1000
    told = json.loads(call("predict", run, folder / "bare.csv", "--json").out)
    assert told["series"] == "bare" and told["steps"][240]["flag"] == 1 and 0 < told["threshold"] < 1
    marked = ("data.label_column=anomaly", "--plot", tmp_path / "marked.png", "--out", tmp_path / "marked.csv")
    done = call("predict", run, folder / "load.csv", *marked)
    assert done.code == 0, done.err
    assert (tmp_path / "marked.csv").read_text().splitlines()[241].startswith("load,2024-01-11 00:00:00,")
    model = recurra.load(run)
    items = model.items(folder / "bare.csv")
    (scores,) = model.predict(items)
    assert scores[240] == pytest.approx(told["steps"][240]["score"])
    live = model.live(items[0].part(0, 240))
    assert live.update(items[0].values[240], items[0].stamps[240]) == pytest.approx(scores[240], rel=1e-4)
    assert live.flagged


@pytest.mark.parametrize("name", RECIPES)
def test_reports_and_evaluations(
    name: str, trained: Callable[[str], Path], folder: Path, call: Call, require_same_figure: Callable[[Path], None]
) -> None:
    run = trained(name)
    require_same_figure(run)
    results = json.loads((run / "results.json").read_text())
    assert {"nats", "f1", "event_f1", "roc_auc", "pr_auc", "nab"} <= set(results["test"])
    assert {"windowed gaussian", "last 64 values", "last value"} == set(results["baselines"])
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "windowed gaussian" in report and "steps are flagged" in report and "<svg" in report
    assert "recurra.load" in (run / "model" / "README.md").read_text(encoding="utf-8")
    found = call("evaluate", run, "--data.test", folder / "load.csv", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["event_recall"] == 1
    windows = f"data.series.windows={folder / 'windows.json'}"
    same = call("evaluate", run, "--data.test", folder / "bare.csv", windows, "--json")
    assert same.code == 0, same.err
    assert json.loads(same.out) == pytest.approx(json.loads(found.out))
    swapped = folder / "swapped.json"
    swapped.write_text('{"bare.csv": [["2024-01-02", "2024-01-01"]]}')
    back = call("evaluate", run, "--data.test", folder / "bare.csv", f"data.series.windows={swapped}")
    assert back.code == 2 and "swapped.json: bare.csv: the window from 2024-01-02" in back.err
    bare = call("evaluate", run, "--data.test", folder / "bare.csv", "--json")
    assert set(json.loads(bare.out)) == {"nats", "flagged"}


def test_a_killed_run_goes_on_to_the_same_numbers(folder: Path, forks: Any, tmp_path: Path) -> None:
    options = ("train", *RECIPES["alarms"], "--data.train", folder / "load.csv", *SMALL, "training.max_updates=12")
    whole = forks.run(*options, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    frequent = ("--out", tmp_path / "killed", "training.checkpoint_seconds=0.001")
    killed = forks.run(*options, *frequent, stop=("update", 7, "after", "SIGKILL"))
    assert killed.code == -signal.SIGKILL, killed.err
    again = forks.run(*options, *frequent, "--resume")
    assert again.code == 0, again.err
    results = [json.loads((tmp_path / name / "results.json").read_text())["valid"] for name in ("whole", "killed")]
    assert results[0] == results[1]


FAULTS = {
    "label": (
        text().replace(",0\n", ",2\n", 1),
        ("data.label_column=anomaly",),
        ("bad.csv:2:", "label column", "is 2"),
    ),
    "no label": (text(), ("data.label_column=odd",), ("odd",)),
    "words": (text().replace("requests", "word").replace("100.", "x"), (), ("bad.csv:",)),
    "short": (text(6, labelled=False, head="time,requests"), ("task.leads=[1,16]",), ("bad.csv",)),
    "no anomalies": (text(200), ("task.threshold=labelled",), ("task.threshold=labelled", "--data.label_column")),
    "no windows": (text(), ("data.series.windows=none.json",), ("recurra: none.json: no such file",)),
    "no short window": (text(), ("task.scoring.short_windows=[0]",), ("`task.scoring.short_windows.0`",)),
    "infinite": (text().replace(",0\n", ",0\n2024-01-01,inf,0\n", 1), (), ("bad.csv:3",)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_files_are_one_message_with_its_place(name: str, call: Call, tmp_path: Path) -> None:
    content, options, wanted = FAULTS[name]
    path = tmp_path / "bad.csv"
    path.write_text(content)
    done = call("train", *RECIPES["alarms"], "--data.train", path, "--out", tmp_path / "run", *SMALL, *options)
    assert done.code == 2 and len(done.err.strip().splitlines()) == 1, done.err
    for part in wanted:
        assert part in done.err


def test_columns_that_are_missing_are_named(trained: Callable[[str], Path], call: Call, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text(50, head="time,latency", labelled=False))
    done = call("predict", trained("alarms"), path)
    assert done.code == 2 and "requests" in done.err
