"""What a run writes down while it goes: metrics.jsonl, TensorBoard, and a progress bar."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from recurra.core.errors import MissingExtraError
from recurra.core.files import explain_os_errors, write_bytes


class MetricsLog:
    """metrics.jsonl: one JSON object a line; on resume, lines later than the checkpoint are cut off."""

    def __init__(self, path: Path, resume_at: int | None) -> None:
        """Open for appending.

        Args:
            path: the file.
            resume_at: keep lines up to this update; None starts a new file.
        """
        self._path = path
        rows = [] if resume_at is None else [row for row in read_metrics(path) if row["update"] <= resume_at]
        write_bytes(path, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self._file = path.open("ab")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; it reaches the disk at `flush`. A number that is not finite is written as null."""
        finite = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
        with explain_os_errors(self._path):
            self._file.write(json.dumps(finite).encode() + b"\n")

    def flush(self) -> None:
        """Bring what was written to the disk."""
        with explain_os_errors(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        with explain_os_errors(self._path):
            self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, up to the first line that is none: the last one that a kill cut short."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(row, dict) or "update" not in row:
            break
        rows.append(row)
    return rows


class TensorBoardLog:
    """Event files: scalars, gradient norm of each parameter, weight histograms."""

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=purge_step)

    def scalars(self, prefix: str, values: Mapping[str, Any], update: int) -> None:
        """Numbers under `prefix/`."""
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{prefix}/{name}", value, update)

    def histograms(self, tensors: Mapping[str, Tensor], update: int) -> None:
        """A histogram a tensor."""
        for name, tensor in tensors.items():
            self._writer.add_histogram(name, tensor.detach().float().cpu(), update)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


def open_tensorboard(mode: str, folder: Path, purge_step: int | None) -> TensorBoardLog | None:
    """Event files if the mode (auto, always, never) and what is installed allow it.

    Raises:
        MissingExtraError: mode `always` without the package.
    """
    installed = importlib.util.find_spec("tensorboard") is not None
    if mode == "always" and not installed:
        raise MissingExtraError("tensorboard", "tensorboard", "`training.tensorboard=always`")
    return TensorBoardLog(folder, purge_step) if mode != "never" and installed else None


class ProgressBar:
    """One line on the terminal: updates, speed, loss, best metric, time left. Silent where nobody watches."""

    def __init__(self, total: int, *, start: int, unit: str, show: bool) -> None:
        console = Console(stderr=True)
        self._unit = unit
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (show and console.is_terminal),
            refresh_per_second=4,
        )
        self._task: TaskID = self._bar.add_task("training", total=total, completed=start, text="")
        self._shown_at = 0.0
        self._best = ""

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, loss: float, speed: float) -> None:
        """Show where the run stands, at most four times a second."""
        now = time.monotonic()
        if now - self._shown_at >= 0.25:
            self._shown_at = now
            text = f"loss {loss:.4f}  {speed:,.0f} {self._unit}/s{self._best}"
            self._bar.update(self._task, completed=done, text=text)

    def best(self, tag: str, value: float) -> None:
        """Show the best evaluation so far."""
        self._best = f"  best {tag} {value:.4g}"

    def print(self, text: str) -> None:
        """A line above the bar."""
        if not self._bar.disable:
            self._bar.console.print(text, highlight=False)
