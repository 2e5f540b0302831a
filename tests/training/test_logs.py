"""metrics.jsonl and event files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from recurra.core.errors import MissingExtraError, OutputError
from recurra.training.logs import MetricsLog, ProgressBar, open_tensorboard, read_metrics


def filled(path: Path, resume_at: int | None, updates: range) -> None:
    log = MetricsLog(path, resume_at)
    for update in updates:
        log.write({"update": update, "loss": update / 3})
    log.close()


def test_a_resumed_log_is_cut_at_the_checkpoint_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    filled(path, None, range(1, 8))
    with path.open("a") as file:
        file.write('{"update": 8, "lo')
    filled(path, 5, range(6, 10))
    assert [row["update"] for row in read_metrics(path)] == list(range(1, 10))
    assert read_metrics(path)[2]["loss"] == 3 / 3
    filled(path, None, range(1, 3))
    assert [row["update"] for row in read_metrics(path)] == [1, 2]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", None)
    log.write({"update": 1, "a": math.nan, "b": math.inf, "c": 0.5, "d": "x"})
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "update": 1,
        "a": None,
        "b": None,
        "c": 0.5,
        "d": "x",
    }


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"[1]\n", b'{"kind": 1}\n', b'{"up'])
def test_what_is_no_log_has_no_rows(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    assert read_metrics(tmp_path / "nowhere.jsonl") == []


def test_a_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", None)
    log.write({"update": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"can't write .*metrics\.jsonl: No space left on device\. The disk is full"):
        log.flush()
    log.close()


def test_event_files_are_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_tensorboard("never", tmp_path, None) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert open_tensorboard("auto", tmp_path, None) is None
    with pytest.raises(MissingExtraError, match=r"`training\.tensorboard=always` needs the package `tensorboard`"):
        open_tensorboard("always", tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_event_files_hold_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = open_tensorboard("auto", tmp_path, None)
    assert log is not None
    log.scalars("train", {"loss": 1.5, "name": "x"}, 3)
    log.histograms({"weight": torch.ones(4, dtype=torch.bfloat16)}, 3)
    log.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 1.5)]
    assert events.Tags()["histograms"] == ["weight"]


def test_a_bar_that_nobody_watches_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(10, start=0, unit="tokens", show=True) as bar:
        bar.update(3, 1.0, 100.0)
        bar.best("nats", 1.0)
        bar.print("a line")
    assert capsys.readouterr() == ("", "")
