"""Short trainings: what a model does with its options, and with others, over the same few updates."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra.core.errors import NonFiniteError
from recurra.core.seeding import seed_everything
from recurra.data import Splits
from recurra.diagnosis.patient import Patient
from recurra.runs import Run, RunConfig, override
from recurra.runs.stage import make_loop
from recurra.tasks import Prepared
from recurra.training import World, read_metrics
from recurra.training.averaging import NoAverageConfig
from recurra.training.schedule import ConstantConfig

LEAST, MOST = 20, 300


@dataclass(frozen=True, slots=True)
class Trial:
    """A short training.

    Attributes:
        model: as it ended, in evaluation mode.
        rows: of its metrics.jsonl.
        fault: why it broke off, or "".
        overrides: what was changed for it.
    """

    model: nn.Module
    rows: Sequence[Mapping[str, Any]]
    fault: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> float:
        """The loss of the first update."""
        return float(self.rows[0]["loss"]) if self.rows else math.inf

    @property
    def last(self) -> float:
        """Mean loss of the last quarter; infinite where it broke off."""
        found = [row["loss"] for row in self.rows[-max(1, len(self.rows) // 4) :]]
        return math.inf if self.fault or not found or None in found else sum(found) / len(found)


def short(config: RunConfig, updates: int) -> RunConfig:
    """The options of a trial: so many updates at the full learning rate, and nothing else than updates."""
    training = config.training.model_copy(
        update={
            "epochs": 1,
            "min_updates": updates,
            "max_updates": updates,
            "evaluate_every": 0,
            "patience": 0,
            "monitor": "last",
            "average": NoAverageConfig(),
            "tensorboard": "never",
            "checkpoint_seconds": 1e9,
            "device": "cpu",
        }
    )
    schedule = ConstantConfig(warmup_updates=updates // 10)
    return config.model_copy(update={"training": training, "schedule": schedule})


def run_trial(patient: Patient, updates: int, overrides: Mapping[str, Any] | None = None) -> Trial:
    """Train the model of the patient from its beginning, with some options changed."""
    config = short(override(patient.config, overrides or {}), updates)
    model = patient.fresh()
    seed_everything(config.seed)
    prepared = patient.prepared
    alone = Prepared(task=prepared.task, splits=Splits(prepared.splits.train, None, None), notes=())
    fault = ""
    with tempfile.TemporaryDirectory(prefix="recurra-trial-") as folder:
        run = Run(config=config, out=Path(folder), quiet=True, say=lambda _: None)
        try:
            make_loop(run, World(0, 1, torch.device("cpu")), model, alone).run()
        except NonFiniteError as error:
            fault = str(error)
        rows = [row for row in read_metrics(Path(folder) / "metrics.jsonl") if row["kind"] == "train"]
    return Trial(model.eval(), rows, fault, overrides or {})


def affordable(patient: Patient, seconds: float) -> int:
    """How many updates a trial of so many seconds has."""
    times = []
    for updates in (2, 10):
        began = time.perf_counter()
        run_trial(patient, updates)
        times.append(time.perf_counter() - began)
    each = max((times[1] - times[0]) / 8, 1e-4)
    return max(LEAST, min(MOST, int(seconds / each)))


def gained(own: Trial, other: Trial) -> float:
    """Which part of the other trial's gain `own` misses: 0 is none, 1 all of it, more where its loss went up."""
    gain = own.first - other.last
    if not math.isfinite(gain) or gain <= 0.01 * abs(own.first):
        return 0.0
    return (own.last - other.last) / gain if math.isfinite(own.last) else math.inf
