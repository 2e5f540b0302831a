"""A study that several workers share: each trial is one worker's, and none is lost with its worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from recurra.core.errors import ConfigError, NonFiniteError
from recurra.training import Progress
from recurra.tuning.storage import open_storage, require_optuna
from recurra.tuning.study import Claim, LostTrial, SharedStudy, open_study
from recurra.tuning.work import Result, Worker

NOTE = {"task": "language-modelling", "options": {"optimizer.learning_rate": 0.1}}
BEAT = 0.05


@pytest.fixture
def storage(tmp_path: Path) -> BaseStorage:
    require_optuna()
    return open_storage(f"journal:{tmp_path}/study.journal")


def joined(storage: BaseStorage, note: dict[str, Any] = NOTE, beat: float = BEAT) -> tuple[SharedStudy, bool]:
    study, made = open_study(storage, "journal:x", "s", note, less_is_better=True)
    return SharedStudy(study, storage, beat, lambda number: RandomSampler(seed=number)), made


class Parabola:
    """x squared, seen half-way; `fault` may end a trial otherwise."""

    def __init__(self, fault: Callable[[Claim], None] = lambda claim: None) -> None:
        self.fault, self.seen = fault, list[tuple[int, float]]()

    def run(self, claim: Claim, watch: Callable[[Progress, dict[str, float]], None]) -> Result:
        x = claim.trial.suggest_float("x", -1, 1)
        watch(Progress(tag="y", history=[2 * x * x]), {})
        self.fault(claim)
        self.seen.append((claim.number, x))
        return Result(x * x, {"core_seconds": 1.0})

    def clear(self, claim: Claim) -> None:
        pass

    def title(self, claim: Claim) -> str:
        return f"trial {claim.number}"


def work(shared: SharedStudy, objective: Parabola, trials: int | None = 4, seconds: float | None = None) -> list[str]:
    told: list[str] = []
    deadline = None if seconds is None else time.time() + seconds
    Worker(shared, objective, "tester", trials=trials, deadline=deadline, say=told.append).work()
    return told


def states(shared: SharedStudy) -> list[str]:
    return [trial.state.name for trial in shared.trials()]


def test_each_trial_is_claimed_once(storage: BaseStorage) -> None:
    (ours, made), (theirs, made_again) = joined(storage), joined(storage)
    assert made and not made_again
    ours.lay_out([{"x": 0.5}, {}])
    first, second, third = ours.claim("a"), theirs.claim("b"), ours.claim("a")
    assert first is not None and second is not None and third is None
    assert {first.number, second.number} == {0, 1}
    assert first.trial.suggest_float("x", -1, 1) == 0.5


def test_options_depend_on_the_trial_and_not_on_the_worker(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        require_optuna()
        shared, _ = joined(open_storage(f"journal:{tmp_path}/{name}"))
        shared.lay_out([{}] * 4)
        order = [shared.claim("a") for _ in range(4)]
        drawn.append([claim.trial.suggest_float("x", -1, 1) for claim in order if claim is not None])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 4


def test_a_silent_worker_is_dead_and_its_trial_begun_again(storage: BaseStorage) -> None:
    dead, _ = joined(storage)
    dead.lay_out([{}])
    lost = dead.claim("dead")
    assert lost is not None
    x = lost.trial.suggest_float("x", -1, 1)
    lost.trial.report(2 * x * x, 1)
    shared, _ = joined(storage)
    objective = Parabola()
    told = work(shared, objective, trials=1)
    assert states(shared) == ["FAIL", "COMPLETE"] and objective.seen == [(1, x)]
    assert shared.size() == 1 and "put out again" in told[0]
    assert shared.trials("COMPLETE")[0].intermediate_values == {1: 2 * x * x}


def test_a_worker_that_lives_keeps_its_trial(storage: BaseStorage) -> None:
    ours, _ = joined(storage, beat=0.3)
    theirs, _ = joined(storage, beat=0.3)
    ours.lay_out([{}])
    claim = ours.claim("a")
    assert claim is not None
    with ours.alive(claim) as lost:
        for _ in range(5):
            time.sleep(0.3)
            assert theirs.release_dead() == []
    assert not lost.is_set()


def test_a_worker_that_comes_back_to_life_leaves_the_trial_to_the_other(storage: BaseStorage) -> None:
    shared, _ = joined(storage)
    shared.lay_out([{}])

    def taken_away(claim: Claim) -> None:
        assert shared.release(claim.identity)
        raise LostTrial

    told = work(shared, Parabola(lambda claim: taken_away(claim) if claim.number == 0 else None), trials=1)
    assert "another one goes on" in told[0] and states(shared) == ["FAIL", "COMPLETE"]


def test_a_trial_that_kills_its_workers_is_given_up(storage: BaseStorage) -> None:
    shared, _ = joined(storage)
    shared.lay_out([{}])
    for _ in range(3):
        claim = shared.claim("a")
        assert claim is not None and shared.release_of("a") == [claim.number]
    assert shared.claim("a") is None and states(shared) == ["FAIL"] * 3


def test_an_interrupted_trial_waits_for_the_next_worker(storage: BaseStorage) -> None:
    shared, _ = joined(storage)
    shared.lay_out([{}] * 2)

    def stop(claim: Claim) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(shared, Parabola(stop))
    assert states(shared) == ["FAIL", "WAITING", "WAITING"]
    work(shared, Parabola(), trials=2)
    assert states(shared) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_options_that_diverge_end_their_trial_and_no_other(storage: BaseStorage) -> None:
    shared, _ = joined(storage)

    def diverge(claim: Claim) -> None:
        if claim.number == 1:
            raise NonFiniteError("update 3: the loss is nan.")

    told = work(shared, Parabola(diverge))
    assert states(shared) == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
    assert "the loss is nan" in told[1] and shared.trials("PRUNED")[0].user_attrs["why"] == "update 3: the loss is nan."


def test_a_fault_of_the_first_trial_is_one_of_the_run(storage: BaseStorage) -> None:
    shared, _ = joined(storage)

    def fail(claim: Claim) -> None:
        raise ConfigError("no file")

    with pytest.raises(ConfigError, match="no file"):
        work(shared, Parabola(fail))
    assert states(shared) == ["FAIL", "WAITING"]


def test_bad_trials_end_early(storage: BaseStorage) -> None:
    shared, _ = joined(storage)
    shared.study.pruner = optuna.pruners.ThresholdPruner(upper=0.2)
    told = work(shared, Parabola(), trials=8)
    values = {trial.params["x"]: trial.state for trial in shared.trials()}
    assert {state for x, state in values.items() if 2 * x * x > 0.2} == {TrialState.PRUNED}
    assert {state for x, state in values.items() if 2 * x * x <= 0.2} <= {TrialState.COMPLETE}
    assert any("worse than others at evaluation 1" in line for line in told)


def test_a_budget_of_time_ends_what_runs_at_its_next_evaluation(storage: BaseStorage) -> None:
    shared, _ = joined(storage)
    work(shared, Parabola(lambda claim: time.sleep(0.1)), trials=None, seconds=0.35)
    assert 1 <= len(shared.trials()) <= 4
    assert set(states(shared)) <= {"COMPLETE", "PRUNED"}


def test_a_study_of_another_task_or_of_other_options_is_refused(storage: BaseStorage) -> None:
    joined(storage)
    with pytest.raises(ConfigError, match=r"about language-modelling, and this run about tagging.*--study"):
        joined(storage, {**NOTE, "task": "tagging"})
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate: 0.1 there, 0.2 here"):
        joined(storage, {**NOTE, "options": {"optimizer.learning_rate": 0.2}})


def test_a_study_of_somebody_else_is_left_alone(storage: BaseStorage) -> None:
    optuna.create_study(storage=storage, study_name="s")
    with pytest.raises(ConfigError, match="not made by `recurra tune`"):
        joined(storage)
