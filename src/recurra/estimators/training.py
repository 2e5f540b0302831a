"""`recurra.train`: one call from a config to a saved model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.core.errors import ConfigError, did_you_mean
from recurra.recipes import RECIPES
from recurra.runs import Run, RunConfig, SavedModel, override, read_run_config
from recurra.runs import train as train_run


def train(
    config: RunConfig | str | Path,
    out: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> SavedModel:
    """Train, evaluate and save a model.

    Args:
        config: a RunConfig, the name of a recipe, or a .yaml run file.
        out: the run's folder; must be new or empty unless `resume`.
        overrides: dotted options, for example {"model.hidden_size": 512, "data.train": "reviews.csv"}.
        resume: go on with the run in `out`.
        quiet: print nothing.
    Returns:
        The best model, as `recurra.load(out)` gives it.
    Raises:
        RecurraError: options, data or folders that can't be used.
    """
    given = dict(overrides or {})
    if isinstance(config, RunConfig):
        resolved = override(config, given)
    elif str(config).endswith((".yaml", ".yml")):
        resolved = read_run_config(Path(config), given)
    elif str(config) in RECIPES:
        resolved = override(RECIPES[str(config)](), given)
    else:
        raise ConfigError(f"no recipe `{config}`.{did_you_mean(str(config), RECIPES)} A run file ends in .yaml.")

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    return train_run(Run(config=resolved, out=Path(out), resume=resume, quiet=quiet, say=say))
