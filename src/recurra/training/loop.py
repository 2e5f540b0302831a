"""The one training loop: batches in, updates, evaluations, checkpoints, and the best weights out.

It knows a task, two streams and a model only by the protocols of `recurra.core.batch`. Everything that decides the
next number (weights, optimizer, schedule, generators, stream position, carried state) is in a checkpoint, so a run that
was killed and resumed gives the numbers of one that was not.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recurra.core import state as states
from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError, NonFiniteError, did_you_mean
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.state import State
from recurra.training.averaging import WeightAverage
from recurra.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    keep_only,
    list_checkpoints,
    load_model_tensors,
    load_optimizer_tensors,
    model_tensors,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from recurra.training.diagnostics import (
    describe_batch,
    explain_non_finite,
    gradient_norms,
    require_finite_weights,
)
from recurra.training.distributed import share, unwrap
from recurra.training.evaluation import defined, evaluate, run_over
from recurra.training.interrupt import Interrupt, InterruptedRun
from recurra.training.job import NO_METRIC, Job, Progress, monitor_of, require_validation
from recurra.training.logs import MetricsLog, ProgressBar, open_tensorboard
from recurra.training.schedule import Schedule
from recurra.training.step import StepResult, TrainStep

_EVALUATIONS = 40
"""So many there are at most where `training.min_updates` makes more epochs of few data."""


class Loop:
    """One run of a `Job`.

    Raises:
        DataError: the training split is empty.
        ConfigError: an option needs validation data, and there is none.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.world, config = job, job.world, job.training
        require_validation(job)
        self.updates_per_epoch = math.ceil(job.train.batches_per_epoch() / job.optimizer.accumulate)
        if self.updates_per_epoch == 0:
            raise DataError("the training split has no batch: it is empty.")
        self.total = max(config.epochs * self.updates_per_epoch, config.min_updates)
        self._epochs_to_evaluation = max(1, math.ceil(config.min_updates / _EVALUATIONS / self.updates_per_epoch))
        if config.max_updates is not None:
            self.total = min(self.total, config.max_updates)
        self.model = share(job.model, self.world, config.strategy, unused=job.optimizer.unfreeze_epochs > 0)
        self.groups = job.layer_groups()
        self.optimizer = job.optimizer.build(self.groups)
        self.schedule = Schedule(job.schedule, self.total, self.updates_per_epoch)
        self.step = TrainStep(
            self.model,
            job.task,
            self.optimizer,
            job.optimizer,
            self.world,
            config.precision,
            carries_state=job.train.carries_state,
            objective=job.objective,
        )
        self.average = WeightAverage(unwrap(self.model), config.average, self.total)
        self.tag, self.less_is_better = monitor_of(job.task, config)
        self.progress = Progress(tag=self.tag)
        self.state: State | None = None
        self.notes: list[str] = []
        self._interrupt = Interrupt()
        self._tokens, self._window_started, self._saved_at = 0.0, time.perf_counter(), time.monotonic()

    def run(self) -> Progress:
        """Train to the end (or from the newest checkpoint to the end) and leave the best weights in the model.

        Raises:
            InterruptedRun: a signal asked to stop; the run is saved.
            NonFiniteError: NaN or infinity; the last good checkpoint is kept.
            RecurraError: a checkpoint is damaged or can't be written, or `training.monitor` is not to be had.
        """
        checkpoint = self._restore() if self.job.resume else None
        start = self.progress.update
        self._clock = (time.perf_counter() - self.progress.seconds, time.process_time() - self.progress.core_seconds)
        if self.job.training.monitor not in NO_METRIC:
            self._try_monitor()
        self._open_logs(None if checkpoint is None else start)
        show = not self.job.quiet and self.world.is_main
        unit = "tokens" if self.job.train.carries_state else "rows"
        try:
            with self._interrupt.listening(), ProgressBar(self.total, start=start, unit=unit, show=show) as self.bar:
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
            result, self.state = self.step(batches, self.state, self.schedule.factor(self.progress.update))
            self._check(result, batches)
            if self._watched and self.progress.update % 100 == 0:
                self._watch_gradients()
            self.step.apply()
            self.progress.update += 1
            self.average.update(self.progress.update)
            self._log(result)
            if self.progress.update % self.updates_per_epoch == 0:
                self._end_epoch()
            if self.job.training.average.is_snapshot(*self._place()):
                self._keep_snapshot()
            overdue = time.monotonic() - self._saved_at >= self.job.training.checkpoint_seconds
            interrupted, overdue = self.world.any(self._interrupt.requested, overdue and self.world.is_main)
            evaluated = self._evaluation_due()
            if evaluated:
                self._evaluate()
            if evaluated or overdue or interrupted:
                self._save()
            if interrupted:
                raise InterruptedRun(f"stopped at update {self.progress.update} of {self.total}")
        if self.job.valid is None:
            self._stop_clock()
            self.progress.best_update = self.progress.update
            with self.average.applied():
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
        trained = 1 + self.progress.epoch // every
        for depth, group in enumerate(self.groups):
            for parameter in group:
                parameter.requires_grad_(len(self.groups) - depth <= trained)

    def _probe_precision(self) -> None:
        position = self.job.train.state_dict()
        batch = self.job.train.next_batch()
        self.job.train.load_state_dict(position)
        assert batch is not None, "the stream is empty"
        note = self.step.probe(batch.to(self.world.device))
        if note is not None:
            self._note(note)

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
            rate=self._rate(),
            batch=describe_batch(batches[-1]),
        )

    # -- evaluation -------------------------------------------------------------------------------------------------

    def _evaluation_due(self) -> bool:
        if self.job.valid is None:
            return False
        every = self.job.training.evaluate_every
        at_epoch = self.progress.update % (self.updates_per_epoch * self._epochs_to_evaluation) == 0
        due = self.progress.update % every == 0 if every else at_epoch
        return due or self.progress.update == self.total

    def _try_monitor(self) -> None:
        """Evaluate one batch, so that a metric that is not there is told of before the training, not after an epoch."""
        stream = self.job.valid
        assert stream is not None, "a monitored metric needs validation data"
        position, metrics = stream.state_dict(), self.job.task.metrics()
        batch, output = next(run_over(self.model, self.job.task, stream, self.world.device, quick=True))
        stream.load_state_dict(position)
        metrics.update(self.job.task.predict(output.prediction, batch), self.job.task.references(batch))
        self._monitored(metrics.compute())

    def _monitored(self, found: dict[str, float]) -> float:
        """The figure that chooses the best weights."""
        if self.tag not in found:
            near = did_you_mean(self.tag, found)
            raise ConfigError(f"`training.monitor`: the task gives no metric `{self.tag}`.{near}")
        return found[self.tag]

    def _evaluate(self) -> None:
        assert self.job.valid is not None
        require_finite_weights(unwrap(self.model), self.progress.update, self._rate())
        with self.average.applied():
            found = self.world.agree(evaluate(self.model, self.job.task, self.job.valid, self.world.device))
            value = self._monitored(found)
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"update {self.progress.update}: {self.tag} of the validation split is {value}: the split does not "
                    "define it, or the model's outputs overflow. Choose another training.monitor, or lower "
                    f"optimizer.learning_rate (now {self._rate():g})."
                )
            found = defined(found)
            best = self.progress.best_value
            improved = best is None or (value < best if self.less_is_better else value > best)
            if improved or self.job.training.monitor == "last":
                self.progress.best_value, self.progress.best_update = value, self.progress.update
                self._keep_best(found)
                self.bar.best(self.tag, value)
        self._after_evaluation(value, improved)
        if self.log is not None:
            self.log.write({"kind": "valid", **self._position(), **found})
        if self._watched:
            self._watch_weights(found)
        self.bar.print(f"update {self.progress.update}: " + "  ".join(f"{k} {v:.4f}" for k, v in found.items()))
        if self.job.observer is not None:
            self.job.observer(self.progress, found)
        self._window_started = time.perf_counter()

    def _after_evaluation(self, value: float, improved: bool) -> None:
        self.schedule.after_evaluation(improved)
        history = self.progress.history
        history.append(value)
        if self.average.after_evaluation(history, self.less_is_better):
            self._note(f"weights averaged from update {self.progress.update} on")
        best_of = min if self.less_is_better else max
        patience = self.job.training.patience
        if patience and len(history) - 1 - history.index(best_of(history)) >= patience:
            self.progress.stopped_early = True

    # -- checkpoints ------------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.job.folder / "checkpoints"

    def _keep_best(self, found: dict[str, float] | None) -> None:
        tensors = model_tensors(unwrap(self.model))
        if self.world.is_main:
            write_checkpoint(self._folder, "best", self.progress.update, tensors, {"metrics": found or {}})

    def _place(self) -> tuple[int, int, int]:
        """Updates done, those of the warm-up, and all of the run."""
        return self.progress.update, min(self.job.schedule.warmup_updates, self.total - 1), self.total

    def _keep_snapshot(self) -> None:
        tensors = model_tensors(unwrap(self.model))
        if self.world.is_main:
            write_checkpoint(self._folder, "snapshot", self.progress.update, tensors, {})

    def _load_best(self) -> None:
        self.world.gather(None)  # all wait until the main process has written
        best = checkpoint_path(self._folder, "best", self.progress.best_update)
        load_model_tensors(unwrap(self.model), read_checkpoint(best).tensors, str(best))

    def _stop_clock(self) -> None:
        self.progress.seconds = time.perf_counter() - self._clock[0]
        self.progress.core_seconds = time.process_time() - self._clock[1]

    def _save(self) -> None:
        self._stop_clock()
        model = unwrap(self.model)
        require_finite_weights(model, self.progress.update, self._rate())
        tensors = {f"model/{name}": tensor for name, tensor in model_tensors(model).items()}
        tensors |= {f"optimizer/{name}": t for name, t in optimizer_tensors(model, self.optimizer).items()}
        tensors |= {f"average/{name}": t for name, t in self.average.tensors().items()}
        own = {f"rng/{name}": tensor for name, tensor in rng_state().items()}
        if self.state is not None:
            own |= {f"carried/{name}": tensor for name, tensor in states.save(self.state).items()}
        for rank, others in enumerate(self.world.gather(own)):
            tensors |= {f"rank{rank}/{name}": tensor for name, tensor in others.items()}
        values = {
            "progress": asdict(self.progress),
            "schedule": self.schedule.state_dict(),
            "stream": self.job.train.state_dict(),
            "average_count": self.average.count,
            "precision": self.step.precision,
            "scaler": self.step.scaler.state_dict(),
            "world_size": self.world.size,
            "notes": self.notes,
        }
        if self.world.is_main:
            if self.log is not None:
                self.log.flush()
            write_checkpoint(self._folder, "update", self.progress.update, tensors, values)
            self._delete_others()
        self._saved_at, self._window_started = time.monotonic(), time.perf_counter()

    def _restore(self) -> Checkpoint | None:
        found = list_checkpoints(self._folder, "update")
        if not found:
            return None
        stored = read_checkpoint(found[-1])
        values, written_by = stored.values, stored.values["world_size"]
        if written_by != self.world.size:
            raise ConfigError(
                f"{stored.folder} was written by {written_by} process(es), and this run has {self.world.size}: resume "
                f"with as many (torchrun --nproc-per-node {written_by})."
            )
        model = unwrap(self.model)
        load_model_tensors(model, stored.part("model"), str(stored.folder))
        load_optimizer_tensors(model, self.optimizer, stored.part("optimizer"))
        if average := stored.part("average"):
            self.average.load(average, values["average_count"])
        self.schedule.load_state_dict(values["schedule"])
        self.job.train.load_state_dict(values["stream"])
        self.step.use_precision(values["precision"])
        if values["scaler"]:
            self.step.scaler.load_state_dict(values["scaler"])
        self.progress = Progress(**values["progress"])
        self.notes = list(values["notes"])
        carried = stored.part(f"rank{self.world.rank}/carried")
        self.state = states.to(states.load(carried), self.world.device) if carried else None
        load_rng_state(stored.part(f"rank{self.world.rank}/rng"))
        if self.progress.best_value is not None:
            read_checkpoint(checkpoint_path(self._folder, "best", self.progress.best_update))
        if self.world.is_main:
            self._delete_others()
        return stored

    def _delete_others(self) -> None:
        """Keep the newest checkpoint and the best weights that it speaks of."""
        keep_only(self._folder, "update", self.progress.update)
        keep_only(self._folder, "best", self.progress.best_update)

    # -- logs -------------------------------------------------------------------------------------------------------

    def _rate(self) -> float:
        """The top group's learning rate."""
        return float(self.optimizer.param_groups[-1]["lr"])

    def _note(self, text: str) -> None:
        """Say a sentence, and keep it for the report."""
        self.notes.append(text)
        self.job.say(text)

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
            "learning_rate": self._rate(),
            "tokens_per_second": round(speed, 1),
        }
        self.log.write({"kind": "train", **self._position(), **row})
        if self.tensorboard is not None and self.progress.update % 10 == 0:
            self.tensorboard.scalars("train", row, self.progress.update)

    def _watch_gradients(self) -> None:
        norms = gradient_norms(unwrap(self.model))  # in all processes, as each may hold a part
        if self.tensorboard is not None:
            self.tensorboard.scalars("gradient_norm", norms, self.progress.update)

    def _watch_weights(self, found: dict[str, float]) -> None:
        tensors = model_tensors(unwrap(self.model))
        if self.tensorboard is not None:
            self.tensorboard.scalars("valid", found, self.progress.update)
            self.tensorboard.histograms(tensors, self.progress.update)

    def _open_logs(self, resume_at: int | None) -> None:
        mode = self.job.training.tensorboard if self.world.is_main else "never"
        self.tensorboard = open_tensorboard(mode, self.job.folder / "tensorboard", resume_at)
        self.log = MetricsLog(self.job.folder / "metrics.jsonl", resume_at) if self.world.is_main else None
        self._watched = self.world.agree(self.tensorboard is not None)

    def _close_logs(self) -> None:
        if self.log is not None:
            self.log.close()
        if self.tensorboard is not None:
            self.tensorboard.close()
