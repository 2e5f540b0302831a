"""Small files, models trained on them once, and ways to call the command line."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recurra.cli import main

from ..conftest import Call, Result

SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "RECURRA_KERNELS": "auto"}
SMALL = ("--quiet", "training.tensorboard=never")
LANGUAGE = (
    *("train", "char-lm", "model.hidden_size=12", "model.embedding_dim=8", "training.batch_size=4"),
    *("training.tbptt_length=16", "training.epochs=2", "schedule.warmup_updates=5", *SMALL),
)
CLASSIFIER = (
    *("train", "text-classifier-small", "model.hidden_size=8", "model.embedding_dim=6", "training.batch_size=8"),
    *("training.epochs=4", "task.vocabulary.min_frequency=1", *SMALL),
)
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "far", "away", "big", "red", "sun"]


@pytest.fixture
def require_same_figure(call: Call) -> Callable[[Path], None]:
    """Checks that a comparison draws its figures from the items on which the run was measured."""

    def check(run: Path) -> None:
        found = call("compare", run, "--json")
        assert found.code == 0, found.err
        told = json.loads(found.out)
        figures = json.loads((run / "results.json").read_text())[told["split"]]
        (row,) = told["rows"]
        assert row["figure"]["mean"] == pytest.approx(figures[told["tag"]], rel=1e-4)
        assert row["metrics"].keys() == figures.keys()
        if row["interval"] is not None:  # of a few items there is none
            low, high = row["interval"].values()
            assert low <= row["figure"]["mean"] <= high or high - low < 1e-9

    return check


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text.txt (about 3,000 characters), reviews.csv (two labels), and more.csv of the same kind."""
    folder = tmp_path_factory.mktemp("texts")
    draw = random.Random(4)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(3, 9))) for _ in range(130)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    for name, rows in (("reviews.csv", 60), ("more.csv", 20)):
        with (folder / name).open("w") as file:
            file.write("text,label\n")
            for row in range(rows):
                label, said = [("neg", "bad poor awful"), ("pos", "good fine great")][row % 2]
                words = [draw.choice(said.split()), *draw.choices(WORDS, k=draw.randint(1, 6))]
                file.write(f"{' '.join(words)},{label}\n")
    return folder


@pytest.fixture(scope="session")
def language_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of language modelling; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("language") / "run"
    main([*LANGUAGE, "--data.train", str(texts / "text.txt"), "--out", str(out), "optimizer.learning_rate=0.02"])
    return out


@pytest.fixture(scope="session")
def backward_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a language model that reads backward."""
    out = tmp_path_factory.mktemp("backward") / "run"
    main([*LANGUAGE, "--data.train", str(texts / "text.txt"), "--out", str(out), "task.direction=backward"])
    return out


@pytest.fixture(scope="session")
def classifier_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of text classification; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("classifier") / "run"
    main([*CLASSIFIER, "--data.train", str(texts / "reviews.csv"), "--out", str(out), "optimizer.learning_rate=0.02"])
    return out


@pytest.fixture
def language_copy(language_run: Path, tmp_path: Path) -> Path:
    """A copy of the language model's run, to be spoilt."""
    return Path(shutil.copytree(language_run, tmp_path / "language-run"))


@pytest.fixture
def classifier_copy(classifier_run: Path, tmp_path: Path) -> Path:
    """A copy of the classifier's run, to be spoilt."""
    return Path(shutil.copytree(classifier_run, tmp_path / "classifier-run"))


Stop = tuple[str, int, str, str]


class Forks:
    """Command lines in child processes that can be stopped at a named moment; see forked.py."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        assert server.stdin is not None and server.stdout is not None
        self._requests, self._answers = server.stdin, server.stdout
        self._folder = folder
        self._count = 0

    def run(self, *arguments: str | Path, stop: Stop | None = None, **environment: str) -> Result:
        """One command line; `stop` is (call, count, "before" or "after", signal)."""
        return self._run([{"arguments": arguments, "environment": environment, "stop": stop}])[0]

    def run_together(self, *arguments: str | Path, stops: Sequence[Stop | None] = (None, None)) -> list[Result]:
        """The same command line in several processes that know of each other, as torchrun starts them."""
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        shared = {"WORLD_SIZE": str(len(stops)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(len(stops))]
        return self._run(
            [
                {"arguments": arguments, "environment": environment, "stop": stop}
                for environment, stop in zip(ranks, stops, strict=True)
            ]
        )

    def killed_and_resumed(self, *arguments: str | Path, update: int, folder: Path) -> tuple[bytes, bytes]:
        """Weights of a training that ran through, and of one that was killed after an update and resumed."""
        whole, killed = folder / "whole", folder / "killed"
        done = self.run(*arguments, "--out", whole)
        assert done.code == 0, done.err
        stopped = self.run(*arguments, "--out", killed, stop=("update", update, "after", "SIGKILL"))
        assert stopped.code == -signal.SIGKILL, stopped
        done = self.run(*arguments, "--out", killed, "--resume")
        assert done.code == 0, done.err
        first, second = ((run / "model" / "model.safetensors").read_bytes() for run in (whole, killed))
        return first, second

    def _run(self, children: list[dict[str, Any]]) -> list[Result]:
        for child in children:
            self._count += 1
            child["arguments"] = [str(word) for word in child["arguments"]]
            child["log"] = str(self._folder / f"{self._count}.log")
        self._requests.write(json.dumps({"children": children, "seconds": 100}) + "\n")
        self._requests.flush()
        codes = json.loads(self._answers.readline())["codes"]
        logs = [Path(child["log"]).read_text() for child in children]
        return [Result(code, "", log) for code, log in zip(codes, logs, strict=True)]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A process that has imported torch and is forked for each command line."""
    script = Path(__file__).with_name("forked.py")
    with subprocess.Popen(
        [sys.executable, str(script)], env=ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        yield Forks(server, tmp_path_factory.mktemp("logs"))
        assert server.stdin is not None
        server.stdin.close()
