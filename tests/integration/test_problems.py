"""Drawn problems through the command line: train, evaluate with and without a file, predict, bad options and lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.recipes import RECIPES
from recurra.runs import override

LINES = {"adding-problem": "0.25 0.5* 1 0.75*", "copy-memory": "3 1 4", "dyck": "([", "parity": "0111", "anbn": "aab"}
SMALL = ("--quiet", "training.tensorboard=never")
FAST = ("training.epochs=1", "task.epoch_size=40", "task.valid_size=20", "task.test_size=20", "model.hidden_size=6")


@pytest.mark.parametrize("recipe", LINES)
def test_from_the_recipe_to_predictions(
    recipe: str, tmp_path: Path, call: Any, require_same_figure: Callable[[Path], None]
) -> None:
    run, lines = tmp_path / "run", tmp_path / "lines.txt"
    trained = call("train", recipe, *FAST, *SMALL, "--out", run, "--json")
    assert trained.code == 0, trained.err
    results = json.loads(trained.out)
    assert len(results["baselines"]) == 2 and results["training"]["updates"] == 1
    require_same_figure(run)
    again = call("evaluate", run, "--json")
    assert json.loads(again.out) == pytest.approx(results["test"])
    lines.write_text(f"{LINES[recipe]}\n", encoding="utf-8")
    assert json.loads(call("evaluate", run, "--data.test", lines, "--json").out).keys() == results["test"].keys()
    (row,) = (json.loads(line) for line in call("predict", run, lines, "--json").out.splitlines())
    (brief,) = recurra.load(run).predict([LINES[recipe]])
    assert LINES[recipe] in row.values() and brief in row.values()
    assert call("predict", run, lines).out.rstrip("\n").endswith(LINES[recipe])
    assert "examples drawn by the task" in (run / "model" / "README.md").read_text(encoding="utf-8")
    lines.write_text(f"{LINES[recipe]}\nx\n", encoding="utf-8")
    for refused in (call("evaluate", run, "--data.test", lines), call("predict", run, lines)):
        assert refused.code == 2 and ("lines.txt:2: " in refused.err or "item 1: " in refused.err)


def test_options_that_do_not_fit(tmp_path: Path, call: Any) -> None:
    for arguments, message in [
        (("train", "dyck", "--task.test_length", "40"), "test_length must be at least 42"),
        (("train", "anbn", "--data.train", "words.txt"), "`data.train`: anbn draws its own examples"),
        (("train", "parity", "--model.bidirectional"), "each step is answered from what came before"),
        (("train", "parity", "--model.kind", "language-model"), "task parity needs model.kind=recurrent-network"),
        (("train", "adding-problem", "--task.lenght", "5"), "Did you mean `task.length`"),
    ]:
        refused = call(*arguments, "--out", tmp_path / "run", *SMALL)
        assert refused.code == 2 and message in refused.err
        assert not (tmp_path / "run").exists()


def test_any_length_of_the_adding_problem() -> None:
    assert override(RECIPES["adding-problem"](), {"task.length": 750}).task.length == 750


def test_further_training_on_longer_sequences(tmp_path: Path, call: Any) -> None:
    small = (*FAST, *SMALL)
    assert call("train", "parity", *small, "task.length=5", "--out", tmp_path / "short").code == 0
    longer = call("finetune", tmp_path / "short", *small[:4], *SMALL, "task.length=9", "--out", tmp_path / "long")
    assert longer.code == 0, longer.err
    assert recurra.load(tmp_path / "long").config.task.length == 9
