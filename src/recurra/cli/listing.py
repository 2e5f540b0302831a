"""`list`: what there is, one line each."""

from __future__ import annotations

import inspect
from typing import Any

from rich.console import Console
from rich.table import Table

from recurra.core.config import option_rows
from recurra.core.errors import ConfigError, did_you_mean


def run_list(what: str, name: str | None) -> None:
    """Print one of the tables."""
    if what == "options":
        _list_options(name)
        return
    if name is not None:
        raise ConfigError(f"`recurra list {what}` takes no name.")
    if what == "recipes":
        from recurra.recipes import RECIPES as entries
    elif what == "cells":
        from recurra.cells import CELLS as entries  # type: ignore[assignment]
    elif what == "models":
        from recurra.models import MODELS as entries
    else:
        from recurra.tasks import TASKS as entries
    rows: dict[str, Any] = dict(entries)
    for key, entry in rows.items():
        # tasks and models say what they are at the head of their file
        told = inspect.getmodule(entry) if what in ("tasks", "models") else entry
        print(f"{key:<22} {(inspect.getdoc(told) or '').splitlines()[0]}")


def _list_options(recipe: str | None) -> None:
    from recurra.recipes import RECIPES
    from recurra.runs import RunConfig

    if recipe is not None and recipe not in RECIPES:
        raise ConfigError(f"no recipe `{recipe}`.{did_you_mean(recipe, RECIPES)}")
    if recipe is not None:
        from recurra.core.config import to_yaml

        print(to_yaml(RECIPES[recipe]()), end="")
        return
    table = Table("option", "type", "default", "what it does", box=None, pad_edge=False)
    for row in option_rows(RunConfig):
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console(width=None if Console().is_terminal else 200).print(table)
