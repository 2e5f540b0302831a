"""A run as it enters a comparison: loaded, measured on its test data item by item, and what it costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recurra.core.config import parse
from recurra.core.errors import DataError
from recurra.data import DataConfig
from recurra.runs import SavedModel, load
from recurra.runs.held_out import measured_again
from recurra.tasks.judging import Judged
from recurra.training.evaluation import defined

_SHORT_SECONDS = 2.0
_MOST_TIMES = 3
"""What is measured in less time is measured again: the first time pays for what is made ready once."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One run, measured.

    Attributes:
        name: its folder.
        config: all options as JSON values.
        task: the task's kind.
        compared: tag of the figure, and whether less or more of it is better.
        split: "test", "valid", or the file that was named.
        judged: its answers.
        metrics: figures by tag.
        baselines: figures of cheap models on the same split, where the run measured them.
        core_seconds: of its training, where it was noted.
        pretraining: core-seconds of the models that it started from, where these are still there; else None.
        parameters: of the network.
        num_bytes: of the saved folder.
        milliseconds: of processor time an item.
    """

    name: str
    config: dict[str, Any]
    task: str
    compared: tuple[str, Literal["min", "max"]]
    split: str
    judged: Judged
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    core_seconds: float | None
    pretraining: float | None
    parameters: int
    num_bytes: int
    milliseconds: float


def enter(folder: str, data: str | list[str] | None, options: dict[str, Any]) -> Entrant:
    """Load and measure a run.

    Args:
        folder: of a run or of a saved model.
        data: files to measure on; None: the run's own test data, or where it has none its validation data.
        options: fields of DataConfig, for reading `data`.
    Raises:
        ModelFileError: no finished run there.
        DataError: its data can't be read.
    """
    saved = load(folder)
    with measured_split(saved, folder, data, options) as (name, split):
        evaluation, seconds = _timed(saved, split)
        judged = saved.task.judge(split, evaluation.predictions, evaluation.references)
    own = name if data is None else None
    training = saved.metrics.get("training", {})
    path = _model_folder(folder)
    return Entrant(
        name=folder,
        config=saved.config.model_dump(mode="json"),
        task=saved.config.task.kind,
        compared=saved.task.compared,
        split=name,
        judged=judged,
        metrics=defined(evaluation.metrics),
        baselines=saved.metrics.get("baselines", {}) if own == last_measured(saved) else {},
        core_seconds=training.get("core_seconds"),
        pretraining=_pretraining(saved),
        parameters=sum(parameter.numel() for parameter in saved.model.parameters()),
        num_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        milliseconds=1000 * seconds / max(len(judged), 1),
    )


def last_measured(saved: SavedModel) -> str | None:
    """The split that the run took its baselines on."""
    return next((name for name in ("test", "valid") if name in saved.metrics), None)


def _model_folder(folder: str) -> Path:
    path = Path(folder)
    return path / "model" if (path / "model").is_dir() else path


def _pretraining(saved: SavedModel) -> float | None:
    """Core-seconds of what a fine-tuned model started from; None where that is gone, or there is nothing."""
    start = saved.config.finetune
    if start is None:
        return None
    try:
        noted = [
            json.loads((_model_folder(folder) / "metrics.json").read_text(encoding="utf-8"))
            for folder in (start.start, start.backward)
            if folder is not None
        ]
        return sum(float(metrics["training"]["core_seconds"]) for metrics in noted)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def measured_split(
    saved: SavedModel, folder: str, data: str | list[str] | None, options: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """The name of what a model is measured on, and it, encoded.

    Raises:
        DataError: it can't be read, or the run held nothing out.
    """
    if data is not None:
        yield ", ".join([data] if isinstance(data, str) else data), saved.task.read(data, parse(DataConfig, options))
        return
    with ExitStack() as stack:
        try:
            found = stack.enter_context(measured_again(saved))
        except (DataError, OSError) as error:
            raise DataError(
                f"{folder}: its own test data can't be read: {error} Name a file to measure on with --data.test FILE."
            ) from error
        yield found


def _timed(saved: SavedModel, split: Any) -> tuple[Any, float]:
    """An evaluation, and its seconds of processor time."""
    spent: list[float] = []
    while True:
        began = time.process_time()
        found = saved.evaluate_split(split)
        spent.append(time.process_time() - began)
        if len(spent) == _MOST_TIMES or sum(spent) > _SHORT_SECONDS:
            return found, min(spent)
