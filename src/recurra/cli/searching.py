"""What `recurra tune` does."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from recurra.cli.app import RunFlags
from recurra.cli.running import collect, folder_of, named_config
from recurra.cli.tuning import SearchFlags
from recurra.core.config import read_yaml
from recurra.core.errors import ConfigError
from recurra.tuning import Search, tune
from recurra.tuning.results import shown


def run_tune(recipe: str, overrides: Sequence[str], search: SearchFlags, flags: RunFlags) -> None:
    """Resolve recipe, run file and overrides to one config, and search."""
    _require_counts(search)
    name = Path(recipe).stem
    out = folder_of(flags, f"tune-{name}")
    if flags.resume and not (out / "study.json").is_file():
        raise ConfigError(f"{out}: no search to resume there. Start one without --resume.")
    asked = Search(
        config=named_config(recipe, collect(overrides, flags)),
        out=out,
        storage=search.storage or f"journal:{out / 'study.journal'}",
        name=search.study or name,
        method=search.search,
        trials=search.trials,
        minutes=search.minutes,
        workers=search.workers,
        seeds=search.seeds,
        pruning=search.prune,
        joins=flags.resume or search.storage is not None,
        places=_places(recipe),
        quiet=flags.quiet,
    )
    try:
        outcome = tune(asked)
    except KeyboardInterrupt as stop:
        going_on = f"the same command and --resume --out {shlex.quote(str(out))}"
        raise KeyboardInterrupt(f"interrupted; nothing is lost. Go on with {going_on}") from stop
    summary = outcome.summary()
    print(json.dumps({"out": str(out), **summary}, ensure_ascii=False) if flags.json else shown(outcome, summary))


def _require_counts(search: SearchFlags) -> None:
    least = {"trials": (search.trials, 1), "workers": (search.workers, 1), "seeds": (search.seeds, 0)}
    for option, (given, wanted) in least.items():
        if given is not None and given < wanted:
            raise ConfigError(f"--{option} {given}: at least {wanted} is wanted.")
    if search.minutes is not None and not search.minutes > 0:
        raise ConfigError(f"--minutes {search.minutes:g}: more than 0 is wanted.")


def _places(recipe: str) -> dict[str, str]:
    """Where the entries of the space stand in a run file."""
    if not recipe.endswith((".yaml", ".yml")):
        return {}
    lines = read_yaml(Path(recipe))[1]
    start = "tune.space."
    return {key.removeprefix(start): f"{recipe}:{line}: " for key, line in lines.items() if key.startswith(start)}
