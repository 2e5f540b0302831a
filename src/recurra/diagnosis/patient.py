"""What is diagnosed: a model with its options, its data, and what is known of its training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra.core.batch import Batch, BatchStream, Counting, Resolution
from recurra.core.errors import ConfigError, DataError
from recurra.core.seeding import seed_everything
from recurra.models import MODELS
from recurra.runs import Run, RunConfig, load, override, prepare
from recurra.runs.folder import read_config
from recurra.runs.stage import for_evaluation
from recurra.runs.start import load_start
from recurra.runs.starting import begin
from recurra.tasks import TASKS, Preparation, Prepared, StreamOptions
from recurra.training import World, read_metrics
from recurra.training.checkpoint import list_checkpoints, load_model_tensors, read_checkpoint

_LONGEST = 256


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A model on its data.

    Attributes:
        name: of the run, recipe or file.
        config: of the run.
        prepared: task and data.
        model: in evaluation mode, trained or not.
        fresh: makes the model anew, as the run begins.
        rows: of metrics.jsonl.
        results: of results.json, as far as there are any.
        trained: whether `model` comes from a run, and not from a short trial.
    """

    name: str
    config: RunConfig
    prepared: Prepared
    model: nn.Module
    fresh: Callable[[], nn.Module]
    rows: Sequence[Mapping[str, Any]] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = False

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def stream(self, split: str, *, shuffle: bool, rows: int = 0, length: int = 0) -> BatchStream | None:
        """Batches of a split, of the run's size unless said otherwise; None where there is no such split."""
        part = getattr(self.prepared.splits, split)
        if part is None:
            return None
        training = self.config.training
        options = StreamOptions(
            batch_size=rows or training.batch_size,
            length=length or training.tbptt_length,
            seed=self.config.seed,
            shuffle=shuffle,
        )
        return self.prepared.task.stream(part, options)

    def batches(self, split: str, most: int, **options: Any) -> list[Batch]:
        """Up to `most` batches of a split, spread over it; of a stream whose state is carried, the first ones."""
        # windows of a forecast hold what a teacher-forced decoder reads in training only
        shuffle = self.prepared.task.spec.resolution is Resolution.HORIZON
        stream = self.stream(split, **{"shuffle": shuffle, **options})
        if stream is None:
            return []
        count, start = stream.batches_per_epoch(), stream.state_dict()
        found = []
        for number in range(min(most, count)):
            if not stream.carries_state and "batch" in start:
                stream.load_state_dict({**start, "batch": number * count // min(most, count)})
            batch = stream.next_batch()
            if batch is not None and not batch.blank:
                found.append(batch.to(self.device))
        return found

    def long_batch(self) -> Batch | None:
        """Some of the longer rows; of a text, windows that reach beyond those of the training."""
        length = min(_LONGEST, max(128, 2 * self.config.training.tbptt_length))
        found = self.batches("valid", 4, rows=16, length=length) or self.batches("train", 4, rows=16, length=length)
        return found[min(1, len(found) - 1)] if found else None


def of_run(folder: Path, overrides: Mapping[str, Any], cache: Path) -> Patient:
    """The model of a run folder (or of a saved model) on the data of its training, or on others that are named.

    Of a run that never ended there are the weights of its last checkpoint, and else those it began with.

    Raises:
        RecurraError: the folder holds no run, or its data can't be read.
    """
    rows = read_metrics(folder / "metrics.jsonl")
    results = _results(folder)
    if not (folder / "model" / "config.json").is_file() and (folder / "config.yaml").is_file():
        config = override(read_config(folder), overrides)
        patient = of_config(str(folder), config, cache)
        found = list_checkpoints(folder / "checkpoints", "update")
        if found:
            load_model_tensors(patient.model, read_checkpoint(found[-1]).part("model"), str(found[-1]))
        return Patient(**{**vars(patient), "rows": rows, "results": results, "trained": bool(found)})
    saved = load(folder)
    config = override(saved.config, overrides)
    for section in ("task", "model"):
        if getattr(config, section) != getattr(saved.config, section):
            raise ConfigError(
                f"{folder}: `{section}.*` can't be changed for a model that is trained already. Diagnose its run file, "
                "or a recipe, with the change."
            )
    given = Preparation(data=config.data, seed=config.split_seed, cache=cache, fitted=saved.task)
    try:
        prepared: Prepared = TASKS[config.task.kind].prepare(config.task, given)
    except DataError as error:
        raise DataError(f"{error} (data of {folder}; name others with --data.train FILE --data.valid FILE)") from error
    return Patient(
        name=str(folder),
        config=config,
        prepared=prepared,
        model=saved.model,
        fresh=lambda: beginning(config, prepared, cache),
        rows=rows,
        results=results,
        trained=True,
    )


def of_config(name: str, config: RunConfig, cache: Path) -> Patient:
    """A model that has not been trained, on the data of its options.

    Raises:
        RecurraError: about options or data.
    """
    prepared = prepare(Run(config=config, out=cache, quiet=True))
    return Patient(
        name=name,
        config=config,
        prepared=prepared,
        model=beginning(config, prepared, cache).eval(),
        fresh=lambda: beginning(config, prepared, cache),
    )


def beginning(config: RunConfig, prepared: Prepared, cache: Path) -> nn.Module:
    """The model as the run begins, with the weights that it starts from."""
    seed_everything(config.seed)
    model: nn.Module = MODELS[config.model.kind](config.model, prepared.task.spec)
    start, trained = load_start(config), model
    if start is not None:
        run = Run(config=_without_adapting(config), out=cache, quiet=True, say=lambda _: None)
        trained = begin(run, World(0, 1, torch.device("cpu")), start, model, prepared).model
    if isinstance(model, Counting):
        model.count(iter(prepared.task.stream(prepared.splits.train, for_evaluation(config)).next_batch, None))
    return trained


def _without_adapting(config: RunConfig) -> RunConfig:
    """The options of the same run, its language models taken over as they are."""
    assert config.finetune is not None
    return config.model_copy(update={"finetune": config.finetune.model_copy(update={"adapt_epochs": 0})})


def _results(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
