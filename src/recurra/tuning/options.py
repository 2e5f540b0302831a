"""What `recurra tune` is asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recurra.runs import RunConfig

Method = Literal["tpe", "random", "grid"]
Pruning = Literal["median", "halving", "none"]
USUAL_TRIALS = 40
"""Of a search that is given neither trials nor minutes."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over the options of a run.

    Attributes:
        config: the run; its section `tune` names the space.
        out: folder for trials, final runs and results.
        storage: URL of the study; processes with the same URL and name work on the same trials.
        name: of the study.
        method: how the next trial is chosen.
        trials: of the whole study; None is no bound of their number where there are minutes, and all cells of a grid.
        minutes: after which no trial begins, and those that run end at their next evaluation; None is no bound.
        workers: processes of this command.
        seeds: final runs of the best options, each with a seed of its own.
        pruning: which trials end before their time.
        joins: whether the study, and the folder of this search, may be there already.
        places: where entries of the space stand, such as "run.yaml:12: ", by option.
        quiet: say nothing but faults.
    """

    config: RunConfig
    out: Path
    storage: str
    name: str
    method: Method = "tpe"
    trials: int | None = None
    minutes: float | None = None
    workers: int = 1
    seeds: int = 3
    pruning: Pruning = "median"
    joins: bool = False
    places: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False

    def say(self, text: str) -> None:
        """A sentence for the person who waits, from this process or a worker."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)
