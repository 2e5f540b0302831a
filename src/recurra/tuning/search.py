"""A search from its beginning to its results: the study, its trials, the final runs, what is written down."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.core.config import flatten
from recurra.core.errors import ConfigError, OutputError
from recurra.core.files import require_writable, write_json
from recurra.runs import RunConfig
from recurra.tasks import Prepared
from recurra.training import monitor_of
from recurra.tuning.defaults import default_space
from recurra.tuning.finals import AS_IT_STANDS, BEST, cells
from recurra.tuning.options import USUAL_TRIALS, Search
from recurra.tuning.outcome import Outcome
from recurra.tuning.phase import Phase, carry_out, prepared_trials, shared, tune_config
from recurra.tuning.results import write_results
from recurra.tuning.space import Space
from recurra.tuning.storage import open_storage, public, require_optuna
from recurra.tuning.study import open_study

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

_ELSEWHERE = (
    *("data.train", "data.valid", "data.test", "finetune.start", "finetune.backward"),
    *("training.device", "training.strategy", "training.tensorboard", "tune.heartbeat_seconds"),
)
"""Options that may differ between the hosts of one study."""


def tune(search: Search) -> Outcome:
    """Search, run the best options over several seeds, and write everything down.

    Raises:
        RecurraError: anything about options, data, storage or folders that keeps the search from going on.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all that was done is kept, and the same command goes on.
    """
    require_optuna()
    space = Space(search.config, tune_config(search).space or default_space(search.config), search.places)
    with _folder(search), prepared_trials(search, space) as prepared:
        tag, less_is_better = _judged_by(search, prepared)
        storage = open_storage(search.storage)
        note = _note(search.config, space)
        study, is_new = open_study(storage, search.storage, search.name, note, less_is_better=less_is_better)
        phase = _trials(search, space, tag)
        if is_new:
            _lay_out(search, space, phase, study, storage)
        search.say(f"study `{search.name}` in {public(search.storage)}: {len(space.entries)} options, judged by {tag}")
        carry_out(phase, prepared)
    best = _best_of(study)
    configs = {BEST: best_config(space, best), AS_IT_STANDS: search.config.model_copy(update={"tune": None})}
    if configs[BEST] == configs[AS_IT_STANDS]:
        search.say("no trial was better than the run as it stands")
        del configs[BEST]
    finals = _final_runs(search, storage, configs, best.number, tag, less_is_better) if search.seeds else []
    outcome = Outcome(search=search, space=space, tag=tag, study=study, best=best, finals=finals)
    write_results(outcome)
    return outcome


def best_config(space: Space, best: optuna.trial.FrozenTrial) -> RunConfig:
    """The run with the options of the best trial."""
    return space.settle(space.values(best.params))


def _trials(search: Search, space: Space, tag: str) -> Phase:
    number = search.trials
    if number is None and search.method == "grid":
        number = len(space.cells())
    elif number is None and search.minutes is None:
        number = USUAL_TRIALS
    return Phase(
        search=search,
        study=search.name,
        out=search.out / "trials",
        tag=tag,
        space=space.entries,
        trials=number,
        deadline=None if search.minutes is None else time.time() + 60 * search.minutes,
    )


def _lay_out(search: Search, space: Space, phase: Phase, study: optuna.Study, storage: BaseStorage) -> None:
    """The trials of a new study: the cells of a grid, or the run as it stands and what the sampler will propose."""
    if search.method == "grid":
        grid = space.cells()
        if phase.trials is not None and phase.trials < len(grid):
            search.say(f"the grid has {len(grid):,} cells, of which {phase.trials} are tried, drawn at random")
            grid = random.Random(search.config.seed).sample(grid, phase.trials)
        trials = grid
    else:
        trials = [space.current(), *({} for _ in range((phase.trials or 1) - 1))]
    shared(phase, study, storage).lay_out(trials)


def _final_runs(
    search: Search,
    storage: BaseStorage,
    configs: Mapping[str, RunConfig],
    number: int,
    tag: str,
    less_is_better: bool,
) -> list[optuna.trial.FrozenTrial]:
    """The final runs of all configs, carried out once for all processes that share the study."""
    name = f"{search.name} / final runs of trial {number}"
    note = {"task": search.config.task.kind, "options": {}}
    study, _ = open_study(storage, search.storage, name, note, less_is_better=less_is_better)
    wanted = cells(configs, search.config.seed, search.seeds)
    phase = Phase(search=search, study=name, out=search.out / f"final-{number:04d}", tag=tag, finals=configs, trials=0)
    search.say(f"final runs: {' and '.join(configs)}, {len(wanted)} in all")
    there = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    shared(phase, study, storage).lay_out([cell for cell in wanted if cell not in there])
    carry_out(phase, None)
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return [trial for trial in done if trial.params in wanted]


def _best_of(study: optuna.Study) -> optuna.trial.FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    if any(trial.state.name == "COMPLETE" for trial in trials):
        return study.best_trial
    reasons = list(dict.fromkeys(str(trial.user_attrs["why"]) for trial in trials if "why" in trial.user_attrs))
    told = f" The first reason: {reasons[0]}." if reasons else ""
    raise ConfigError(
        f"no trial of study `{study.study_name}` came to its end.{told} Give the search more --minutes or --trials, or "
        "narrower bounds in `tune.space`."
    )


def _judged_by(search: Search, prepared: Prepared) -> tuple[str, bool]:
    """The metric of the trials, and whether less of it is better."""
    if prepared.splits.valid is None:
        raise ConfigError("a search needs validation data to judge by. Give --data.valid FILE or data.valid_fraction.")
    return monitor_of(prepared.task, search.config.training)


def _note(config: RunConfig, space: Space) -> dict[str, Any]:
    """What a study is about, for those who join it."""
    options = flatten(config.model_dump(mode="json", exclude={"tune": {"space"}}))
    entries = {f"tune.space.{name}": _dumped(entry) for name, entry in space.entries.items()}
    kept = {name: value for name, value in options.items() if name not in _ELSEWHERE and name != "tune"}
    return {"task": config.task.kind, "options": {**kept, **entries}}


def _dumped(entry: Any) -> Any:
    return entry if isinstance(entry, list) else entry.model_dump(mode="json")


@contextmanager
def _folder(search: Search) -> Iterator[None]:
    """Make the folder of a new search, or prove that it is the folder of this one; what nothing came of goes again."""
    out, stored = search.out, search.out / "study.json"
    is_new = not out.is_dir() or all(entry.name.startswith(".") for entry in out.iterdir())
    if not is_new:
        if not stored.is_file():
            raise OutputError(f"{out} is not empty, and nothing is overwritten. Choose another --out.")
        if not search.joins:
            raise OutputError(f"{out} holds a search already; go on with it by --resume, or choose another --out.")
        if _stored(stored) != _identity(search):
            raise ConfigError(f"{out} holds a search of another study ({stored}). Choose another --out.")
    require_writable(out)
    write_json(stored, _identity(search))
    try:
        yield
    except Exception:
        if is_new and not (out / "trials").exists():
            shutil.rmtree(out, ignore_errors=True)
        raise


def _stored(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        mend = "Delete it if the study is in --storage, else choose another --out."
        raise ConfigError(f"{path}: damaged, can't be read as JSON. {mend}") from error


def _identity(search: Search) -> dict[str, str]:
    return {"storage": public(search.storage), "study": search.name}
