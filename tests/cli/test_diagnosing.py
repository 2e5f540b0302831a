"""`recurra diagnose`: of runs, recipes and run files; the verdict, the page, the mends, and bad input."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from recurra.cli import main
from recurra.core.config import to_yaml
from recurra.diagnosis.patient import of_run
from recurra.recipes import recipe
from recurra.runs import load, read_run_config
from recurra.runs.held_out import measured_again

TINY = ["model.hidden_size=12", "model.embedding_dim=8", "training.batch_size=8", "training.tbptt_length=16"]
SICK = ["model.cell.kind=elman", "model.cell.activation=relu", "model.cell.radius=1.5"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["diagnose", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    words = ["the", "cat", "sees", "a", "ship", "and", "dog", "wants", "some", "bread", "our", "king", "no", "song"]
    draw = random.Random(0)
    path.write_text("\n".join(" ".join(draw.choices(words, k=8)) for _ in range(150)) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def run(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "lm"
    main(["train", "char-lm", "--data.train", text, *TINY, "training.max_updates=40", "--out", str(out), "--quiet"])
    return out


def test_a_recipe_is_trained_looked_at_and_mended(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mends, out = tmp_path / "mended.yaml", tmp_path / "out"
    options = ["--data.train", text, *TINY, *SICK, "--seconds", "0.1", "--out", str(out), "--apply", str(mends)]
    main(["diagnose", "char-lm", *options])
    told = capsys.readouterr()
    assert "1. Gradients explode through time (fault)" in told.out and "model.cell.kind=lstm" in told.out
    assert f"recurra train {mends}" in told.err
    config = read_run_config(mends, {})
    assert config.model.cell.kind == "lstm" and config.model.hidden_size == 12
    assert mends.read_text().startswith("# Gradients explode through time")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Gradients explode" in page and page.count("<svg") >= 5
    assert json.loads((out / "diagnosis.json").read_text())["findings"][0]["name"] == "exploding"


def test_a_run_is_looked_at_as_it_is(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load(run).model.state_dict()
    main(["diagnose", str(run), "--seconds", "0.1", "--json", "--quiet"])
    told = json.loads(capsys.readouterr().out)
    assert told["measured"]["now"]["gradients"]["layer 1"] and told["trials"]["own"]["updates"] >= 20
    assert (run / "diagnosis" / "report.html").is_file()
    after = load(run).model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)


def test_the_verdict_and_the_page_in_chinese(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mends = tmp_path / "mended.yaml"
    out = ["--out", str(tmp_path / "out"), "--apply", str(mends)]
    main(["diagnose", str(run), "optimizer.clip_norm=1e-4", "optimizer.kind=sgd", "optimizer.learning_rate=2",
          "--seconds", "0.3", "--lang", "zh", *out])  # fmt: skip
    told = capsys.readouterr().out
    assert "1. 梯度裁剪过紧 (故障)" in told and "试用: optimizer.clip_norm=1" in told and mends.exists()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'lang="zh-CN"' in page and "沿时间反传的梯度" in page and "第 1 层" in page


def test_a_run_that_broke_off_is_looked_at_where_it_stood(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    shutil.rmtree(broken / "model")
    (broken / "results.json").unlink()
    main(["diagnose", str(broken), "--seconds", "0.1", "--quiet"])
    assert (broken / "diagnosis" / "diagnosis.json").is_file()


def test_a_run_file_is_taken(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"data.train": text, "model.hidden_size": 8, "model.embedding_dim": 8, "training.batch_size": 8}
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(recipe("char-lm", **options)))
    main(["diagnose", str(path), "--seconds", "0.1", "--out", str(tmp_path / "out"), "--quiet"])
    assert capsys.readouterr().out.startswith(str(path))


def test_a_verdict_that_has_no_room_is_still_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["diagnose", str(run), "--seconds", "0.1", "--out", str(tmp_path / "taken"), "--quiet"])
    told = capsys.readouterr()
    assert stop.value.code == 2 and str(run) in told.out and "taken" in told.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_bad_input(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in refused([str(tmp_path / "none" / "x")], capsys)
    assert "Did you mean `char-lm`?" in refused(["char-ml"], capsys)
    assert "no saved model there" in refused([str(tmp_path)], capsys)
    assert "`model.*` can't be changed" in refused([str(run), "model.hidden_size=5"], capsys)
    assert "ends in .yaml" in refused([str(run), "--apply", "x.txt"], capsys)
    assert "is there already" in refused([str(run), "--apply", str(_written(tmp_path / "x.yaml"))], capsys)
    assert "more than 0" in refused([str(run), "--seconds", "0"], capsys)
    gone = refused([str(run), "--data.train", str(tmp_path / "gone.txt")], capsys)
    assert "gone.txt" in gone and "--data.train FILE" in gone


def _written(path: Path) -> Path:
    path.write_text("")
    return path


def test_what_a_run_held_out_is_held_out_again(tmp_path: Path) -> None:
    file, out = tmp_path / "a.csv", tmp_path / "run"
    file.write_text("text,label\n" + "".join(f"word{n} here,{'pos' if n % 2 else 'neg'}\n" for n in range(60)))
    small = ["model.hidden_size=4", "training.max_updates=2", "--data.train", str(file), "--out", str(out), "--quiet"]
    main(["train", "text-classifier-small", *small, "--seed", "1", "data.split_seed=7"])
    with measured_again(load(out)) as (_, held):
        found = of_run(out, {}, tmp_path / "cache").prepared.splits
    assert [one.id for one in found.test or found.valid] == [one.id for one in held]
