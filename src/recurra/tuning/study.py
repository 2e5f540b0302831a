"""A study that several processes share: its trials are laid out, claimed one by one, and handed on when a worker dies.

Each trial is claimed by exactly one worker, whatever the number of processes and hosts: the storage decides. A worker
says that it lives by a counter that it raises; whoever sees a counter stand still for too long, by his own clock, puts
the trial out again, with the same options and the figures reported so far.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from recurra.core.errors import ConfigError
from recurra.tuning.storage import public

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

_NOTE = "recurra"
_BEAT, _WORKER, _ORIGINAL = "beat", "worker", "failed_trial"
_MISSED_BEATS = 4
_RETRIES = 2


class LostTrial(Exception):
    """Somebody else took this worker for dead, and goes on with its trial."""


class Claim(NamedTuple):
    """A trial that is this worker's own.

    Attributes:
        trial: Optuna's.
        original: the number under which it was first begun.
        reported: evaluations that were reported before.
        began: time.perf_counter() at its claim.
    """

    trial: Trial
    original: int
    reported: frozenset[int]
    began: float

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.trial.number

    @property
    def identity(self) -> int:
        """Of the trial in the storage."""
        return self.trial._trial_id


class Watched(NamedTuple):
    """A trial's counter, and when it was first seen at this value (monotonic seconds)."""

    beat: int
    since: float


class SharedStudy:
    """A study in a storage, seen from one process.

    Args:
        study: Optuna's.
        storage: in which it is kept.
        beat_seconds: between two signs of life.
        sampler: by the number of a trial, who proposes its options: what is drawn depends on no worker's number.
    """

    def __init__(
        self, study: optuna.Study, storage: BaseStorage, beat_seconds: float, sampler: Callable[[int], BaseSampler]
    ) -> None:
        self.study = study
        self._storage, self._beat_seconds, self._sampler = storage, beat_seconds, sampler
        self._watched: dict[int, Watched] = {}

    def trials(self, *states: str) -> list[FrozenTrial]:
        """The trials in these states (all of them, if none is named)."""
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=[TrialState[state] for state in states] or None)

    def size(self) -> int:
        """How many trials there are; one that was begun again counts once."""
        return sum(_ORIGINAL not in trial.system_attrs for trial in self.trials())

    def lay_out(self, cells: Iterable[Mapping[str, Any]]) -> None:
        """Put out trials to be claimed; parameters that a cell doesn't name are left to the sampler."""
        for cell in cells:
            self.study.enqueue_trial(dict(cell))

    def claim(self, worker: str) -> Claim | None:
        """The first trial that waits, now this worker's own; None if none waits."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import Trial, TrialState

        for waiting in self.trials("WAITING"):
            number = waiting._trial_id
            with suppress(UpdateFinishedTrialError):
                if self._storage.set_trial_state_values(number, state=TrialState.RUNNING):
                    self._storage.set_trial_user_attr(number, _WORKER, worker)
                    original = waiting.system_attrs.get(_ORIGINAL, waiting.number)
                    reported = frozenset(waiting.intermediate_values)
                    self.study.sampler = self._sampler(waiting.number)
                    return Claim(Trial(self.study, number), original, reported, time.perf_counter())
        return None

    @contextmanager
    def alive(self, claim: Claim) -> Iterator[threading.Event]:
        """Give signs of life while the trial is at work; the event is set once somebody took the trial away."""
        ended, lost = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._beat, args=(claim.identity, ended, lost), daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            ended.set()
            thread.join()

    def _beat(self, trial: int, ended: threading.Event, lost: threading.Event) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        beat = 0
        while not ended.wait(self._beat_seconds if beat else 0):
            beat += 1
            try:
                self._storage.set_trial_user_attr(trial, _BEAT, beat)
            except UpdateFinishedTrialError:
                lost.set()
                break
            except Exception:  # the storage is away for a while; the trial's own reports tell of it if it stays away
                continue
        self._storage.remove_session()

    def end(self, claim: Claim, value: float | None, attributes: Mapping[str, Any]) -> None:
        """A trial is over, with a value or, where there is None, before its time."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError):  # lost in the last moment, it is another's
            for name, given in attributes.items():
                claim.trial.set_user_attr(name, given)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        self.study.tell(claim.trial, value, state=state, skip_if_finished=True)

    @property
    def best(self) -> int | None:
        """The number of the best trial that came to its end."""
        return self.study.best_trial.number if self.trials("COMPLETE") else None

    def release_dead(self) -> list[int]:
        """Hand on the trials whose workers have been silent for too long; their numbers."""
        now, released = time.monotonic(), []
        running = {trial._trial_id: trial for trial in self.trials("RUNNING")}
        self._watched = {number: seen for number, seen in self._watched.items() if number in running}
        for number, trial in running.items():
            beat = trial.user_attrs.get(_BEAT, 0)
            seen = self._watched.setdefault(number, Watched(beat, now))
            if seen.beat != beat:
                self._watched[number] = Watched(beat, now)
            elif now - seen.since > _MISSED_BEATS * self._beat_seconds and self.release(number):
                released.append(trial.number)
        return released

    def release_of(self, worker: str) -> list[int]:
        """Hand on the trials of a worker that is known to be dead; their numbers."""
        own = [trial for trial in self.trials("RUNNING") if trial.user_attrs.get(_WORKER) == worker]
        return [trial.number for trial in own if self.release(trial._trial_id)]

    def release(self, identity: int, counts: bool = True) -> bool:
        """Give a trial up and put it out again; False if it is over, or somebody else did so first.

        Args:
            identity: of the trial in the storage.
            counts: whether this is one of the few tries that a trial has.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.storages import RetryHeartbeatStaleTrialCallback
        from optuna.trial import TrialState

        try:
            self._storage.set_trial_state_values(identity, state=TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ExperimentalWarning
            retry = RetryHeartbeatStaleTrialCallback(_RETRIES if counts else None, inherit_intermediate_values=True)
        retry(self.study, self._storage.get_trial(identity))
        return True


def open_study(
    storage: BaseStorage, url: str, name: str, note: Mapping[str, Any], *, less_is_better: bool
) -> tuple[optuna.Study, bool]:
    """Make a study, or join it; and whether it was made.

    Args:
        note: JSON values that say what the study is about, kept with it: `task`, and `options` by dotted name.
    Raises:
        ConfigError: a study of that name is there, and is about something else.
    """
    import optuna

    direction: Any = "minimize" if less_is_better else "maximize"
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
        _require_same(study, url, name, note)
        return study, False
    study.set_user_attr(_NOTE, dict(note))
    return study, True


def _require_same(study: optuna.Study, url: str, name: str, note: Mapping[str, Any]) -> None:
    where, other = f"study `{name}` in {public(url)}", "give the search another --study NAME or --storage."
    stored = _note_of(study)
    if stored is None:
        raise ConfigError(f"{where} was not made by `recurra tune`: {other}")
    if stored["task"] != note["task"]:
        raise ConfigError(f"{where} is about {stored['task']}, and this run about {note['task']}: {other}")
    there, here = stored["options"], note["options"]
    # another version of recurra may know other options; what is searched must be the same
    compared = {key for key in {*there, *here} if (key in there and key in here) or key.startswith("tune.")}
    differing = [key for key in sorted(compared) if there.get(key) != here.get(key)]
    if differing:
        shown = "; ".join(f"{key}: {there.get(key)} there, {here.get(key)} here" for key in differing[:5])
        raise ConfigError(f"{where} searches with other options ({shown}). Join it with the same ones, or {other}")


def _note_of(study: optuna.Study) -> dict[str, Any] | None:
    """What the study is about; its maker may need a moment to say so."""
    for _ in range(10):
        found: dict[str, Any] | None = study.user_attrs.get(_NOTE)
        if found is not None:
            return found
        time.sleep(0.2)
    return None
