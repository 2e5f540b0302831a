"""Every task on text by the command line alone: train, evaluate, predict, go on, be killed and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import recurra
from recurra.tasks import TASKS

QUIET = ("--quiet", "training.tensorboard=never", "training.epochs=1", "training.batch_size=8")

SIZES = ("model.hidden_size=6", "model.embedding_dim=6")
SMALL_PAIRS = (*SIZES, "task.vocabulary.min_frequency=1", "task.search.min_length=2")


class Job(NamedTuple):
    """Files of one task: what to type, and what to ask.

    Attributes:
        train: recipe and options.
        files: name -> content.
        data: value of --data.train.
        line: a line of raw text.
        asked: the file of questions, in the format of the training file.
        brief: what Python gives for the line.
    """

    train: tuple[str, ...]
    files: dict[str, str]
    data: str
    line: str
    asked: str
    brief: type


SENTENCE = "Ada\tB-PER\nmet\tO\nBabbage\tB-PER\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n\n"
STORY = "1 Mary went to the {place}.\n2 Where is Mary?\t{place}\t1\n"
SQUAD = {"context": "It was written by Ada in 1843.", "qas": [{"id": "a", "question": "Who wrote it?"}]}
ANSWERED = {"text": "Ada", "answer_start": 18}
PAIRS = {"a.de": "ein Hund rennt\nzwei Hunde\n" * 10, "a.en": "a dog runs\ntwo dogs\n" * 10}


def squad(answers: list[Any] | None) -> str:
    paragraphs = [
        {**SQUAD, "context": f"{number} {SQUAD['context']}", "qas": [{**SQUAD["qas"][0], "id": str(number)}]}  # type: ignore[dict-item, index]
        for number in range(12)
    ]
    for paragraph in paragraphs:
        if answers is not None:
            start = paragraph["context"].index("Ada")  # type: ignore[union-attr]
            paragraph["qas"][0]["answers"] = [{**ANSWERED, "answer_start": start}]  # type: ignore[index]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


JOBS = {
    "tagging": Job(
        ("ner", *SIZES, "model.character_hidden_size=3"),
        {"a.conll": SENTENCE * 20},
        "a.conll",
        "Ada met Charles in York.",
        "a.conll",
        list,
    ),
    "translation": Job(
        ("translation-small", *SMALL_PAIRS),
        PAIRS,
        "[a.de,a.en]",
        "ein Hund",
        "a.de",
        str,
    ),
    "summarisation": Job(
        ("summarisation", *SMALL_PAIRS),
        {"a.jsonl": '{"body": "send the budget of 2001 please", "subject": "budget 2001"}\n' * 20},
        "a.jsonl",
        "send the budget of 1999",
        "a.jsonl",
        str,
    ),
    "question-answering": Job(
        ("question-answering", *SIZES, "task.vocabulary.min_frequency=1"),
        {"a.json": squad([ANSWERED]), "asked.json": squad(None)},
        "a.json",
        "Who wrote it?\tIt was written by Ada.",
        "asked.json",
        str,
    ),
    "story-questions": Job(
        ("story-questions", *SIZES),
        {"a.txt": "".join(STORY.format(place=place) for place in ("kitchen", "garden")) * 10},
        "a.txt",
        "Mary went to the garden.\tWhere is Mary?",
        "a.txt",
        str,
    ),
}
EVERY = pytest.mark.parametrize("task", JOBS)
Run = tuple[Job, Path, Path]


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text-tasks")
    for task, job in JOBS.items():
        (folder / task).mkdir()
        for name, content in job.files.items():
            (folder / task / name).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def trained(jobs: Path, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Run]:
    """The job, its folder (which is the working directory) and its finished run, trained on first use."""

    def find(task: str) -> Run:
        job, folder = JOBS[task], jobs / task
        monkeypatch.chdir(folder)
        if not (folder / "run").exists():
            done = call("train", *job.train, "--data.train", job.data, "--out", folder / "run", *QUIET)
            assert done.code == 0, done.err
        return job, folder, folder / "run"

    return find


def test_every_task_has_a_job() -> None:
    on_series = {"series-classification", "series-regression", "forecasting", "anomaly-detection"}
    drawn = {"adding-problem", "copy-memory", "dyck", "parity", "anbn"}
    assert set(JOBS) == set(TASKS) - {"language-modelling", "text-classification"} - on_series - drawn


@EVERY
def test_predictions_of_raw_lines_and_of_files(task: str, trained: Callable[[str], Run], call: Any) -> None:
    job, folder, run = trained(task)
    (folder / "raw.txt").write_text(job.line + "\n" + job.line + "\n", encoding="utf-8")
    plain, rows = call("predict", run, "raw.txt"), call("predict", run, "raw.txt", "--json")
    assert plain.code == 0 and rows.code == 0, plain.err + rows.err
    assert len(plain.out.splitlines()) == len(rows.out.splitlines()) == 2
    model = recurra.load(run)
    item = model.task.item(job.line)
    found = model.predict_readable([item])[0]
    for line in rows.out.splitlines():
        told = json.loads(line)
        assert {**model.task.asked(item), **found}.keys() == told.keys()
    assert isinstance(model.predict([item])[0], job.brief)
    assert model.predict([]) == []
    many = call("predict", run, job.asked, "--json")
    assert many.code == 0 and len(many.out.splitlines()) >= 10, many.err


@EVERY
def test_evaluation_and_report(
    task: str, trained: Callable[[str], Run], call: Any, require_same_figure: Callable[[Path], None]
) -> None:
    job, _, run = trained(task)
    require_same_figure(run)
    found = call("evaluate", run, "--data.test", job.data, "--json")
    assert found.code == 0, found.err
    results = json.loads((run / "results.json").read_text())
    tag = recurra.load(run).task.monitor[0]
    assert tag in json.loads(found.out) and tag in results["valid"] and len(results["baselines"]) >= 2
    assert "asked" in (run / "report.html").read_text(encoding="utf-8")
    assert "recurra.load" in (run / "model" / "README.md").read_text(encoding="utf-8")


@EVERY
def test_going_on_with_other_data(task: str, trained: Callable[[str], Run], call: Any, tmp_path: Path) -> None:
    job, _, run = trained(task)
    done = call("finetune", run, "--data.train", job.data, "--out", tmp_path / "on", *QUIET)
    assert done.code == 0, done.err
    before, after = (
        {path.name: path.read_bytes() for path in (folder / "model").glob("*.json") if "vocabulary" in path.name}
        for folder in (run, tmp_path / "on")
    )
    assert before and before == after


@EVERY
def test_killed_and_resumed_is_the_same(
    task: str, jobs: Path, forks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = JOBS[task]
    data = job.data.replace("a.", f"{jobs / task}/a.")
    often = ("training.checkpoint_seconds=0.000001", "training.tensorboard=never", "training.epochs=2")
    given = ("train", *job.train, "--data.train", data, "training.batch_size=4", *often)
    whole, resumed = forks.killed_and_resumed(*given, update=3, folder=tmp_path)
    assert whole == resumed


@pytest.mark.parametrize("task", ["tagging", "question-answering"])
def test_language_models_read_along(
    task: str, trained: Callable[[str], Run], call: Any, language_run: Path, backward_run: Path, tmp_path: Path
) -> None:
    job, _, _ = trained(task)
    options = [option for option in job.train if "=" in option]
    given = ("finetune", language_run, "--recipe", job.train[0], f"finetune.backward={backward_run}", *options)
    done = call(*given, "--data.train", job.data, "--out", tmp_path / "read", *QUIET)
    assert done.code == 0, done.err
    model = recurra.load(tmp_path / "read")
    assert isinstance(model.predict([model.task.item(job.line)])[0], job.brief)
    source = recurra.load(backward_run).model.state_dict()["encoder.embedding.weight"]
    taken = [
        tensor for name, tensor in model.model.state_dict().items() if name.endswith("backward_lm.embedding.weight")
    ]
    assert len(taken) == 1 and taken[0].equal(source)


@pytest.mark.parametrize("task", ["translation", "summarisation", "story-questions"])
def test_attention_is_drawn(task: str, trained: Callable[[str], Run], call: Any, tmp_path: Path) -> None:
    job, folder, run = trained(task)
    (folder / "one.txt").write_text(job.line + "\n", encoding="utf-8")
    done = call("predict", run, "one.txt", "--plot", tmp_path / "a.png")
    assert done.code == 0, done.err
    assert (tmp_path / "a.png").stat().st_size > 1000
    again = call("predict", run, "one.txt", "--plot", tmp_path / "a.gif")
    assert again.code == 2 and ".png" in again.err


@EVERY
def test_bad_files_end_with_a_message(task: str, trained: Callable[[str], Run], call: Any, tmp_path: Path) -> None:
    job, folder, run = trained(task)
    (folder / "empty").write_text("")
    (folder / "binary.bin").write_bytes(b"\x00\xff\x00\x01" * 50)
    for name in ("empty", "binary.bin", "nowhere.txt"):
        given = f"[{name},{name}2]" if job.data.startswith("[") else name
        found = call("train", *job.train, "--data.train", given, "--out", tmp_path / "bad", *QUIET)
        assert found.code == 2 and found.err.startswith("recurra: ") and "Traceback" not in found.err, (name, found)
    assert not (tmp_path / "bad").exists()
    found = call("train", *job.train, "--data.train", job.data, "--out", run, *QUIET)
    assert found.code == 2 and "--resume" in found.err
