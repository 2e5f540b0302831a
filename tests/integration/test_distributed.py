"""Two processes on gloo: the loss curve of one process with the same global batch, and the same rules for stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recurra.training import read_metrics

NON_MONOTONE = ("training.average=non-monotone", "training.average.evaluations=1")
LANGUAGE = (
    *("train", "char-lm", "model.hidden_size=12", "model.embedding_dim=8", "model.dropout.output=0"),
    *("training.batch_size=4", "training.tbptt_length=16", "training.epochs=3", "training.max_updates=50"),
    *("training.evaluate_every=20", "training.tensorboard=never", "--quiet"),
)
CLASSIFIER = (
    *("train", "text-classifier-small", "model.hidden_size=8", "model.embedding_dim=6", "model.dropout.input=0"),
    *("model.head_dropout=0", "training.epochs=3", "training.tensorboard=never", "--quiet"),
)


def rows_of(run: Path) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second")
    return [{key: v for key, v in row.items() if key not in timed} for row in read_metrics(run / "metrics.jsonl")]


def require_close(run: Path, alone: Path) -> None:
    """Every number of the log, and the weights, within 1e-5 (relative)."""
    found, wanted = rows_of(run), rows_of(alone)
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert {k: v for k, v in one.items() if k != "kind"} == pytest.approx(
            {k: v for k, v in other.items() if k != "kind"}, rel=1e-5, abs=1e-6
        )
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (run, alone))
    torch.testing.assert_close(weights, others, rtol=1e-4, atol=1e-5)


def torchrun(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; all processes are killed where they take too long."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "recurra"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [*launcher, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as group:
        try:
            out, errors = group.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            os.killpg(group.pid, signal.SIGKILL)
            raise
    return group.returncode, out, errors


@pytest.fixture(scope="module")
def alone(forks: Any, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("alone") / "run"
    assert forks.run(*LANGUAGE, "--data.train", texts / "text.txt", "--out", out).code == 0
    return out


def test_torchrun_gives_the_curve_of_one_process(alone: Path, texts: Path, tmp_path: Path) -> None:
    given = (*LANGUAGE, "--data.train", texts / "text.txt", "--out", tmp_path / "run", "--json")
    code, out, errors = torchrun(*given)
    assert code == 0, errors
    assert out.count('"out"') == 1  # the main process alone talks
    assert "Warning" not in errors and "Traceback" not in errors
    require_close(tmp_path / "run", alone)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_give_the_curve_of_one(
    strategy: str, forks: Any, alone: Path, texts: Path, tmp_path: Path
) -> None:
    # Event files need norms and weights whose parts lie in all processes.
    options = (f"training.strategy={strategy}", "training.tensorboard=always")
    done = forks.run_together(*LANGUAGE, *options, "--data.train", texts / "text.txt", "--out", tmp_path / "run")
    assert [result.code for result in done] == [0, 0], done[0].err + done[1].err
    assert "Warning" not in done[0].err + done[1].err
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    require_close(tmp_path / "run", alone)


@pytest.mark.parametrize(
    "options",
    [
        (
            "optimizer.accumulate=3",
            "model.activation_l2=2",
            "model.temporal_l2=1",
            "model.tied=true",
            "model.last_size=8",
        ),
        ("optimizer=sgd", "optimizer.learning_rate=1", *NON_MONOTONE, "training.evaluate_every=4"),
        ("optimizer.unfreeze_epochs=1", "optimizer.discriminative=2", "optimizer.clip_value=0.01"),
    ],
    ids=["accumulation-penalty-tied", "averaging", "unfreezing"],
)
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_other_ways_of_training(
    strategy: str, options: tuple[str, ...], forks: Any, texts: Path, tmp_path: Path
) -> None:
    arguments = (*LANGUAGE, *options, "--data.train", texts / "text.txt", f"training.strategy={strategy}")
    assert forks.run(*arguments, "--out", tmp_path / "alone").code == 0
    done = forks.run_together(*arguments, "--out", tmp_path / "two")
    assert [result.code for result in done] == [0, 0], done[0].err + done[1].err
    require_close(tmp_path / "two", tmp_path / "alone")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_last_batch_with_fewer_rows_than_processes(strategy: str, forks: Any, texts: Path, tmp_path: Path) -> None:
    # 60 rows, 6 of them held out: batches of 53 rows and of 1.
    options = ("training.batch_size=53", f"training.strategy={strategy}", "--data.train", texts / "reviews.csv")
    assert forks.run(*CLASSIFIER, *options, "--out", tmp_path / "alone").code == 0
    done = forks.run_together(*CLASSIFIER, *options, "--out", tmp_path / "two")
    assert [result.code for result in done] == [0, 0], done[0].err + done[1].err
    require_close(tmp_path / "two", tmp_path / "alone")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_last_window_with_steps_in_one_process_only(strategy: str, forks: Any, texts: Path, tmp_path: Path) -> None:
    # 641 tokens in 4 rows of 160, the first with one more; windows of 16 steps, and a last one of a single step.
    (tmp_path / "text.txt").write_text((texts / "text.txt").read_text()[:639] + "\n")
    options = ("data.valid_fraction=0", "training.evaluate_every=0", f"training.strategy={strategy}")
    arguments = (*LANGUAGE, *options, "--data.train", tmp_path / "text.txt")
    assert forks.run(*arguments, "--out", tmp_path / "alone").code == 0
    assert len(rows_of(tmp_path / "alone")) == 33
    done = forks.run_together(*arguments, "--out", tmp_path / "two")
    assert [result.code for result in done] == [0, 0], done[0].err + done[1].err
    require_close(tmp_path / "two", tmp_path / "alone")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_killed_run_of_two_processes_goes_on_bit_for_bit(
    strategy: str, forks: Any, texts: Path, tmp_path: Path
) -> None:
    arguments = (
        *(*LANGUAGE, "model.dropout.output=0.3", "training.checkpoint_seconds=0.000001"),
        *("optimizer=sgd", "optimizer.learning_rate=1", *NON_MONOTONE, "training.evaluate_every=5"),
        *(f"training.strategy={strategy}", "training.max_updates=30", "--data.train", texts / "text.txt"),
    )
    whole = forks.run_together(*arguments, "--out", tmp_path / "whole")
    assert [result.code for result in whole] == [0, 0], whole[0].err + whole[1].err
    kill = ("update", 22, "after", "SIGKILL")
    killed = forks.run_together(*arguments, "--out", tmp_path / "killed", stops=(kill, kill))
    assert [result.code for result in killed] == [-signal.SIGKILL] * 2
    resumed = forks.run_together(*arguments, "--out", tmp_path / "killed", "--resume")
    assert [result.code for result in resumed] == [0, 0], resumed[0].err + resumed[1].err
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    first, second = (tmp_path / name / "model" / "model.safetensors" for name in ("killed", "whole"))
    assert first.read_bytes() == second.read_bytes()


def test_a_signal_to_one_process_stops_and_saves_both(forks: Any, alone: Path, texts: Path, tmp_path: Path) -> None:
    arguments = (*LANGUAGE, "--data.train", texts / "text.txt", "--out", tmp_path / "run")
    stopped = forks.run_together(*arguments, stops=(None, ("update", 9, "after", "SIGTERM")))
    assert [result.code for result in stopped] == [130, 130], stopped[0].err + stopped[1].err
    assert "recurra: stopped at update 9 of 50; saved." in stopped[0].err
    mismatch = forks.run(*arguments, "--resume")
    assert mismatch.code == 2
    assert "was written by 2 process(es), and this run has 1: resume with as many (torchrun" in mismatch.err
    resumed = forks.run_together(*arguments, "--resume")
    assert [result.code for result in resumed] == [0, 0], resumed[0].err
    require_close(tmp_path / "run", alone)


def test_one_process_can_not_be_resumed_by_two(forks: Any, texts: Path, tmp_path: Path) -> None:
    arguments = (*LANGUAGE, "--data.train", texts / "text.txt", "--out", tmp_path / "run")
    assert forks.run(*arguments, stop=("update", 9, "after", "SIGTERM")).code == 130
    both = forks.run_together(*arguments, "--resume")
    assert [result.code for result in both] == [2, 2]
    assert "was written by 1 process(es), and this run has 2" in both[0].err
    assert "recurra (process 1): " in both[1].err


def test_a_folder_that_is_taken_stops_all_processes(forks: Any, alone: Path, texts: Path) -> None:
    both = forks.run_together(*LANGUAGE, "--data.train", texts / "text.txt", "--out", alone)
    assert [result.code for result in both] == [2, 2]
    assert all("holds a run already" in result.err and "Traceback" not in result.err for result in both)


def test_more_processes_than_rows_is_an_error(forks: Any, texts: Path, tmp_path: Path) -> None:
    given = ("--data.train", texts / "text.txt", "--out", tmp_path / "run", "training.batch_size=1")
    both = forks.run_together(*LANGUAGE, *given)
    assert [result.code for result in both] == [2, 2]
    assert "Set training.batch_size=2 or more" in both[0].err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_fine_tuning_with_adaptation(
    strategy: str, forks: Any, language_run: Path, texts: Path, tmp_path: Path
) -> None:
    arguments = (
        *("finetune", language_run, "--data.train", texts / "reviews.csv", "model.head_dropout=0"),
        *("training.epochs=2", "training.batch_size=16", "finetune.adapt_epochs=1", "training.tensorboard=never"),
        *(f"training.strategy={strategy}", "--quiet", "model.dropout.output=0"),
    )
    both = forks.run_together(*arguments, "--out", tmp_path / "two")
    assert [result.code for result in both] == [0, 0], both[0].err + both[1].err
    rows = rows_of(tmp_path / "two" / "adapt")
    assert all(row["loss"] < 4 for row in rows if row["kind"] == "train")
    assert rows_of(tmp_path / "two")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_fine_tuning_by_low_rank(strategy: str, forks: Any, language_run: Path, texts: Path, tmp_path: Path) -> None:
    arguments = (
        *("finetune", language_run, "--data.train", texts / "reviews.csv", "model.head_dropout=0"),
        *("training.epochs=2", "training.batch_size=16", "training.tensorboard=never", "finetune.method=dora"),
        *("--quiet", "model.dropout.output=0", "optimizer.unfreeze_epochs=0", "training.strategy=" + strategy),
    )
    alone = forks.run(*arguments, "--out", tmp_path / "one")
    both = forks.run_together(*arguments, "--out", tmp_path / "two")
    assert [alone.code, *(result.code for result in both)] == [0, 0, 0], alone.err + both[0].err + both[1].err
    for folder, name in (("model", "model"), ("adapter", "adapter")):
        one, two = (load_file(tmp_path / run / folder / f"{name}.safetensors") for run in ("one", "two"))
        for tensor in one:
            torch.testing.assert_close(one[tensor], two[tensor], rtol=1e-3, atol=1e-4)
