"""Small files, models trained on them once, and ways to call the command line."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recurra.cli import main

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


class Result(NamedTuple):
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line in this process."""

    def run(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


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
                said = draw.choice(("good", "fine", "great") if row % 2 else ("bad", "poor", "awful"))
                file.write(
                    f"{said} {' '.join(draw.choices(WORDS, k=draw.randint(1, 6)))},{'pos' if row % 2 else 'neg'}\n"
                )
    return folder


@pytest.fixture(scope="session")
def language_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of language modelling; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("language") / "run"
    main([*LANGUAGE, "--data.train", str(texts / "text.txt"), "--out", str(out), "optimizer.learning_rate=0.02"])
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


class Forks:
    """Command lines in child processes that can be stopped at a named moment; see forked.py."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        assert server.stdin is not None and server.stdout is not None
        self._requests, self._answers = server.stdin, server.stdout
        self._folder = folder
        self._count = 0

    def run(self, *arguments: str | Path, stop: tuple[str, int, str, str] | None = None) -> Result:
        """One command line; `stop` is (call, count, "before" or "after", signal)."""
        return self.run_together(list(arguments), [{}], stop)[0]

    def run_together(
        self, arguments: list[str | Path], environments: list[dict[str, str]], stop: Any = None, seconds: float = 100
    ) -> list[Result]:
        """The same command line in several processes at once, each with variables of its own."""
        children = []
        for environment in environments:
            self._count += 1
            log = self._folder / f"{self._count}.log"
            words = [str(word) for word in arguments]
            children.append({"arguments": words, "environment": environment, "stop": stop, "log": str(log)})
        self._requests.write(json.dumps({"children": children, "seconds": seconds}) + "\n")
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
