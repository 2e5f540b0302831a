"""`train` and `finetune`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.cli.app import RunFlags
from recurra.core.config import parse_overrides
from recurra.core.errors import ConfigError, did_you_mean
from recurra.recipes import RECIPES, finetune_recipe
from recurra.runs import Run, RunConfig, load, override, read_run_config, train
from recurra.runs.folder import read_config
from recurra.runs.stage import Say
from recurra.training import InterruptedRun


def run_train(recipe: str | None, overrides: Sequence[str], flags: RunFlags) -> None:
    """Resolve recipe, run file and overrides to one config, and train."""
    recipe, overrides = recipe_and_overrides(recipe, overrides)
    given = collect(overrides, flags)
    if recipe is None:
        if not flags.resume or flags.out is None:
            raise ConfigError(f"name a recipe or a run file: {', '.join(RECIPES)} (or --resume --out FOLDER).")
        config = override(read_config(Path(flags.out)), given)
    else:
        config = named_config(recipe, given)
    run_config(config, folder_of(flags, Path(recipe or "run").stem), flags)


def recipe_and_overrides(recipe: str | None, overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the one word that names a recipe or a run file, if there is one, from the options.

    Raises:
        ConfigError: there are several.
    """
    words = [word for word in (recipe, *overrides) if word is not None]
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise ConfigError(f"one recipe or run file is wanted, got {', '.join(names)}. Overrides are written key=value.")
    return (names[0] if names else None), [word for word in words if "=" in word]


def named_config(name: str, overrides: Mapping[str, Any]) -> RunConfig:
    """The config of a recipe or a run file, changed.

    Raises:
        ConfigError: there is none of that name, or an option does not fit.
    """
    if name.endswith((".yaml", ".yml")):
        return read_run_config(Path(name), overrides)
    if name not in RECIPES:
        raise ConfigError(f"no recipe `{name}`.{did_you_mean(name, RECIPES)} A run file ends in .yaml.")
    return override(RECIPES[name](), overrides)


def run_finetune(start: str, task: str | None, base: str | None, overrides: Sequence[str], flags: RunFlags) -> None:
    """Build the fine-tuning config from the pretrained model's, and train."""
    config = finetuning_config(start, task, base, collect(overrides, flags))
    run_config(config, folder_of(flags, f"finetune-{Path(start).name}"), flags)


def finetuning_config(start: str, task: str | None, base: str | None, given: Mapping[str, Any]) -> RunConfig:
    """The config that fine-tunes a saved model; arguments as for `finetune`.

    Raises:
        ConfigError: no such task or option.
        ModelFileError: a folder holds no saved model.
    """
    backward = given.get("finetune.backward")
    second = None if backward is None else load(str(backward)).config
    return finetune_recipe(start, load(start).config, task, given, backward=second, base=base)


def collect(overrides: Sequence[str], flags: RunFlags) -> dict[str, Any]:
    """Overrides and flags as dotted values."""
    given = parse_overrides(overrides)
    for split in ("train", "valid", "test"):
        if (path := getattr(flags.data, split)) is not None:
            given[f"data.{split}"] = paths_of(path)
    if flags.seed is not None:
        given["seed"] = flags.seed
    return given


def paths_of(given: str) -> Any:
    """A file name, or a list of them as in `data.train=[a.txt, b.txt]`."""
    listed = given.startswith("[") and given.endswith("]") and not Path(given).exists()
    return parse_overrides([f"paths={given}"])["paths"] if listed else given


def folder_of(flags: RunFlags, name: str) -> Path:
    """That of `--out`, else runs/NAME."""
    return Path("runs", name) if flags.out is None else named_folder(flags.out)


def named_folder(out: str) -> Path:
    """That of `--out`.

    Raises:
        ConfigError: its name is empty.
    """
    if not out.strip():
        raise ConfigError("--out is empty: give a folder.")
    return Path(out)


def speaker(quiet: bool) -> Say:
    """What takes sentences for the person who waits: stderr, or nothing."""

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    return say


def run_config(config: RunConfig, out: Path, flags: RunFlags) -> None:
    """Train, and say where the run stands if it is interrupted."""
    try:
        saved = train(Run(config=config, out=out, resume=flags.resume, quiet=flags.quiet, say=speaker(flags.quiet)))
    except KeyboardInterrupt as stop:
        done = f"{stop}; saved" if isinstance(stop, InterruptedRun) else "interrupted"
        raise KeyboardInterrupt(f"{done}. Go on with: recurra train --resume --out {shlex.quote(str(out))}") from stop
    if not saved.metrics:
        return  # not the main process of several
    if flags.json:
        print(json.dumps({"out": str(out), **saved.metrics}, ensure_ascii=False))
