"""`recurra tune`: its arguments and help, and how they become a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from recurra.cli.app import RunFlags, app

SEARCH = Group("Search")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SearchFlags:
    """How to search, how long, and where the study is kept."""

    search: Annotated[
        Literal["tpe", "random", "grid"], Parameter(group=SEARCH, help="tpe learns from the trials before")
    ] = "tpe"
    trials: Annotated[int | None, Parameter(group=SEARCH, help="of the whole study; default 40")] = None
    minutes: Annotated[float | None, Parameter(group=SEARCH, help="after which no trial begins")] = None
    storage: Annotated[
        str | None,
        Parameter(group=SEARCH, help="journal:PATH, sqlite:///PATH or postgresql://...; default a journal in --out"),
    ] = None
    study: Annotated[str | None, Parameter(group=SEARCH, help="name of the study; default the recipe's")] = None
    workers: Annotated[int, Parameter(group=SEARCH, help="processes of this command")] = 1
    seeds: Annotated[int, Parameter(group=SEARCH, help="final runs of the best options and of the run as it is")] = 3
    prune: Annotated[
        Literal["median", "halving", "none"], Parameter(group=SEARCH, help="which bad trials end before their time")
    ] = "median"


@app.command
def tune(
    recipe: str,
    *overrides: str,
    search: SearchFlags = SearchFlags(),
    flags: RunFlags = RunFlags(),
) -> None:
    """Search for good options of a run: learning rate, sizes, dropout and so on, or those of `tune.space`.

    Any number of processes and hosts work on one study: start the same command there, with the same --storage. A
    worker that dies loses nothing; its trial is begun again where it stood.

    Args:
        recipe: a name from `recurra list recipes`, or a .yaml file, whose section `tune` may name the space.
        overrides: options of the run as key=value, e.g. tune.space.model.hidden_size=[128,256].
        search: how to search, how long, and where the study is kept.
        flags: files and folder; --resume goes on with the search in --out.
    """
    from recurra.cli.searching import run_tune

    run_tune(recipe, overrides, search, flags)
