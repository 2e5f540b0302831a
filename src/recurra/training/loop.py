"""The one training loop: batches in, updates, evaluations, checkpoints, and the best weights out.

It knows a task, two streams and a model only by the protocols of `recurra.core.batch`. Everything that decides the
next number (weights, optimizer, schedule, generators, stream position, carried state) is in a checkpoint, so a run that
was killed and resumed gives the numbers of one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from recurra.core import state as states
from recurra.core.batch import Batch, BatchStream, Task
from recurra.core.errors import ConfigError, DataError
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.state import State
from recurra.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    load_model_tensors,
    load_optimizer_tensors,
    model_tensors,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from recurra.training.config import TrainingConfig
from recurra.training.diagnostics import describe_batch, explain_non_finite, gradient_norms
from recurra.training.distributed import World, share, unwrap
from recurra.training.evaluation import evaluate
from recurra.training.logs import MetricsLog, ProgressBar, open_tensorboard
from recurra.training.optimizer import ASGDConfig, BaseOptimizerConfig
from recurra.training.schedule import BaseScheduleConfig, Schedule
from recurra.training.step import StepResult, TrainStep


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run was saved and can go on."""


@dataclass
class Progress:
    """How far a run is; part of every checkpoint."""

    update: int = 0
    epoch: int = 0
    tag: str = ""
    best_value: float | None = None
    best_update: int = 0
    history: list[float] = field(default_factory=list)
    seconds: float = 0.0
    core_seconds: float = 0.0
    stopped_early: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the loop needs; `valid` None trains without evaluation and keeps the last weights."""

    model: nn.Module
    layer_groups: list[list[nn.Parameter]]
    task: Task
    train: BatchStream
    valid: BatchStream | None
    optimizer: BaseOptimizerConfig
    schedule: BaseScheduleConfig
    training: TrainingConfig
    world: World
    folder: Path
    resume: bool = False
    quiet: bool = False


class Loop:
    """One run of a `Job`."""

    def __init__(self, job: Job) -> None:
        self.job, self.world, config = job, job.world, job.training
        self.updates_per_epoch = math.ceil(job.train.batches_per_epoch() / job.optimizer.accumulate)
        if self.updates_per_epoch == 0:
            raise DataError("the training split has no batch: it is empty.")
        self.total = config.epochs * self.updates_per_epoch
        if config.max_updates is not None:
            self.total = min(self.total, config.max_updates)
        self.model = share(job.model, self.world, config.strategy, unused=job.optimizer.unfreeze_epochs > 0)
        self.optimizer = job.optimizer.build(job.layer_groups)
        self.schedule = Schedule(job.schedule, self.total, self.updates_per_epoch)
        self.step = TrainStep(self.model, job.task, self.optimizer, job.optimizer, self.world, config.precision)
        self.progress = Progress(tag=self._monitor()[0])
        self.state: State | None = None
        self.notes: list[str] = []
        self._interrupted = False
        self._tokens, self._window_started, self._saved_at = 0.0, time.perf_counter(), time.monotonic()

    def run(self) -> Progress:
        """Train to the end (or from the newest checkpoint to the end) and leave the best weights in the model."""
        checkpoint = self._restore() if self.job.resume else None
        start = self.progress.update
        at = start if checkpoint is not None else None
        self._clock = (time.perf_counter() - self.progress.seconds, time.process_time() - self.progress.core_seconds)
        self._open_logs(at)
        show = not self.job.quiet and self.world.is_main
        unit = "tokens" if self.job.train.carries_state else "steps"
        try:
            with self._signals(), ProgressBar(self.total, start=start, unit=unit, show=show) as self.bar:
                self._train()
        finally:
            self._close_logs()
        self._load_best()
        return self.progress

    def _train(self) -> None:
        self._freeze()
        if self.progress.update == 0:
            self._probe_precision()
        while self.progress.update < self.total and not self.progress.stopped_early:
            batches = self._take()
            result, state = self.step(batches, self.state, self.schedule.factor(self.progress.update))
            self._check(result, batches)
            if self.tensorboard is not None and self.progress.update % 100 == 0:
                self.tensorboard.scalars("gradient_norm", gradient_norms(unwrap(self.model)), self.progress.update)
            self.step.apply()
            self.state = state if self.job.train.carries_state else None
            self.progress.update += 1
            self._log(result)
            if self.progress.update % self.updates_per_epoch == 0:
                self._end_epoch()
            interrupted = self.world.any(self._interrupted)
            overdue = time.monotonic() - self._saved_at >= self.job.training.checkpoint_seconds
            if self._evaluation_due():
                self._evaluate()
                overdue = True
            if self.world.any(overdue and self.world.is_main) or interrupted:
                self._save()
            if interrupted:
                raise InterruptedRun(f"stopped at update {self.progress.update} of {self.total}")
        if not list_checkpoints(self._folder, "best"):
            self._keep_best(None)

    def _take(self) -> list[Batch]:
        """The batches of the next update; fewer than `accumulate` at the end of an epoch."""
        batches: list[Batch] = []
        left = self.job.train.batches_per_epoch() - (
            (self.progress.update % self.updates_per_epoch) * self.job.optimizer.accumulate
        )
        for _ in range(min(self.job.optimizer.accumulate, left)):
            batch = self.job.train.next_batch()
            assert batch is not None, "a stream gave fewer batches than it announced"
            batches.append(batch.to(self.world.device) if self.world.device.type != "cpu" else batch)
        return batches

    def _end_epoch(self) -> None:
        assert self.job.train.next_batch() is None, "a stream gave more batches than it announced"
        self.progress.epoch += 1
        self.state = None
        self._freeze()

    def _freeze(self) -> None:
        """Gradual unfreezing: the top group learns first, one more group every `unfreeze_epochs`."""
        every = self.job.optimizer.unfreeze_epochs
        if not every:
            return
        groups = self.job.layer_groups
        trained = 1 + self.progress.epoch // every
        for depth, group in enumerate(groups):
            for parameter in group:
                parameter.requires_grad_(len(groups) - depth <= trained)

    def _probe_precision(self) -> None:
        position = self.job.train.state_dict()
        batch = self.job.train.next_batch()
        self.job.train.load_state_dict(position)
        assert batch is not None, "the stream is empty"
        note = self.step.probe(batch.to(self.world.device))
        if note is not None:
            self.notes.append(note)
            self.bar.print(note)

    def _check(self, result: StepResult, batches: list[Batch]) -> None:
        scaled = self.step.scaler.is_enabled()
        if math.isfinite(result.loss) and (math.isfinite(result.gradient_norm) or scaled):
            return
        config = self.job.optimizer
        raise explain_non_finite(
            unwrap(self.model),
            self.progress.update + 1,
            result.loss,
            clipped=config.clip_norm > 0 or config.clip_value > 0,
            rate=self.optimizer.param_groups[-1]["lr"],
            batch=describe_batch(batches[-1].ids, batches[-1].inputs.data),
        )

    # -- evaluation -------------------------------------------------------------------------------------------------

    def _monitor(self) -> tuple[str, str]:
        tag, mode = self.job.task.monitor
        chosen = self.job.training.monitor
        if chosen in ("auto", tag):
            return tag, mode
        return chosen, "min" if chosen in ("nats", "perplexity", "bpc", "ece", "hamming_loss") else "max"

    def _evaluation_due(self) -> bool:
        if self.job.valid is None:
            return False
        every = self.job.training.evaluate_every
        at_epoch = self.progress.update % self.updates_per_epoch == 0
        due = self.progress.update % every == 0 if every else at_epoch
        return due or self.progress.update == self.total

    def _evaluate(self) -> None:
        assert self.job.valid is not None
        with self.step.average.applied():
            found = evaluate(self.model, self.job.task, self.job.valid, self.world.device)
            tag, mode = self._monitor()
            if tag not in found:
                raise ConfigError(f"`training.monitor`: the task gives no metric `{tag}`; it gives {', '.join(found)}.")
            value = found[tag]
            best = self.progress.best_value
            improved = best is None or (value < best if mode == "min" else value > best)
            if improved:
                self.progress.best_value, self.progress.best_update = value, self.progress.update
                self._keep_best(found)
                self.bar.best(tag, value)
        self._after_evaluation(value, improved, mode)
        if self.log is not None:
            self.log.write({"kind": "valid", **self._position(), **found})
        if self.tensorboard is not None:
            self.tensorboard.scalars("valid", found, self.progress.update)
            self.tensorboard.weights(unwrap(self.model), self.progress.update)
        self.bar.print(f"update {self.progress.update}: " + "  ".join(f"{k} {v:.4f}" for k, v in found.items()))

    def _after_evaluation(self, value: float, improved: bool, mode: str) -> None:
        self.schedule.after_evaluation(improved)
        history = self.progress.history
        config = self.job.optimizer
        if isinstance(config, ASGDConfig) and not self.step.average.started and len(history) > config.non_monotone:
            earlier = history[: -config.non_monotone]
            if value > min(earlier) if mode == "min" else value < max(earlier):
                self.step.average.start()
                self.notes.append(f"weights averaged from update {self.progress.update} on")
        history.append(value)
        patience = self.job.training.patience
        best_at = history.index(min(history) if mode == "min" else max(history))
        if patience and len(history) - 1 - best_at >= patience:
            self.progress.stopped_early = True

    # -- checkpoints ------------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.job.folder / "checkpoints"

    def _keep_best(self, found: dict[str, float] | None) -> None:
        tensors = model_tensors(unwrap(self.model))
        if self.world.is_main:
            write_checkpoint(self._folder, "best", self.progress.update, tensors, {"metrics": found or {}})

    def _load_best(self) -> None:
        self.world.gather(None)  # all wait until the main process has written
        newest = list_checkpoints(self._folder, "best")[-1]
        load_model_tensors(unwrap(self.model), read_checkpoint(newest).tensors, str(newest))

    def _save(self) -> None:
        self.progress.seconds = time.perf_counter() - self._clock[0]
        self.progress.core_seconds = time.process_time() - self._clock[1]
        model = unwrap(self.model)
        tensors = {f"model/{name}": tensor for name, tensor in model_tensors(model).items()}
        tensors |= {f"optimizer/{name}": t for name, t in optimizer_tensors(model, self.optimizer).items()}
        tensors |= {f"average/{name}": t for name, t in self.step.average.tensors().items()}
        own = {f"rng/{name}": tensor for name, tensor in rng_state().items()}
        if self.state is not None:
            own |= {f"carried/{name}": tensor for name, tensor in states.save(self.state).items()}
        for rank, others in enumerate(self.world.gather(own)):
            tensors |= {f"rank{rank}/{name}": tensor for name, tensor in others.items()}
        values = {
            "progress": asdict(self.progress),
            "schedule": self.schedule.state_dict(),
            "stream": self.job.train.state_dict(),
            "average_count": self.step.average.count,
            "scaler": self.step.scaler.state_dict(),
            "world_size": self.world.size,
            "notes": self.notes,
        }
        if self.world.is_main:
            if self.log is not None:
                self.log.flush()
            write_checkpoint(self._folder, "update", self.progress.update, tensors, values)
        self._saved_at = time.monotonic()

    def _restore(self) -> Checkpoint | None:
        found = list_checkpoints(self._folder, "update")
        if not found:
            return None
        stored = read_checkpoint(found[-1])
        if stored.values["world_size"] != self.world.size:
            wanted = stored.values["world_size"]
            raise ConfigError(f"{found[-1]} was written by {wanted} processes; resume with as many, not {self.world.size}.")
        model = unwrap(self.model)
        load_model_tensors(model, stored.part("model"), str(found[-1]))
        load_optimizer_tensors(model, self.optimizer, stored.part("optimizer"))
        if average := stored.part("average"):
            self.step.average.load(average, stored.values["average_count"])
        self.schedule.load_state_dict(stored.values["schedule"])
        self.job.train.load_state_dict(stored.values["stream"])
        if stored.values["scaler"]:
            self.step.scaler.load_state_dict(stored.values["scaler"])
        self.progress = Progress(**stored.values["progress"])
        self.notes = list(stored.values["notes"])
        carried = stored.part(f"rank{self.world.rank}/carried")
        self.state = states.to(states.load(carried), self.world.device) if carried else None
        load_rng_state(stored.part(f"rank{self.world.rank}/rng"))
        if any("can't run here" in note for note in self.notes):
            self.step.dtype = None
        return stored

    # -- logs and signals -------------------------------------------------------------------------------------------

    def _position(self) -> dict[str, Any]:
        return {
            "update": self.progress.update,
            "epoch": round(self.progress.update / self.updates_per_epoch, 4),
            "seconds": round(time.perf_counter() - self._clock[0], 3),
        }

    def _log(self, result: StepResult) -> None:
        now = time.perf_counter()
        speed = result.count / max(now - self._window_started, 1e-9)
        self._window_started = now
        self._tokens = speed if not self._tokens else 0.95 * self._tokens + 0.05 * speed
        self.bar.update(self.progress.update, result.loss, self._tokens)
        if self.log is None:
            return
        row = {
            "loss": result.loss,
            "gradient_norm": result.gradient_norm,
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
            "tokens_per_second": round(speed, 1),
        }
        self.log.write({"kind": "train", **self._position(), **row})
        if self.tensorboard is not None and self.progress.update % 10 == 0:
            self.tensorboard.scalars("train", row, self.progress.update)

    def _open_logs(self, resume_at: int | None) -> None:
        self.log = MetricsLog(self.job.folder / "metrics.jsonl", resume_at) if self.world.is_main else None
        mode = self.job.training.tensorboard if self.world.is_main else "off"
        self.tensorboard = open_tensorboard(mode, self.job.folder / "tensorboard", resume_at)

    def _close_logs(self) -> None:
        if self.log is not None:
            self.log.close()
        if self.tensorboard is not None:
            self.tensorboard.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM lets the update end and saves; a second one acts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _: object) -> None:
            self._interrupted = True
            signal.signal(number, previous[number])

        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

