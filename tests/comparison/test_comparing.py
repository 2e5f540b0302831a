"""`recurra compare` and `evaluate --slices` on runs trained on small files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from recurra.cli import main
from recurra.comparison import compare, comparison_lines, comparison_page
from recurra.core.errors import ConfigError

SMALL = (
    *("model.hidden_size=6", "model.embedding_dim=6", "training.batch_size=8", "training.epochs=2"),
    *("training.tensorboard=never", "optimizer.learning_rate=0.02", "--quiet"),
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders a-1, a-2 (two seeds), b (another size), split-1, split-2 (held out at random), many (multi-label), lm."""
    folder = tmp_path_factory.mktemp("runs")
    draw = random.Random(2)
    for name, number in (("train.csv", 60), ("test.csv", 40)):
        rows = ["id,text,label,stars,topics"]
        for row in range(number):
            label = draw.choice(["neg", "pos"])
            words = [draw.choice({"neg": ["bad", "poor"], "pos": ["good", "fine"]}[label])]
            words += draw.choices(["the", "cat", "sat"], k=draw.randint(1, 6))
            topics = ";".join(draw.sample(["x", "y", "z"], draw.randint(0, 2)))
            rows.append(f"r{row},{' '.join(words)},{label},{draw.choice('123')},{topics or 'x'}")
        (folder / name).write_text("\n".join(rows) + "\n")
    (folder / "text.txt").write_text("\n".join(" ".join(draw.choices(["a", "cat", "ran"], k=5)) for _ in range(60)))

    def train(out: str, recipe: str, *options: str) -> None:
        main(["train", recipe, *SMALL, *options, "--out", str(folder / out)])

    columns = ("data.text_column=text", "task.vocabulary.min_frequency=1")
    named = (*columns, "data.label_column=label")
    own = ("--data.train", str(folder / "train.csv"), "--data.test", str(folder / "test.csv"))
    for seed in ("1", "2"):
        train(f"a-{seed}", "text-classifier-small", *named, *own, "--seed", seed)
        train(f"split-{seed}", "text-classifier-small", *named, *own[:2], "--seed", seed, "training.epochs=1")
    train("b", "text-classifier-small", *named, *own, "model.pooling=mean", "training.epochs=1")
    many = ("data.label_column=topics", "task.multi_label=true", "task.label_separator=;")
    train("many", "text-classifier-small", *columns, *many, *own)
    train("lm", "char-lm", "--data.train", str(folder / "text.txt"), "training.tbptt_length=16")
    return folder


def test_seeds_are_one_row_and_differences_have_intervals(runs: Path, call: Any, tmp_path: Path) -> None:
    names = [str(runs / name) for name in ("b", "a-1", "a-2")]
    told = call("compare", *names, "--out", tmp_path / "page.html", "--json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    rows = {row["name"]: row for row in found["rows"]}
    assert set(rows) == {"a-1, a-2", "b"} and found["num_items"] == 40 and found["split"] == "test"
    both = rows["a-1, a-2"]
    own = [json.loads((runs / name / "results.json").read_text())["test"]["accuracy"] for name in ("a-1", "a-2")]
    assert both["figure"]["mean"] == pytest.approx(sum(own) / 2)
    assert both["figure"]["deviation"] == pytest.approx(abs(own[0] - own[1]) / 2**0.5)
    assert both["cost"]["parameters"] > 100 and both["cost"]["milliseconds"] > 0 and both["cost"]["core_seconds"] > 0
    gaps = [row["difference"] for row in found["rows"] if row["difference"]]
    assert len(gaps) == 1 and gaps[0]["mcnemar"] is None and gaps[0]["interval"]["low"] <= gaps[0]["mean"]
    assert "naive-bayes" in found["baselines"] and found["verdicts"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<svg" in page and "naive-bayes" in page and "src=" not in page
    plain = call("compare", *names[:2], "--against", names[0])
    assert plain.code == 0 and "(reference)" in plain.out and "McNemar" in plain.out
    again = call("compare", *names, "--out", tmp_path / "page.html")
    assert again.code == 2 and "is there already" in again.err


def test_what_a_model_started_from_is_paid_for(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "lm", tmp_path / "lm")
    given = ("data.text_column=text", "data.label_column=label", "training.epochs=1", "training.tensorboard=never")
    files = ("--data.train", str(runs / "train.csv"), "--data.test", str(runs / "test.csv"))
    main(["finetune", str(tmp_path / "lm"), *files, *given, "--quiet", "--out", str(tmp_path / "tuned")])
    found = compare([str(tmp_path / "tuned"), str(runs / "a-1")])
    costs = {row.name: row.cost for row in found.rows}
    noted = json.loads((runs / "lm" / "results.json").read_text())["training"]["core_seconds"]
    assert costs["tuned"].pretraining == noted and costs["a-1"].pretraining is None
    assert f" + {noted:,.0f}" in "\n".join(comparison_lines(found))
    shutil.rmtree(tmp_path / "lm")
    assert compare([str(tmp_path / "tuned")]).rows[0].cost.pretraining is None


def test_the_same_seed_again_is_no_second_seed(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "a-1", tmp_path / "copy")
    found = compare([str(runs / "a-1"), str(runs / "a-2"), str(tmp_path / "copy")])
    assert {row.name for row in found.rows} == {"a-1, a-2", "copy"}


def test_of_a_few_items_nothing_is_said(runs: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join((runs / "test.csv").read_text().splitlines(keepends=True)[:6]))
    found = compare([str(runs / "a-1"), str(runs / "b")], data=str(few))
    other = next(row for row in found.rows if row.difference is not None)
    assert other.interval is None and other.difference is not None and other.difference.p is None
    said = "\n".join(comparison_lines(found))
    assert "on too few items" in said and "p =" not in said
    assert "<svg" in comparison_page(found)


def test_pages_are_written_in_chinese(runs: Path) -> None:
    found = compare([str(runs / "a-1"), str(runs / "b")])
    page = comparison_page(found, "zh")
    assert "模型比较" in page and "参照" in page and "种子" in page and 'lang="zh-CN"' in page


def test_other_kinds_of_figures(runs: Path) -> None:
    many, language = compare([str(runs / "many")]), compare([str(runs / "lm")])
    results = {name: json.loads((runs / name / "results.json").read_text()) for name in ("many", "lm")}
    assert many.tag == "micro_f1"
    assert many.rows[0].figure.mean == pytest.approx(results["many"]["test"]["micro_f1"])
    assert language.rows[0].figure.mean == pytest.approx(results["lm"]["valid"]["nats"], rel=1e-6)
    assert (language.tag, language.wanted, language.split) == ("nats", "min", "valid")


def test_a_named_file_is_measured_for_all(runs: Path, call: Any) -> None:
    names = [str(runs / name) for name in ("split-1", "split-2")]
    refused = call("compare", *names)
    assert refused.code == 2 and "not measured on the same items" in refused.err and "--data.test" in refused.err
    told = call("compare", *names, "--data.test", runs / "test.csv", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["baselines"] == {}, "those of the runs were measured on other items"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a-1", "lm"), "of the task text-classification and .* of language-modelling"),
        (("a-1", "many"), "measured by accuracy and .* by micro_f1"),
        (("a-1", "a-1"), "named twice"),
        ((), "no run is named"),
    ],
)
def test_runs_that_can_not_be_compared(runs: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare([str(runs / name) for name in names])


def test_folders_and_options_that_are_wrong(runs: Path, call: Any, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(runs / "a-1" / "config.yaml", half)
    stopped = call("compare", runs / "a-1", half)
    assert stopped.code == 2 and "not finished" in stopped.err and "--resume" in stopped.err
    unknown = call("compare", runs / "a-1", "--against", runs / "b")
    assert unknown.code == 2 and "not among the runs" in unknown.err
    lost = call("compare", runs / "a-1", "data.encoding=utf-8")
    assert lost.code == 2 and "--data.test" in lost.err
    named = call("compare", runs / "a-1", "--out", tmp_path / "page.txt")
    assert named.code == 2 and "ends in .html" in named.err


def test_slices_of_a_file(runs: Path, call: Any) -> None:
    given = ("evaluate", runs / "a-1", "--data.test", runs / "test.csv")
    told = call(*given, "--slices", "length,label,stars", "--json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert [one["by"] for one in found["slices"]] == ["length", "label", "stars"]
    for one in found["slices"]:
        assert sum(part["items"] for part in one["parts"]) == 40
        whole = sum(part["items"] * part["figure"] for part in one["parts"]) / 40
        assert whole == pytest.approx(found["metrics"]["accuracy"]) == one["whole"]
    plain = call(*given, "--slices", "label")
    assert plain.code == 0 and "neg" in plain.out and "by label:" in plain.out
    for wrong, message in ((("lable",), "Did you mean `label`"), ((",",), "length,label")):
        refused = call(*given, "--slices", *wrong)
        assert refused.code == 2 and message in refused.err
    own = call("evaluate", runs / "lm", "--slices", "length")
    assert own.code == 0 and "by length" in own.out, "of no file, the run's own"
    assert call("evaluate", runs / "lm", "--slices", "length", "--stride", "2").code == 2


def test_reports_show_the_worst_answers(runs: Path) -> None:
    page = (runs / "a-1" / "report.html").read_text(encoding="utf-8")
    assert "Worst answers" in page and "the cat" in page
