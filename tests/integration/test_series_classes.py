"""Classes and numbers of whole series by the command line alone: train, predict, evaluate, go on, be killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra

Run = tuple[str, Path, Path]
QUIET = ("--quiet", "training.tensorboard=never", "training.epochs=3", "training.batch_size=8")
SMALL = ("model.hidden_size=5", "model.convolution.filters=[6,4]", "model.convolution.kernel_sizes=[5,3]")
RECIPES = {
    "lstm-fcn": (*SMALL,),
    "series-classifier": ("model.hidden_size=5", "task.missing=mask", "task.normalisation=series"),
    "crnn": (*SMALL, "model.convolution.strides=[1,2]", "task.class_weights=balanced", "task.label_smoothing=0.1"),
    "series-ensemble": (*(option.replace("model.", "model.member.") for option in SMALL), "model.num_members=2"),
    "series-regressor": (*SMALL, "task.loss=huber"),
}
EVERY = pytest.mark.parametrize("recipe", RECIPES)


def series(number: int, rng: np.random.Generator) -> tuple[str, str, str]:
    """Values of two dimensions as .ts writes them, a class and a number; every seventh lacks a value."""
    kind = number % 3
    steps = np.arange(rng.integers(8, 15))
    first = np.sin(steps * (0.3 + 0.5 * kind)) + rng.normal(0, 0.1, len(steps))
    cells = [[f"{value:.3f}" for value in row] for row in (first, first * kind + 1)]
    if number % 7 == 0:
        cells[0][2] = "?"
    return ":".join(map(",".join, cells)), "abc"[kind], f"{first.mean():.4f}"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of each kind: train.ts, numbers.ts, unlabelled.ts, and long.csv with the rows of train.ts."""
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    rows = [series(number, rng) for number in range(42)]
    head = "@univariate false\n@dimensions 2\n"
    (folder / "train.ts").write_text(
        f"{head}@classLabel true a b c\n@data\n" + "".join(f"{v}:{c}\n" for v, c, _ in rows)
    )
    (folder / "numbers.ts").write_text(f"{head}@targetLabel true\n@data\n" + "".join(f"{v}:{n}\n" for v, _, n in rows))
    (folder / "unlabelled.ts").write_text(f"{head}@classLabel false\n@data\n" + "".join(f"{v}\n" for v, _, _ in rows))
    lines = ["id,step,x,y,class"]
    for number, (values, name, _) in enumerate(rows):
        pairs = zip(*(part.replace("?", "").split(",") for part in values.split(":")), strict=True)
        lines += [f"s{number},{step},{x},{y},{name}" for step, (x, y) in enumerate(pairs)]
    (folder / "long.csv").write_text("\n".join(lines) + "\n")
    return folder


def data_of(recipe: str) -> str:
    return "numbers.ts" if recipe == "series-regressor" else "train.ts"


@pytest.fixture
def trained(folder: Path, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The finished run of a recipe, trained on first use; the working directory is that of the files."""

    def find(recipe: str) -> Path:
        monkeypatch.chdir(folder)
        run = folder / f"run-{recipe}"
        if not run.exists():
            done = call("train", recipe, *RECIPES[recipe], "--data.train", data_of(recipe), "--out", run, *QUIET)
            assert done.code == 0, done.err
        return run

    return find


@EVERY
def test_predictions_of_files_and_lines(recipe: str, trained: Callable[[str], Path], call: Any, folder: Path) -> None:
    run = trained(recipe)
    plain, rows = call("predict", run, "unlabelled.ts"), call("predict", run, "unlabelled.ts", "--json")
    assert plain.code == 0 and rows.code == 0, plain.err + rows.err
    assert len(plain.out.splitlines()) == len(rows.out.splitlines()) == 42
    model = recurra.load(run)
    told = json.loads(rows.out.splitlines()[1])
    assert told["series"] == plain.out.splitlines()[1].split("\t")[-1] == "6"
    line = (folder / "unlabelled.ts").read_text().splitlines()[5]
    item = model.task.item(line)
    (found,) = model.predict_readable([item])
    assert found.keys() < told.keys()
    arrays = [np.array([[float(cell) for cell in part.split(",")] for part in line.split(":")])]
    assert model.predict(arrays) == model.predict([item]) and model.predict([]) == []


@EVERY
def test_evaluation_and_report(
    recipe: str, trained: Callable[[str], Path], call: Any, require_same_figure: Callable[[Path], None]
) -> None:
    run = trained(recipe)
    require_same_figure(run)
    found = call("evaluate", run, "--data.test", data_of(recipe), "--json")
    assert found.code == 0, found.err
    results = json.loads((run / "results.json").read_text())
    tag = recurra.load(run).task.monitor[0]
    assert tag in json.loads(found.out) and tag in results["valid"]
    assert {"1-nn-euclidean", "1-nn-dtw", "ridge-statistics"} < set(results["baselines"])
    assert "1-nn-dtw" in (run / "report.html").read_text(encoding="utf-8")
    assert "recurra.load" in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_a_table_is_read_like_the_other_formats(trained: Callable[[str], Path], call: Any, folder: Path) -> None:
    run = trained("lstm-fcn")
    first, second = (call("evaluate", run, "--data.test", name, "--json") for name in ("train.ts", "long.csv"))
    assert first.code == second.code == 0, second.err
    assert json.loads(first.out) == pytest.approx(json.loads(second.out))
    (folder / "asked.csv").write_text("id,step,x,y\nq,0,1,2\nq,1,1,2\nr,0,,3\nr,1,4,5\n")
    asked = call("predict", run, "asked.csv")
    assert asked.code == 0 and [row.split("\t")[-1] for row in asked.out.splitlines()] == ["q", "r"], asked


@EVERY
def test_going_on_with_other_data(recipe: str, trained: Callable[[str], Path], call: Any, tmp_path: Path) -> None:
    run = trained(recipe)
    done = call("finetune", run, "--data.train", data_of(recipe), "--out", tmp_path / "on", *QUIET)
    assert done.code == 0, done.err
    before, after = ((one / "model" / "series.json").read_bytes() for one in (run, tmp_path / "on"))
    assert before == after


@EVERY
def test_killed_and_resumed_is_the_same(recipe: str, folder: Path, forks: Any, tmp_path: Path) -> None:
    often = ("training.checkpoint_seconds=0.000001", "training.tensorboard=never", "training.epochs=2", "--quiet")
    given = ("train", recipe, *RECIPES[recipe], "--data.train", folder / data_of(recipe), *often)
    whole, resumed = forks.killed_and_resumed(*given, update=4, folder=tmp_path)
    assert whole == resumed


FAULTS = {
    "text": ("x.csv", "label,v0,v1\na,1,abc\nb,2,3\n", ("x.csv:2", "'abc' is no number")),
    "infinite": ("x.csv", "label,v0,v1\na,1,inf\nb,2,3\n", ("x.csv:2", "infinite")),
    "missing": ("x.csv", "label,v0,v1\na,,\nb,2,3\n", ("x.csv:2", "holds no value")),
    "stamps": ("x.csv", "id,t,v,label\np,1,1,a\np,0,1,a\nq,0,1,b\n", ("x.csv:3", "not above the one before")),
    "one label": ("x.ts", "@classLabel true\n@data\n1,2:a\n3,4:a\n" + "5,6:a\n" * 9, ("at least two labels", "'a'")),
    "header": ("x.ts", "@classLabel true\n1,2:a\n", ("x.ts:2", "@data")),
    "dimensions": ("x.ts", "@classLabel true\n@data\n1,2:3,4:a\n1,2:b\n", ("x.ts:4", "fields between colons")),
    "empty": ("x.txt", "", ("x.txt", "empty")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_files_end_with_a_message(fault: str, call: Any, tmp_path: Path) -> None:
    name, text, says = FAULTS[fault]
    (tmp_path / name).write_text(text)
    found = call("train", "lstm-fcn", "--data.train", tmp_path / name, "--out", tmp_path / "out", *QUIET)
    assert found.code == 2 and found.err.startswith("recurra: ") and "Traceback" not in found.err
    assert all(part in found.err for part in says), found.err
    assert not (tmp_path / "out").exists()


def test_labels_are_no_values_of_a_series_to_predict(trained: Callable[[str], Path], call: Any, tmp_path: Path) -> None:
    table = "label,v0,v1,v2\na,1,2,3\n"
    (tmp_path / "train.csv").write_text(table + "b,3,2,1\na,1,2,4\nb,4,2,1\n" * 4)
    run = tmp_path / "run"
    done = call("train", "lstm-fcn", "--data.train", tmp_path / "train.csv", "--out", run, *QUIET, *SMALL)
    assert done.code == 0, done.err
    (tmp_path / "open.csv").write_text(table + ",3,2,1\n")
    found = call("predict", run, tmp_path / "open.csv")
    assert found.code == 0 and len(found.out.splitlines()) == 2, found.err
    (tmp_path / "class.csv").write_text("class,v0,v1,v2\n7,1,2,3\n9,3,2,1\n")
    assert call("predict", run, tmp_path / "class.csv").out == found.out
    missing = call("evaluate", run, "--data.test", tmp_path / "class.csv")
    assert missing.code == 2 and "no column 'label' (data.label_column)" in missing.err


def test_bad_files_for_a_trained_model(trained: Callable[[str], Path], call: Any, folder: Path) -> None:
    run = trained("series-classifier")
    (folder / "one.ts").write_text("@univariate true\n@classLabel true\n@data\n1,2,3:a\n")
    (folder / "other.ts").write_text("@classLabel true\n@data\n1,2,3:1,2,4:z\n")
    (folder / "constant.ts").write_text("@classLabel false\n@data\n1,2,3:1,2,4\n5,5:2,2\n")
    found = call("predict", run, "one.ts")
    assert found.code == 2 and "one.ts:4: 1 dimensions, and the model was trained on 2" in found.err
    found = call("evaluate", run, "--data.test", "other.ts")
    assert found.code == 2 and "label 'z' is not one that the model was trained on" in found.err
    found = call("predict", run, "constant.ts")
    assert found.code == 2 and "constant.ts:4: all values of the series are the same" in found.err
    regression = trained("series-regressor")
    found = call("evaluate", regression, "--data.test", "train.ts")
    assert found.code == 2 and "the target is 'a': a finite number is wanted" in found.err
