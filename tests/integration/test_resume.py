"""Killed and resumed is the same as never killed: losses, metrics and weights, bit for bit."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recurra.training import read_metrics

Stop = tuple[str, int, str, str]
KILL = "SIGKILL"
# Dropout, carried state, an evaluation within the epoch, and a checkpoint after each update.
NON_MONOTONE = ("training.average=non-monotone", "training.average.evaluations=1")
LANGUAGE = (
    *("train", "char-lm", "model.hidden_size=12", "model.embedding_dim=8", "model.dropout.output=0.2"),
    *("model.dropout.embedding=0.1", "training.batch_size=4", "training.tbptt_length=16", "training.epochs=1"),
    *("training.max_updates=25", "training.evaluate_every=10", "training.checkpoint_seconds=0.000001"),
    "training.tensorboard=never",
)
CLASSIFIER = (
    *("train", "text-classifier-small", "model.hidden_size=8", "model.embedding_dim=6", "training.batch_size=8"),
    *("training.epochs=3", "task.augmentation.deletion=0.2", "task.augmentation.swap=0.2"),
    *("task.augmentation.word_dropout=0.1", "training.checkpoint_seconds=0.000001", "training.tensorboard=never"),
)


def rows_of(run: Path) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second")
    return [{key: v for key, v in row.items() if key not in timed} for row in read_metrics(run / "metrics.jsonl")]


def weights_of(run: Path) -> str:
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def require_same(run: Path, whole: Path) -> None:
    assert rows_of(run) == rows_of(whole)
    assert weights_of(run) == weights_of(whole)
    left = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert left == sorted(path.name for path in (whole / "checkpoints").iterdir())


class Recipe:
    """A run that was left alone, and the same command again with stops."""

    def __init__(self, forks: Any, folder: Path, *arguments: str | Path) -> None:
        self.forks, self.folder, self.arguments = forks, folder, arguments
        self.whole = folder / "whole"
        self.count = 0
        done = forks.run(*arguments, "--out", self.whole)
        assert done.code == 0, done.err

    def stopped(self, *stops: Stop) -> Path:
        """Start, be stopped, resume, be stopped, ..., resume to the end."""
        self.count += 1
        out = self.folder / f"stopped-{self.count}"
        for attempt, stop in enumerate([*stops, None]):
            begun = (out / "config.yaml").exists()
            resume: tuple[str, ...] = ("--resume",) if attempt and begun else ()
            result = self.forks.run(*self.arguments, "--out", out, *resume, stop=stop)
            assert result.code == (0 if stop is None else -signal.SIGKILL), result.err
        return out


@pytest.fixture(scope="module")
def language(forks: Any, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(forks, tmp_path_factory.mktemp("language"), *LANGUAGE, "--data.train", texts / "text.txt")


@pytest.fixture(scope="module")
def classifier(forks: Any, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(forks, tmp_path_factory.mktemp("classifier"), *CLASSIFIER, "--data.train", texts / "reviews.csv")


@pytest.mark.parametrize(
    "stops",
    [
        [("update", 20, "before", KILL)],
        [("update", 16, "after", KILL), ("update", 3, "after", KILL)],
        # Writing: a temporary file is there, the folder is whole but not yet named, named but older ones still there.
        [("fsync", 60, "before", KILL)],
        [("fsync", 63, "after", KILL), ("fsync", 10, "before", KILL)],
        [("replace", 20, "before", KILL)],
        [("replace", 21, "after", KILL)],
        [("rmtree", 12, "before", KILL), ("rmtree", 2, "after", KILL)],
    ],
    ids=lambda stops: " ".join(f"{call}{count}{when[0]}" for call, count, when, _ in stops),
)
def test_a_killed_language_model_goes_on_bit_for_bit(stops: list[Stop], language: Recipe) -> None:
    require_same(language.stopped(*stops), language.whole)


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_moments_that_nobody_chose(seed: int, language: Recipe) -> None:
    draw = random.Random(seed)
    calls = {"update": 12, "fsync": 60, "replace": 14, "rmtree": 12}
    names = draw.choices(sorted(calls), k=3)
    stops = [(name, draw.randint(1, calls[name]), draw.choice(("before", "after")), KILL) for name in names]
    require_same(language.stopped(*stops), language.whole)


@pytest.mark.parametrize(
    "stops",
    [
        [("update", 9, "before", KILL)],
        [("fsync", 40, "before", KILL), ("replace", 9, "after", KILL)],
        [("rmtree", 5, "before", KILL)],
    ],
    ids=lambda stops: " ".join(f"{call}{count}{when[0]}" for call, count, when, _ in stops),
)
def test_a_killed_classifier_with_augmentation_goes_on_bit_for_bit(stops: list[Stop], classifier: Recipe) -> None:
    require_same(classifier.stopped(*stops), classifier.whole)


def test_a_kill_before_the_first_checkpoint_starts_over(language: Recipe) -> None:
    # The first rename makes config.yaml, the fifth one is that of the metrics; nothing is trained then.
    for stop in (("replace", 1, "after", KILL), ("replace", 4, "after", KILL), ("update", 1, "before", KILL)):
        require_same(language.stopped(stop), language.whole)


def test_a_kill_while_the_folder_is_made_leaves_it_usable(language: Recipe) -> None:
    for moment in (("fsync", 1, "before", KILL), ("replace", 1, "before", KILL), ("replace", 2, "before", KILL)):
        require_same(language.stopped(moment), language.whole)


def test_a_kill_after_the_last_update_finishes_the_rest(language: Recipe) -> None:
    last = len([row for row in rows_of(language.whole) if row["kind"] == "train"])
    require_same(language.stopped(("update", last, "after", KILL)), language.whole)


@pytest.mark.parametrize(
    "changes",
    [
        ("optimizer.accumulate=3",),
        ("optimizer=sgd", "optimizer.learning_rate=1.0", *NON_MONOTONE, "training.evaluate_every=4"),
        ("training.average=ema", "training.average.decay=0.9"),
        ("task.length_jitter=5", "schedule=plateau", "model.cell=gru", "model.dropout.zoneout_hidden=0.2"),
    ],
    ids=["accumulation", "non-monotone", "ema", "jitter"],
)
def test_other_ways_of_training_go_on_as_well(
    changes: tuple[str, ...], forks: Any, texts: Path, tmp_path: Path
) -> None:
    recipe = Recipe(forks, tmp_path, *LANGUAGE, *changes, "--data.train", texts / "text.txt")
    require_same(recipe.stopped(("update", 8, "after", KILL), ("fsync", 20, "before", KILL)), recipe.whole)


def test_an_accumulating_bidirectional_classifier_goes_on(forks: Any, texts: Path, tmp_path: Path) -> None:
    options = ("optimizer.accumulate=3", "model.bidirectional=true", "task.class_weights=balanced")
    recipe = Recipe(forks, tmp_path, *CLASSIFIER, *options, "--data.train", texts / "reviews.csv")
    assert sum(row["kind"] == "train" for row in rows_of(recipe.whole)) == 9  # 7 batches an epoch
    require_same(recipe.stopped(("update", 4, "after", KILL), ("replace", 8, "before", KILL)), recipe.whole)


def test_fine_tuning_with_adaptation_goes_on(forks: Any, texts: Path, language_run: Path, tmp_path: Path) -> None:
    options = ("training.epochs=2", "training.batch_size=16", "finetune.adapt_epochs=1", "training.tensorboard=never")
    often = "training.checkpoint_seconds=0.000001"
    arguments = ("finetune", language_run, "--data.train", texts / "reviews.csv", *options, often)
    recipe = Recipe(forks, tmp_path, *arguments)
    adaptation = len(read_metrics(recipe.whole / "adapt" / "metrics.jsonl"))
    assert adaptation > 10
    for stop in (("update", 5, "after", KILL), ("update", adaptation + 3, "after", KILL)):
        require_same(recipe.stopped(stop), recipe.whole)


def test_fine_tuning_by_low_rank_with_replay_goes_on(
    forks: Any, texts: Path, language_run: Path, tmp_path: Path
) -> None:
    method = ("finetune.method=dora", "finetune.method.dropout=0.2", "finetune.replay=0.4", "finetune.pull=0.1")
    options = (
        "training.epochs=2",
        "training.batch_size=16",
        "training.tensorboard=never",
        "optimizer.unfreeze_epochs=0",
    )
    arguments = ("finetune", language_run, "--data.train", texts / "reviews.csv", *method, *options)
    recipe = Recipe(forks, tmp_path, *arguments, "training.checkpoint_seconds=0.000001")
    resumed = recipe.stopped(("update", 5, "after", KILL))
    require_same(resumed, recipe.whole)
    first, second = (run / "adapter" / "adapter.safetensors" for run in (recipe.whole, resumed))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_saves_and_says_how_to_go_on(name: str, language: Recipe, forks: Any, tmp_path: Path) -> None:
    out = tmp_path / "a run"
    stopped = forks.run(*language.arguments, "--out", out, stop=("update", 11, "after", name))
    assert stopped.code == 130
    last = stopped.err.strip().splitlines()[-1]
    assert last.startswith("recurra: stopped at update 11 of ")
    assert last.endswith(f"saved. Go on with: recurra train --resume --out '{out}'")
    assert (out / "checkpoints" / "update-00000011").is_dir()
    resumed = forks.run("train", "--resume", "--out", out)
    assert resumed.code == 0, resumed.err
    assert f"going on from {out / 'checkpoints' / 'update-00000011'}" in resumed.err
    require_same(out, language.whole)


def test_sigterm_from_outside_in_a_real_process(language: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "recurra", *map(str, language.arguments), "--out", str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 60
        while not list(out.glob("checkpoints/update-*")) and time.monotonic() < end:
            time.sleep(0.01)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, 0), errors  # 0: it was faster than we
    assert "Traceback" not in errors
    if process.returncode == 130:
        assert "Go on with: recurra train --resume --out" in errors
        assert language.forks.run("train", "--resume", "--out", out).code == 0
    require_same(out, language.whole)
