"""What users get wrong: one clear message that names file, line or option and the mend; exit code 2; nothing harmed."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recurra.core.config import parse_overrides
from recurra.training import read_metrics

Call = Callable[..., Any]
LANGUAGE = (
    "train",
    "char-lm",
    "model.hidden_size=8",
    "training.max_updates=2",
    "training.tensorboard=never",
    "--quiet",
)
CLASSIFIER = (
    *("train", "text-classifier-small", "model.hidden_size=8", "training.max_updates=2"),
    *("training.tensorboard=never", "--quiet"),
)


def require_refusal(result: Any, *says: str) -> None:
    assert result.code == 2, result
    assert result.out == ""
    message = result.err.strip()
    assert message.startswith("recurra: ") and message.count("\nrecurra: ") == 0, message
    assert "Traceback" not in message
    for part in says:
        assert part in message, message


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# -- files of text --------------------------------------------------------------------------------------------------

LINES = "a line of text\nand another one\n" * 40
BAD_TEXTS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("bad.txt: the file is empty.", "Give a file with at least one line")),
    "one line": (b"only one line\n", ("too few lines", "--data.valid")),
    "blank": (b"    ", ("too short",)),
    "latin-1": (
        LINES.encode() + "caf\xe9\n".encode("latin-1"),
        ("bad.txt:81: byte 0xe9 at column 4", "--data.encoding"),
    ),
    "binary": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50, ("bad.txt: a binary file", "PNG")),
    "zeros": (bytes(5000), ("bad.txt: a binary file", "NUL")),
    "NUL bytes": (LINES.replace("another", "an\0ther").encode(), ("bad.txt:2: NUL byte at column 7",)),
    "utf-16": (LINES.encode("utf-16"), ("bad.txt:1: starts with a UTF-16 mark", "--data.encoding=utf-16")),
    "cut gzip": (gzip.compress(LINES.encode())[:60], ("bad.txt: the gzip file is cut short",)),
}


@pytest.mark.parametrize("fault", BAD_TEXTS)
def test_bad_text(fault: str, call: Call, out: Path, tmp_path: Path) -> None:
    content, says = BAD_TEXTS[fault]
    (tmp_path / "bad.txt").write_bytes(content)
    require_refusal(call(*LANGUAGE, "--data.train", tmp_path / "bad.txt", "--out", out), *says)
    assert not out.exists()


def test_a_line_of_ten_megabytes_is_text_but_no_table(
    call: Call, out: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recurra.tasks.language_modelling._BASELINE_TOKENS", 5_000)
    line = "some words of a very long line " * (10_000_000 // 31)
    (tmp_path / "long.txt").write_text(line + "\n")
    found = call(*LANGUAGE, "--data.train", tmp_path / "long.txt", "--data.valid", texts / "text.txt", "--out", out)
    assert found.code == 0, found.err
    (tmp_path / "long.csv").write_text(f"text,label\n{line},1\nshort,0\n")
    refused = call(*CLASSIFIER, "--data.train", tmp_path / "long.csv", "--out", tmp_path / "other")
    require_refusal(refused, "long.csv:2: field 0: longer than 1,000,000 characters")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "name", ["ünï cödé 文本.txt", "two words.txt", "a=b.txt", "#hash.txt", "[list].txt", "no-ending"]
)
def test_unusual_file_names(name: str, call: Call, texts: Path, tmp_path: Path) -> None:
    shutil.copy(texts / "text.txt", tmp_path / name)
    out = tmp_path / "out ä"
    assert call(*LANGUAGE, "--data.train", tmp_path / name, "--out", out).code == 0
    assert call("train", "--resume", "--out", out, "--quiet").code == 0
    assert call("generate", out, "the", "--max-length", "3", "--seed", "1").code == 0


def test_a_name_that_is_no_unicode(call: Call, texts: Path, out: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.txt")
    try:
        shutil.copy(texts / "text.txt", name)
    except OSError:
        pytest.skip("this file system takes names of Unicode only")
    require_refusal(call(*LANGUAGE, "--data.train", name, "--out", out), "not valid UTF-8", "Rename the file")
    assert not out.exists()


def test_links_pipes_and_several_files(call: Call, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(texts / "text.txt")
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress((texts / "text.txt").read_bytes()))
    given = f"[{tmp_path / 'link.txt'},{tmp_path / 'packed.txt.gz'}]"
    assert call(*LANGUAGE, f"data.train={given}", "--out", tmp_path / "a").code == 0
    assert call(*LANGUAGE, "--data.train", given, "--out", tmp_path / "b").code == 0
    first, second = (read_metrics(tmp_path / name / "metrics.jsonl")[0]["loss"] for name in "ab")
    assert first == second
    (tmp_path / "nowhere.txt").symlink_to("missing")
    require_refusal(call(*LANGUAGE, "--data.train", tmp_path / "nowhere.txt", "--out", tmp_path / "c"), "no such file")


def test_missing_data(call: Call, texts: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    given = ("--out", out)
    require_refusal(call(*LANGUAGE, *given), "no training text: give --data.train FILE")
    require_refusal(call(*CLASSIFIER, *given), "no training data: give --data.train FILE")
    require_refusal(
        call(*LANGUAGE, "--data.train", texts / "texts.txt", *given), "no such file. Did you mean", "text.txt"
    )
    require_refusal(call(*LANGUAGE, "--data.train", tmp_path / "folder", *given), "the folder holds no text files")
    require_refusal(call(*CLASSIFIER, "--data.train", tmp_path / "folder", *given), "the folder holds no text files")
    require_refusal(call(*LANGUAGE, "--data.train", "", *given), "a file name is empty")
    require_refusal(call(*LANGUAGE, "data.train=''", *given), "a file name is empty")
    require_refusal(
        call(*LANGUAGE, "--data.train", texts / "text.txt", "--data.test", "gone", *given), "gone: no such file"
    )
    assert not out.exists()


# -- tables ---------------------------------------------------------------------------------------------------------

GOOD = "".join(f"{'good' if row % 2 else 'bad'} text {row},{'pos' if row % 2 else 'neg'}\n" for row in range(20))
NO_TEXTS = "text,label\n" + ",pos\n,neg\n" * 10
TWICE = "id,text,label\n7,good,pos\n8,bad,neg\n7,fine,pos\n"
BAD_TABLES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "empty": ("", (), ("bad.csv: the file is empty",)),
    "header only": ("text,label\n", (), ("bad.csv: one line only, and it is the header (text, label)",)),
    "one row": ("text,label\ngood,1\n", (), ("bad.csv:2: one row only", "--data.valid")),
    "missing column": (f"text,label\n{GOOD}", ("data.text_column=txt",), ("no column 'txt'", "Did you mean `text`?")),
    "missing number": (f"text,label\n{GOOD}", ("data.label_column=7",), ("no column '7'", "Columns: text, label")),
    "no label column": ("one line\nanother\nmore\n" * 9, (), ("no column looks like a label", "--data.label_column")),
    "single class": ("text,label\n" + "abc,1\n" * 20, (), ("at least two labels", "only '1'")),
    "empty label": (f"text,label\n{GOOD}some text,\n", (), ("bad.csv:22: label column 'label' is empty",)),
    "empty texts": (NO_TEXTS, (), ("hold no token",)),
    "duplicate ids": (TWICE, (), ("bad.csv:4: id '7' stands at", ":2 already")),
    "ragged": (f"text,label\n{GOOD}a,b,c\n", (), ("bad.csv:22: 3 fields where 2 are wanted", "skip_bad_rows")),
    "open quote": (f'text,label\n{GOOD}"never closed,pos\n', (), ("bad.csv:22: field 0: a quote is opened",)),
    "NUL": (f"text,label\n{GOOD}a\0b,pos\n", (), ("bad.csv:22: NUL byte at column 2",)),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_bad_tables(fault: str, call: Call, out: Path, tmp_path: Path) -> None:
    content, options, says = BAD_TABLES[fault]
    (tmp_path / "bad.csv").write_text(content)
    require_refusal(call(*CLASSIFIER, "--data.train", tmp_path / "bad.csv", "--out", out, *options), *says)
    assert not out.exists()


def test_bad_lines_of_json(call: Call, out: Path, tmp_path: Path) -> None:
    rows = '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n' * 10
    for fault, says in {
        "{bad\n": "not JSON",
        '{"text": "x"}\n': "has no field 'label'",
        "[1]\n": "a list where",
    }.items():
        (tmp_path / "bad.jsonl").write_text(rows + fault)
        require_refusal(call(*CLASSIFIER, "--data.train", tmp_path / "bad.jsonl", "--out", out), "bad.jsonl:21: ", says)


def test_labels_and_columns_of_other_files(
    call: Call, texts: Path, classifier_run: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("text,label\ngood,pos\nbad,nge\n")
    says = ("other.csv:3: label 'nge' is not one that the model was trained on. Did you mean `neg`?",)
    given = ("--data.train", texts / "reviews.csv", "--data.valid", tmp_path / "other.csv")
    require_refusal(call(*CLASSIFIER, *given, "--out", out), *says)
    require_refusal(call("evaluate", classifier_run, "--data.test", tmp_path / "other.csv"), *says)
    (tmp_path / "other.csv").write_text("review,mood\ngood,pos\nbad,neg\n")
    require_refusal(call(*CLASSIFIER, *given, "--out", out), "its columns are review, mood; text and label are wanted")
    evaluate = ("evaluate", classifier_run, "--data.test", tmp_path / "other.csv")
    require_refusal(call(*evaluate), "no column 'text', which held the text in training", "--data.text_column=NAME")
    assert call(*evaluate, "data.text_column=review", "data.label_column=mood").code == 0
    assert not out.exists()


def test_a_split_of_one_class_gives_the_figures_that_are_defined(
    call: Call, texts: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("text,label\ngood,pos\nfine,pos\n")
    given = ("--data.train", texts / "reviews.csv", "--data.valid", tmp_path / "one.csv", "--out", out)
    done = call(*CLASSIFIER, *given, "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.out)["valid"]
    assert "roc_auc" not in figures and "accuracy" in figures
    for name in ("results.json", "metrics.jsonl", "model/metrics.json"):
        assert "NaN" not in (out / name).read_text()


# -- options --------------------------------------------------------------------------------------------------------

BAD_OPTIONS: dict[str, tuple[str, ...]] = {
    "model.hidden_sice=9": ("no option `model.hidden_sice`. Did you mean `model.hidden_size`?",),
    "modle.hidden_size=9": ("no option `modle`",),
    "model.cell=foo": ("`model.cell.kind`: no such choice `foo`. Known: elman, lstm, gru, orthogonal.",),
    "model.cell=gruu": ("Did you mean `gru`?",),
    "optimizer=sdg": ("`optimizer.kind`: no such choice `sdg`. Did you mean `sgd`?",),
    "optimizer.momentum=0.9": ("no option `optimizer.momentum`",),
    "model.hidden_size=-3": ("`model.hidden_size`: input should be greater than or equal to 1, got -3",),
    "model.hidden_size=abc": ("`model.hidden_size`: input should be a valid integer", "got 'abc'"),
    "model.hidden_size=2.5": ("`model.hidden_size`: input should be a valid integer", "got 2.5"),
    "model.hidden_size=": ("`model.hidden_size`: input should be a valid integer, got None",),
    "model.hidden_size=1000000000": ("not enough memory", "Lower training.batch_size", "model.hidden_size"),
    "model.hidden_size=99999999999999999999": ("not enough memory", "model.hidden_size"),
    "training.batch_size=1000000000000": ("not enough memory", "training.batch_size"),
    "model.hidden_size.x=3": ("`hidden_size` is a single value, not a group of options",),
    "model=text-classifier": ("task language-modelling needs model.kind=language-model",),
    "=5": ("`=5`: an override is written key=value",),
    "seed=-1": ("`seed`: input should be greater than or equal to 0",),
    "seed=99999999999999999999": ("`seed`: input should be less than",),
    "optimizer.learning_rate=nan": ("`optimizer.learning_rate`: input should be a finite number",),
    "optimizer.learning_rate=0": ("`optimizer.learning_rate`: input should be greater than 0",),
    "model.bidirectional=true": ("`model.bidirectional`: a language model reads forward only",),
    "optimizer.discriminative=1e300": ("`optimizer.discriminative`: input should be less than or equal to 1000",),
    "training.device=gpu": ("`training.device`: no such device `gpu`; use auto, cpu, cuda or cuda:N",),
    "training.monitor=accuracy": ("`training.monitor`: the task gives no metric `accuracy`. Known: nats",),
    "training.epochs=0": ("`training.epochs`: input should be greater than or equal to 1",),
    "data.valid_fraction=1.5": ("`data.valid_fraction`: input should be less than 1, got 1.5",),
    "data.encoding=klingon": ("there is no encoding `klingon`",),
    "task.length_jitter=64": ("`task.length_jitter` is 64: training.tbptt_length=64 must be more",),
    "task.vocabulary.kind=chars": ("no such choice `chars`. Did you mean `char`?",),
    "foo": ("one recipe or run file is wanted, got char-lm, foo",),
    "--frobnicate": ("Unknown option: --frobnicate", "Options of the run are written name=value"),
    "--seed=abc": ('unable to convert "abc" into int',),
    "--seed=-1": ("`seed`: input should be greater than or equal to 0, got -1",),
    "--model.hidden_sice=9": ("no option `model.hidden_sice`. Did you mean `model.hidden_size`?",),
    "--out=": ("--out is empty",),
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_bad_options(option: str, call: Call, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_refusal(call(*LANGUAGE, "--data.train", texts / "text.txt", option), *BAD_OPTIONS[option])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


WRITTEN: dict[tuple[str, ...], dict[str, Any]] = {
    ("optimizer=sgd",): {"optimizer.kind": "sgd"},
    ("optimizer.momentum=0.9", "optimizer.kind=sgd"): {"optimizer.kind": "sgd", "optimizer.momentum": 0.9},
    ("--model.hidden_size", "9"): {"model.hidden_size": 9},
    ("--model.residual", "--seed", "7"): {"model.residual": True, "seed": 7},
    ("model.cell=gru", "model.cell.reset_after=false"): {"model.cell.kind": "gru", "model.cell.reset_after": False},
    ("optimizer.learning_rate=1e-2", "model.num_layers=2e0"): {"optimizer.learning_rate": 0.01, "model.num_layers": 2},
    ("model.hidden_size=5", "model.hidden_size=6"): {"model.hidden_size": 6},
}


@pytest.mark.parametrize("options", WRITTEN, ids=" ".join)
def test_ways_to_write_options(options: tuple[str, ...], call: Call, texts: Path, out: Path) -> None:
    assert call(*LANGUAGE, "--data.train", texts / "text.txt", "--out", out, *options).code == 0
    stored = json.loads((out / "model" / "config.json").read_text())["run"]
    for key, value in WRITTEN[options].items():
        found = stored
        for part in key.split("."):
            found = found[part]
        assert found == value


@pytest.mark.parametrize("value", ["|", "#x", "@x", "%x", "[a.txt", "{x", "*x", "'x", "a: b: c", ",", "`x`"])
def test_what_is_no_yaml_is_plain_text(value: str) -> None:
    assert parse_overrides([f"key={value}"]) == {"key": value}


def test_bad_calls(call: Call) -> None:
    require_refusal(call("train"), "name a recipe or a run file: char-lm, ")
    require_refusal(call("train", "char-lmm"), "no recipe `char-lmm`. Did you mean `char-lm`?")
    require_refusal(call("trian"), 'Unknown command "trian"')
    require_refusal(call("list", "foo"), 'Invalid value "foo"', '"cells", "models"')
    require_refusal(call("list", "options", "foo"), "no recipe `foo`")
    require_refusal(call("evaluate", "no-model"), "no-model: no such folder")
    require_refusal(call("evaluate", "no-model", "--backtest"), "name it with --data.test FILE")
    require_refusal(call("train", "char-lm", "--out"), "--out requires an argument")


# -- run files ------------------------------------------------------------------------------------------------------

BAD_RUN_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "unknown key": (
        b"task: language-modelling\nmodel: language-model\ntraining:\n  epoch: 3\n",
        ("run.yaml:4: no option `training.epoch`. Did you mean `training.epochs`?",),
    ),
    "two faults": (
        b"task: language-modelling\nmodel: language-model\ntraining:\n  epochs: three\nseed: -1\n",
        ("run.yaml:4: `training.epochs`: ", "run.yaml:5: `seed`: "),
    ),
    "twice": (b"task: language-modelling\ntask: x\n", ("run.yaml:2: `task` stands twice",)),
    "a list": (b"- a\n", ("run.yaml:1: a run file is a mapping of options; got list",)),
    "empty": (b"", ("run.yaml:1: a run file is a mapping",)),
    "no YAML": (b"a: [\n", ("run.yaml:2: not valid YAML",)),
    "not UTF-8": (b"\xff\xfe", ("run.yaml: not UTF-8",)),
    "no model": (b"task: language-modelling\n", ("run.yaml: option `model` is missing",)),
    "code": (b"task: !!python/object/apply:os.system ['touch owned']\n", ("run.yaml:1: not valid YAML",)),
}


@pytest.mark.parametrize("fault", BAD_RUN_FILES)
def test_bad_run_files(fault: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, says = BAD_RUN_FILES[fault]
    (tmp_path / "run.yaml").write_bytes(content)
    require_refusal(call("train", "run.yaml"), *says)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_a_missing_run_file(call: Call) -> None:
    require_refusal(call("train", "missing.yaml"), "missing.yaml: can't be read (No such file or directory)")


# -- where to write -------------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_left_alone(call: Call, texts: Path, language_run: Path, tmp_path: Path) -> None:
    given = (*LANGUAGE, "--data.train", texts / "text.txt", "--out")
    before = contents(language_run)
    require_refusal(
        call(*given, language_run), "holds a run already; go on with it by --resume, or choose another --out"
    )
    assert contents(language_run) == before
    (tmp_path / "notes.txt").write_text("precious")
    require_refusal(call(*given, tmp_path), "is not empty, and nothing is overwritten")
    require_refusal(call(*given, tmp_path / "notes.txt"), "is a file, and a folder is wanted")
    require_refusal(call(*given, tmp_path / "notes.txt" / "run"), "A part of the path is a file")
    require_refusal(call(*given, "/proc/nowhere/run"), "can't write /proc/nowhere/run")
    require_refusal(call(*given, tmp_path / ("n" * 300)), "File name too long")
    assert contents(tmp_path) == {"notes.txt": hashlib.sha256(b"precious").hexdigest()}


def test_a_failed_start_leaves_the_folder_free(call: Call, texts: Path, out: Path) -> None:
    require_refusal(call(*LANGUAGE, "--data.train", "missing.txt", "--out", out), "no such file")
    assert not out.exists()
    out.mkdir()
    (out / ".hidden").write_text("mine")
    require_refusal(call(*LANGUAGE, "--data.train", "missing.txt", "--out", out), "no such file")
    assert [path.name for path in out.iterdir()] == [".hidden"]
    assert call(*LANGUAGE, "--data.train", texts / "text.txt", "--out", out).code == 0


def test_a_full_disk_before_the_training(forks: Any, texts: Path, out: Path) -> None:
    given = (*LANGUAGE, "--data.train", texts / "text.txt", "--out", out)
    full = forks.run(*given, LIMIT_FILE_BYTES="5000")
    assert full.code == 2 and full.err.startswith("recurra: can't write") and "File too large" in full.err, full.err
    assert not out.exists()


def test_a_full_disk_while_training_harms_no_older_checkpoint(forks: Any, texts: Path, tmp_path: Path) -> None:
    often = ("training.checkpoint_seconds=0.000001", "training.max_updates=12")
    given = (*LANGUAGE, *often, "--data.train", texts / "text.txt", "--out")
    assert forks.run(*given, tmp_path / "whole").code == 0
    run = tmp_path / "run"
    assert forks.run(*given, run, stop=("update", 6, "after", "SIGTERM")).code == 130
    before = contents(run / "checkpoints")
    full = forks.run("train", "--resume", "--out", run, "--quiet", LIMIT_FILE_BYTES="14000")
    assert full.code == 2, full.err
    assert full.err.count("recurra: ") == 1 and "update-00000007: File too large" in full.err, full.err
    assert contents(run / "checkpoints") == before
    assert forks.run("train", "--resume", "--out", run, "--quiet").code == 0
    first, second = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "whole"))
    assert first == second


def test_a_disk_without_space_is_named(call: Call, texts: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    given = (*LANGUAGE, "--data.train", texts / "text.txt", "--out", out)
    require_refusal(call(*given), "can't write", "No space left on device. The disk is full: free some space")
    assert not list(out.glob("*"))


# -- resuming -------------------------------------------------------------------------------------------------------


def test_resuming_where_there_is_no_such_run(call: Call, language_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    resume = ("train", "--resume", "--quiet", "--out")
    require_refusal(call("train", "--resume"), "or --resume --out FOLDER")
    require_refusal(call(*resume, tmp_path / "gone"), "no run to resume there (no such folder)")
    require_refusal(call(*resume, tmp_path / "empty"), "no run to resume there (config.yaml is missing)")
    before = contents(language_copy)
    another = call(*resume, language_copy, "model.hidden_size=9", "--seed", "4")
    require_refusal(another, "holds a run of another config (model.hidden_size: 12 there, 9 now; seed: 0 there, 4 now)")
    require_refusal(call("train", "text-classifier", *resume[1:], language_copy), "holds a run of another config")
    assert contents(language_copy) == before


def test_resuming_with_other_data(call: Call, texts: Path, out: Path, tmp_path: Path) -> None:
    for name, recipe in (("text.txt", LANGUAGE), ("reviews.csv", CLASSIFIER)):
        shutil.copy(texts / name, tmp_path / name)
        given = (*recipe, "--data.train", tmp_path / name, "--out", tmp_path / f"run-{name}")
        assert call(*given).code == 0
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace("sun", "son"))
        require_refusal(call(*given, "--resume"), "the training data is not what it was when the run began")
        (tmp_path / name).write_text(text)
        assert call(*given, "--resume").code == 0


def spoil_json(path: Path) -> None:
    path.write_text(path.read_text()[:-20])


CHECKPOINT_DAMAGES: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "tensors cut": ("update", "tensors.safetensors", lambda path: os.truncate(path, 99), "damaged: its checksum"),
    "tensors gone": ("update", "tensors.safetensors", os.unlink, "tensors.safetensors: can't be read"),
    "values garbled": ("update", "values.json", spoil_json, "damaged (JSONDecodeError"),
    "values gone": ("update", "values.json", os.unlink, "values.json: can't be read"),
    "best cut": ("best", "tensors.safetensors", lambda path: os.truncate(path, 99), "damaged: its checksum"),
    "best pickled": ("best", "tensors.safetensors", lambda path: path.write_bytes(pickle.dumps([1])), "its checksum"),
    "best gone": ("best", ".", shutil.rmtree, "can't be read"),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGES)
def test_a_damaged_checkpoint(damage: str, call: Call, language_copy: Path) -> None:
    stem, name, spoil, says = CHECKPOINT_DAMAGES[damage]
    folder = next((language_copy / "checkpoints").glob(f"{stem}-*"))
    spoil(folder / name)
    before = contents(language_copy)
    refused = call("train", "--resume", "--out", language_copy, "--quiet")
    require_refusal(refused, str(folder), says, f"Delete the folder {folder.parent} and resume: the run starts over")
    assert contents(language_copy) == before


def test_the_mend_of_a_damaged_checkpoint_works(call: Call, language_copy: Path, language_run: Path) -> None:
    shutil.rmtree(language_copy / "checkpoints")
    assert call("train", "--resume", "--out", language_copy, "--quiet").code == 0
    first, second = ((run / "model" / "model.safetensors").read_bytes() for run in (language_copy, language_run))
    assert first == second


@pytest.mark.parametrize("content", [b"", b"\xff\xfe no rows\n", b"[1]\n", b'{"kind": "train"}\n', b'{"upda'])
def test_a_damaged_log_is_cut_and_written_on(content: bytes, call: Call, language_copy: Path) -> None:
    (language_copy / "metrics.jsonl").write_bytes(content)
    assert call("train", "--resume", "--out", language_copy, "--quiet").code == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "config.yaml:1: a run file is a mapping"), ("model: [\n", "config.yaml:2: not valid YAML")],
)
def test_a_damaged_config_of_a_run(content: str, says: str, call: Call, language_copy: Path) -> None:
    (language_copy / "config.yaml").write_text(content)
    require_refusal(call("train", "--resume", "--out", language_copy, "--quiet"), says)


# -- saved models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocabulary.json", "labels.json", "metrics.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "pickled", "folder"])
def test_a_damaged_model(name: str, damage: str, call: Call, classifier_copy: Path, texts: Path) -> None:
    path = classifier_copy / "model" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickled":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif damage == "folder":
        path.mkdir()
    result = call("predict", classifier_copy / "model", texts / "text.txt")
    require_refusal(result, str(classifier_copy / "model"), name)


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 99}, "format 99, and this version reads 1"),
        ({"spec": {}}, "missing or damaged (KeyError('input_size'))"),
        ({"spec": {"input_size": 3, "output_size": 2}}, "vocabulary, columns or labels are not those of the weights"),
        ({"run": {"task": "text-classification"}}, "option `model` is missing"),
        ({"run": 5}, "damaged, or of another version"),
        ({"sha256": "0"}, "its checksum is not the one in config.json"),
    ],
)
def test_a_changed_config_of_a_model(changes: Any, says: str, call: Call, classifier_copy: Path, texts: Path) -> None:
    change_config(classifier_copy / "model", **changes)
    require_refusal(call("predict", classifier_copy, texts / "text.txt"), str(classifier_copy / "model"), says)


@pytest.mark.parametrize("content", ["[]", "{}", '{"kind": "bpe"}', '{"kind": "word", "words": 5}', "null"])
def test_a_changed_vocabulary(content: str, call: Call, classifier_copy: Path, texts: Path) -> None:
    (classifier_copy / "model" / "vocabulary.json").write_text(content)
    require_refusal(call("predict", classifier_copy, texts / "text.txt"), str(classifier_copy / "model"), "vocabulary")


def test_no_model(call: Call, texts: Path, tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "gone", texts / "text.txt", ""):
        refused = call("generate", given, "x")
        require_refusal(refused, "folder")


def test_a_wrong_kind_of_model(
    call: Call, texts: Path, language_run: Path, classifier_run: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_refusal(call("generate", classifier_run, "x"), "a text-classification model can't generate")
    start = ("finetune", classifier_run, "--data.train", texts / "reviews.csv", "--out", out)
    require_refusal(call(*start, "--task", "tagging"), "for another task starts from a language model")
    require_refusal(call("evaluate", classifier_run, "--data.test", texts / "text.txt"), "no column 'label'")
    require_refusal(
        call("evaluate", language_run, "--data.test", texts / "text.txt", "model.x=1"), "only data.* options"
    )
    other = ("finetune", language_run, "--data.train", texts / "reviews.csv", "--out", out, "--quiet")
    require_refusal(call(*other, "model.hidden_size=99"), "the pretrained model gives (48, 8) for `encoder.recurrent")
    require_refusal(call(*other, "task.vocabulary.kind=word"), "`task.vocabulary` is that of the pretrained model")
    require_refusal(call(*other, "--task", "translation"), "no task `translation` to fine-tune for")
    require_refusal(call(*other, f"finetune.backward={language_run}"), "and one that reads backward is wanted")
    further = (
        "finetune",
        language_run,
        "--data.train",
        texts / "text.txt",
        "--out",
        out,
        "--task",
        "language-modelling",
    )
    require_refusal(call(*further, "finetune.adapt_epochs=1"), "finetune.adapt_epochs is for text classification only")
    require_refusal(call("finetune", "gone", "--data.train", "x"), "gone: no such folder")
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--temperature", "-1"), "`temperature`: input should be greater than or equal to 0"),
        (("--temperature", "nan"), "`temperature`: input should be a finite number"),
        (("--top-p", "0"), "`top_p`: input should be greater than 0"),
        (("--top-k", "-1"), "`top_k`"),
        (("--samples", "0"), "--samples is 0"),
        (("--max-length", "0"), "`max_length`"),
        (("--seed", "9" * 30), "`seed`"),
        (("--seed", "x"), "unable to convert"),
    ],
)
def test_bad_sampling(option: tuple[str, ...], says: str, call: Call, language_run: Path) -> None:
    require_refusal(call("generate", language_run, "the", *option), says)


# -- prediction -----------------------------------------------------------------------------------------------------


class Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = content.splitlines(keepends=True)

    def isatty(self) -> bool:
        return False


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    return lambda content: monkeypatch.setattr(sys, "stdin", Stdin(content))


def test_prediction_from_stdin(call: Call, classifier_run: Path, stdin: Callable[[bytes], None]) -> None:
    for arguments in ((), ("-",)):
        stdin(b"good cat\nbad dog\n\nlast")
        done = call("predict", classifier_run, *arguments)
        assert done.code == 0 and [line.split("\t")[2] for line in done.out.splitlines()] == [
            "good cat",
            "bad dog",
            "",
            "last",
        ]
    stdin(b"")
    assert call("predict", classifier_run) == (0, "", "")
    stdin("caf\xe9\n".encode("latin-1"))
    require_refusal(call("predict", classifier_run), "stdin:1: byte 0xe9 at column 4 is not utf-8")
    stdin("caf\xe9\n".encode("latin-1"))
    assert "café" in call("predict", classifier_run, "data.encoding=latin-1").out
    stdin(b"x\n")
    require_refusal(call("predict", classifier_run, "data.encoding=klingon"), "no such encoding `klingon`")


def test_prediction_without_stdin(call: Call, classifier_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    require_refusal(call("predict", classifier_run), "stdin is closed: name a file")


def test_prediction_from_bad_files(call: Call, classifier_run: Path, texts: Path, tmp_path: Path) -> None:
    predict = ("predict", classifier_run)
    (tmp_path / "bad.txt").write_bytes(b"good\ncaf\xe9\n")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "taken.tsv").write_text("precious")
    (tmp_path / "rows.jsonl").write_text('{"text": "good"}\n{"txt": "bad"}\n')
    require_refusal(call(*predict, tmp_path / "gone.txt"), "gone.txt: no such file")
    require_refusal(call(*predict, tmp_path), "is a folder; a file is wanted")
    require_refusal(call(*predict, tmp_path / "empty.txt"), "empty.txt: the file is empty")
    require_refusal(call(*predict, tmp_path / "bad.txt"), "bad.txt:2: byte 0xe9 at column 4")
    require_refusal(call(*predict, tmp_path / "rows.jsonl"), "rows.jsonl:2: has no field 'text'")
    require_refusal(
        call(*predict, texts / "more.csv", "data.text_column=txt"), "no column 'txt'", "Did you mean `text`?"
    )
    require_refusal(call(*predict, texts / "more.csv", "data.colour=red"), "no option `colour`")
    for place in (tmp_path / "taken.tsv", tmp_path, texts / "more.csv"):
        require_refusal(
            call(*predict, texts / "more.csv", "--out", place), "is there already, and nothing is overwritten"
        )
    require_refusal(call(*predict, texts / "more.csv", "--out", tmp_path / "taken.tsv" / "x"), "can't write")
    require_refusal(call(*predict, tmp_path / "bad.txt", "--out", tmp_path / "new.tsv"), "bad.txt:2")
    assert not (tmp_path / "new.tsv").exists()
    assert (tmp_path / "taken.tsv").read_text() == "precious"


def test_a_reader_that_goes_away_is_no_error(classifier_run: Path, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("good cat\n" * 20_000)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "recurra", "predict", str(classifier_run), str(tmp_path / "many.txt")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith((b"pos\t", b"neg\t"))
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 0
    assert errors == b""


def test_a_terminal_that_can_not_show_a_character(classifier_run: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("文本 good\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "recurra", "predict", str(classifier_run), str(tmp_path / "one.txt")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "\\u6587\\u672c good" in done.stdout, done.stderr
