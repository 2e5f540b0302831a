"""The trials or the final runs of a search, carried out by this process or by several of its own."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.core.errors import ConfigError, RecurraError
from recurra.runs import Run, RunConfig, prepare
from recurra.runs.tune_options import TuneConfig, Values
from recurra.tasks import Prepared
from recurra.tuning.finals import Finals
from recurra.tuning.options import Search
from recurra.tuning.space import Space
from recurra.tuning.storage import open_storage, public, require_optuna
from recurra.tuning.study import SharedStudy
from recurra.tuning.work import Objective, Trials, Worker

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

_LIVES = 3
"""So many times a dead worker of this command is replaced, for each that there is to be."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What the workers of a search are given.

    Attributes:
        search: as it was asked for.
        study: name of the study of this phase.
        out: folder of the phase's runs.
        space: of the trials; None in the final runs.
        finals: the configs of the final runs by name; empty in the trials.
        tag: of the metric that is a trial's value.
        trials: so many there are to be; None is no bound.
        deadline: time.time() after which nothing begins; None is none.
    """

    search: Search
    study: str
    out: Path
    tag: str
    space: Mapping[str, Values] | None = None
    finals: Mapping[str, RunConfig] | None = None
    trials: int | None = None
    deadline: float | None = None


@contextmanager
def prepared_trials(search: Search, space: Space) -> Iterator[Prepared]:
    """The data of the trials; what does not fit into memory lies in a folder of this process for so long."""
    folder = search.out / f".data-{uuid.uuid4().hex}"
    try:
        yield prepare(Run(config=space.settle({}, **fixed_options(search)), out=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fixed_options(search: Search) -> dict[str, Any]:
    """Options that all trials have, whatever is drawn."""
    return {**tune_config(search).trial, "training.tensorboard": "never"}


def tune_config(search: Search) -> TuneConfig:
    """The section `tune` of the run."""
    return search.config.tune or TuneConfig()


def carry_out(phase: Phase, prepared: Prepared | None) -> None:
    """Do the work of a phase; nothing of it is left when this returns, unless the time is over.

    Args:
        prepared: the data of the trials, for a worker in this process.
    Raises:
        RecurraError: a fault that every trial would have.
        KeyboardInterrupt: as it came; all that was done is kept.
    """
    if phase.search.workers == 1:
        _work(phase, _name(), 0, prepared)
    else:
        _Workers(phase).run()


def shared(phase: Phase, study: optuna.Study, storage: BaseStorage) -> SharedStudy:
    """A study as the workers of a phase see it."""
    return SharedStudy(
        study, storage, tune_config(phase.search).heartbeat_seconds, lambda number: _sampler(phase, number)
    )


def _work(phase: Phase, name: str, index: int, prepared: Prepared | None) -> None:
    """Do the work of one process."""
    search = phase.search
    if phase.space is None:
        _serve(phase, name, Finals(phase.finals or {}, phase.tag, phase.out))
        return
    space = Space(search.config, phase.space)
    fixed = {**fixed_options(search), **_device(search, index)}
    with nullcontext(prepared) if prepared is not None else prepared_trials(search, space) as data:
        _serve(phase, name, Trials(space, fixed, phase.out, data))


def _serve(phase: Phase, name: str, objective: Objective) -> None:
    import optuna

    search, storage = phase.search, open_storage(phase.search.storage)
    study = optuna.load_study(study_name=phase.study, storage=storage, pruner=_pruner(phase))
    worker = Worker(
        shared(phase, study, storage),
        objective,
        name,
        trials=phase.trials,
        deadline=phase.deadline,
        say=search.say,
    )
    try:
        worker.work()
    except optuna.exceptions.StorageInternalError as error:
        raise ConfigError(
            f"the storage {public(search.storage)} can't be reached any more. Nothing is lost: the same command goes "
            "on once it is back."
        ) from error


def _device(search: Search, index: int) -> dict[str, Any]:
    """Spread the workers of a command over the GPUs of a machine."""
    import torch

    count = torch.cuda.device_count()
    if search.workers == 1 or count < 2 or search.config.training.device != "auto":
        return {}
    return {"training.device": f"cuda:{index % count}"}


def _sampler(phase: Phase, number: int) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    seed = (phase.search.config.seed * 1_000_003 + number) % 2**32
    if phase.search.method != "tpe" or phase.space is None:
        return RandomSampler(seed=seed)
    startup = min(10, max(4, (phase.trials or 40) // 4))
    return TPESampler(seed=seed, n_startup_trials=startup)


def _pruner(phase: Phase) -> optuna.pruners.BasePruner:
    from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

    if phase.space is None or phase.search.pruning == "none":
        return NopPruner()
    return MedianPruner(n_startup_trials=4) if phase.search.pruning == "median" else SuccessiveHalvingPruner()


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class _Workers:
    """The worker processes of a phase; one that dies is replaced, and its trial is put out again at once."""

    def __init__(self, phase: Phase) -> None:
        import optuna

        self._phase, self._context = phase, multiprocessing.get_context("spawn")
        storage = open_storage(phase.search.storage)
        self._study = shared(phase, optuna.load_study(study_name=phase.study, storage=storage), storage)
        self._spare = _LIVES * phase.search.workers
        self._ends: dict[Connection, tuple[BaseProcess, str, int]] = {}

    def run(self) -> None:
        """Start the workers, and wait until all are done."""
        before = signal.signal(signal.SIGTERM, _as_interrupt)
        try:
            for index in range(self._phase.search.workers):
                self._start(index)
            while self._ends:
                for end in wait(list(self._ends)):
                    self._ended(end)  # type: ignore[arg-type]
        finally:
            signal.signal(signal.SIGTERM, before)
            self._stop()

    def _start(self, index: int) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        name = f"{_name()}:{index}"
        process = self._context.Process(target=_process, args=(self._phase, name, index, theirs))
        process.start()
        theirs.close()
        self._ends[ours] = process, name, index

    def _ended(self, end: Connection) -> None:
        """A worker has said how it ended, or is gone without a word."""
        process, name, index = self._ends.pop(end)
        try:
            fault: str | None = end.recv()
        except EOFError:
            process.join()
            self._replace(name, index, process.exitcode)
            return
        process.join()
        if fault is not None:
            raise RecurraError(fault)

    def _replace(self, name: str, index: int, code: int | None) -> None:
        for number in self._study.release_of(name):
            self._phase.search.say(f"trial {number}: its worker died (exit code {code}); the trial is put out again")
        if not self._spare:
            raise ConfigError(
                f"workers die again and again (the last with exit code {code}; -9 is often a lack of memory). Lower "
                "--workers; nothing is lost, and the same command goes on."
            )
        self._spare -= 1
        self._start(index)

    def _stop(self) -> None:
        for process, _, _ in self._ends.values():
            process.terminate()
        for process, _, _ in self._ends.values():
            process.join()


def _process(phase: Phase, name: str, index: int, end: Connection) -> None:
    """A worker in a process of its own; it ends with a word of how it went."""
    import torch

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_interrupt)
    torch.set_num_threads(max(1, torch.get_num_threads() // phase.search.workers))
    require_optuna()
    try:
        _work(phase, name, index, None)
        end.send(None)
    except RecurraError as error:
        end.send(str(error))
    except KeyboardInterrupt:
        pass  # its trial is put out again; ending without a word is to be dead


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
