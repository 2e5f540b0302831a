"""What `ensemble` and `distill` do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from recurra.cli.app import DataFlags, RunFlags
from recurra.cli.running import collect, folder_of, named_config, run_config
from recurra.core.errors import ConfigError
from recurra.ensembles import Making, make_ensemble
from recurra.recipes.distilling import distill_recipe
from recurra.runs import load


def run_ensemble(
    words: Sequence[str], out: str, kind: Literal["mean", "stacked"], data: DataFlags, as_json: bool, quiet: bool
) -> None:
    """Make an ensemble of the runs that are named, and print its figures."""
    if not out.strip():
        raise ConfigError("--out is empty: give the folder of the ensemble.")
    given = collect([word for word in words if "=" in word], RunFlags(data=data))
    if others := [key for key in given if not key.startswith("data.")]:
        raise ConfigError(f"`{others[0]}`: an ensemble takes options of its data alone, such as data.test.")

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    members = [word for word in words if "=" not in word]
    saved = make_ensemble(Making(members=members, out=Path(out), kind=kind, data=given, say=say))
    if as_json:
        print(json.dumps({"out": out, **saved.metrics}, ensure_ascii=False))


def run_distill(teacher: str, recipe: str | None, overrides: Sequence[str], flags: RunFlags) -> None:
    """Build the student's config from the teacher's, and train."""
    words = [word for word in (recipe, *overrides) if word is not None]
    given = collect([word for word in words if "=" in word], flags)
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise ConfigError(f"one recipe or run file is wanted, got {', '.join(names)}.")
    student = named_config(names[0], {}) if names else None
    config = distill_recipe(teacher, load(teacher).config, student, given)
    run_config(config, folder_of(flags, f"distill-{Path(teacher).name}"), flags)
