"""What `ensemble` and `distill` do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from recurra.cli.app import DataFlags, RunFlags
from recurra.cli.running import (
    collect,
    folder_of,
    named_config,
    named_folder,
    recipe_and_overrides,
    run_config,
    speaker,
)
from recurra.core.errors import ConfigError
from recurra.ensembles import Making, make_ensemble
from recurra.recipes.distilling import distill_recipe
from recurra.runs import load


def run_ensemble(
    words: Sequence[str], out: str, kind: Literal["mean", "stacked"], data: DataFlags, as_json: bool, quiet: bool
) -> None:
    """Make an ensemble of the runs that are named, and print its figures."""
    folder = named_folder(out)
    given = collect([word for word in words if "=" in word], RunFlags(data=data))
    if others := [key for key in given if not key.startswith("data.")]:
        raise ConfigError(f"`{others[0]}`: an ensemble takes options of its data alone, such as data.test.")

    members = [word for word in words if "=" not in word]
    saved = make_ensemble(Making(members=members, out=folder, kind=kind, data=given, say=speaker(quiet)))
    if as_json:
        print(json.dumps({"out": out, **saved.metrics}, ensure_ascii=False))


def run_distill(teacher: str, recipe: str | None, overrides: Sequence[str], flags: RunFlags) -> None:
    """Build the student's config from the teacher's, and train."""
    recipe, overrides = recipe_and_overrides(recipe, overrides)
    student = None if recipe is None else named_config(recipe, {})
    config = distill_recipe(teacher, load(teacher).config, student, collect(overrides, flags))
    run_config(config, folder_of(flags, f"distill-{Path(teacher).name}"), flags)
