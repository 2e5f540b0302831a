"""A worker: it claims trials, trains them, and tells the study what came out, until there is nothing left to do."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from recurra.core.errors import NonFiniteError, OutputError, RecurraError
from recurra.core.memory import is_too_large
from recurra.runs import Run, RunConfig, rehearse
from recurra.runs.axes import format_number
from recurra.tasks import Prepared
from recurra.training import Progress
from recurra.tuning.scales import short_names, told
from recurra.tuning.space import Space
from recurra.tuning.study import Claim, LostTrial, SharedStudy

if TYPE_CHECKING:
    import threading

_POLL_SECONDS = 1.0
_WEIGHTS = ("checkpoints", "tensorboard", "cache", "adapt", "adapt-backward")
"""What a trial's folder holds besides its figures; it goes once the trial is over."""


class Result(NamedTuple):
    """What a trial came to, and what is kept with it."""

    value: float
    attributes: Mapping[str, Any]


Watch = Callable[[Progress, dict[str, float]], None]


class Objective(Protocol):
    """What the trials of a study are."""

    def run(self, claim: Claim, watch: Watch) -> Result:
        """Carry a trial out; `watch` is called after each of its evaluations, and what it raises ends it."""

    def clear(self, claim: Claim) -> None:
        """Clear away what nobody needs of a trial that is over."""

    def title(self, claim: Claim) -> str:
        """The trial for the person who waits."""


class Trials:
    """Trials of the options in a space: each a run that is rehearsed, its figure that of the validation split.

    Args:
        space: what may change.
        fixed: options that all trials have.
        out: folder of the trials.
        prepared: the data of the run as it stands, used by all trials that read them alike; None reads them each time.
    """

    def __init__(self, space: Space, fixed: Mapping[str, Any], out: Path, prepared: Prepared | None) -> None:
        self._space, self._fixed, self._out, self._prepared = space, dict(fixed), out, prepared
        self._data = _data_of(space.settle(fixed))

    def run(self, claim: Claim, watch: Watch) -> Result:
        """Train with the options that the sampler proposes, from the trial's last checkpoint where there is one.

        Raises:
            ConfigError: the options don't go together.
        """
        config, folder = self._space.settle(self._space.draw(claim.trial), **self._fixed), self._folder(claim)
        run = Run(
            config=config,
            out=folder,
            resume=(folder / "config.yaml").is_file(),
            quiet=True,
            say=lambda _: None,
            observer=watch,
            prepared=self._prepared if _data_of(config) == self._data else None,
        )
        progress = rehearse(run)
        assert progress.best_value is not None, "trials are evaluated"
        return Result(
            progress.best_value, {"core_seconds": round(progress.core_seconds, 2), "updates": progress.update}
        )

    def clear(self, claim: Claim) -> None:
        """Keep nothing but config and figures."""
        for name in _WEIGHTS:
            shutil.rmtree(self._folder(claim) / name, ignore_errors=True)

    def title(self, claim: Claim) -> str:
        """The trial with its options."""
        values = self._space.values(claim.trial.params)
        return f"trial {claim.number} [{told(values, short_names(self._space.entries))}]"

    def _folder(self, claim: Claim) -> Path:
        return self._out / f"{claim.original:04d}"


class Worker:
    """One process of a search at work.

    Args:
        study: shared with the others.
        objective: what a trial is.
        name: of this process, in the study.
        trials: so many there are to be in the study; None is no bound.
        deadline: time.time() after which nothing begins; None is none.
        say: where sentences go.
    """

    def __init__(
        self,
        study: SharedStudy,
        objective: Objective,
        name: str,
        *,
        trials: int | None,
        deadline: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._study, self._objective, self._name = study, objective, name
        self._trials, self._deadline, self._say = trials, deadline, say

    def work(self) -> None:
        """Carry out trials until none is left, here or elsewhere.

        Raises:
            RecurraError: a fault that any trial would have; the trial is put out again.
            KeyboardInterrupt: as it came; the trial is saved and put out again.
        """
        while (claim := self._next()) is not None:
            self._carry_out(claim)

    def _next(self) -> Claim | None:
        """The next trial; waits while others are at work, as one of them may die and leave a trial."""
        parent = multiprocessing.parent_process()
        while not self._is_late() and (parent is None or parent.is_alive()):
            for number in self._study.release_dead():
                self._say(f"trial {number}: its worker is silent; the trial is put out again")
            if (claim := self._study.claim(self._name)) is not None:
                return claim
            if self._trials is None or self._study.size() < self._trials:
                self._study.lay_out([{}])
            elif not self._study.trials("RUNNING"):
                return None
            else:
                time.sleep(_POLL_SECONDS)
        return None

    def _is_late(self) -> bool:
        return self._deadline is not None and time.time() >= self._deadline

    def _carry_out(self, claim: Claim) -> None:
        from optuna import TrialPruned

        try:
            with self._study.alive(claim) as lost:
                result = self._objective.run(claim, lambda progress, _: self._watch(claim, progress, lost))
        except LostTrial:
            self._say(f"trial {claim.number}: this worker was silent for too long, and another one goes on with it")
        except TrialPruned as stop:
            self._end(claim, None, {"why": str(stop)})
        except Exception as error:
            why = self._blamed(error)
            if why is None:
                self._study.release(claim.identity)
                raise
            self._end(claim, None, {"why": why})
        except BaseException:
            self._study.release(claim.identity, counts=False)
            raise
        else:
            self._end(claim, result.value, result.attributes)

    def _watch(self, claim: Claim, progress: Progress, lost: threading.Event) -> None:
        """Report an evaluation; end the trial if it is bad, if the time is over, or if it is another's by now."""
        from optuna import TrialPruned

        if lost.is_set():
            raise LostTrial
        step, value = len(progress.history), progress.history[-1]
        if step not in claim.reported:
            claim.trial.report(value, step)
        if claim.trial.should_prune():
            raise TrialPruned(f"worse than others at evaluation {step} ({progress.tag} {format_number(value)})")
        if self._is_late():
            raise TrialPruned(f"the time was over at evaluation {step} ({progress.tag} {format_number(value)})")

    def _blamed(self, error: Exception) -> str | None:
        """Why these options can't be trained with; None if the fault is not theirs."""
        if is_too_large(error):
            return "not enough memory"
        usual = isinstance(error, RecurraError) and not isinstance(error, OutputError)
        if isinstance(error, NonFiniteError) or (usual and self._study.trials("COMPLETE")):
            return " ".join(str(error).split())
        return None

    def _end(self, claim: Claim, value: float | None, attributes: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - claim.began
        self._study.end(claim, value, {**attributes, "seconds": round(seconds, 2)})
        self._objective.clear(claim)
        best = "" if value is None or self._study.best != claim.number else ", the best so far"
        told = attributes["why"] if value is None else f"{format_number(value)}{best}"
        self._say(f"{self._objective.title(claim)}: {told} ({seconds:.0f} s)")


def _data_of(config: RunConfig) -> tuple[Any, ...]:
    """The options that the preparation of the data depends on."""
    return config.task, config.data, config.finetune, config.seed
