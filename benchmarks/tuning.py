"""What `recurra tune` costs beside plain runs, and what it finds on Penn Treebank.

    RECURRA_DATA=... python benchmarks/tuning.py overhead|ptb [--seed 0] [--threads 1]

overhead: wall and core time of n trials of `recurra tune` in one process against n plain runs of the same options, and
against their training alone, in turns, so that all meet the same machine; the least of three rounds each. ptb: a search
of short trials on a quarter of the training text, then one run of the best options and one of the recipe as it stands
on all of it. The last line is JSON.
"""

from __future__ import annotations

from measured import data, penn_treebank, run_one  # isort: skip

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recurra.recipes import recipe
from recurra.runs import Run, RunConfig, override, rehearse, train
from recurra.tuning import Search, tune

_TRIALS, _ROUNDS = 4, 3
_PTB_TRIALS = 8


def overhead(folder: Path, seed: int) -> dict[str, Any]:
    """Trials of the char-lm recipe on a part of tiny shakespeare, without pruning, against plain runs of them."""
    text = Path(data("language_modelling", "tiny_shakespeare", "input.txt")).read_text(encoding="utf-8")
    (folder / "train.txt").write_text(text[:150_000], encoding="utf-8")
    (folder / "valid.txt").write_text(text[150_000:165_000], encoding="utf-8")
    files = {f"data.{name}": str(folder / f"{name}.txt") for name in ("train", "valid")}
    options = {**files, "model.hidden_size": 128, "training.epochs": 2, "training.tensorboard": "never", "seed": seed}
    config = override(
        recipe("char-lm", **options), {"tune.space": {"optimizer.learning_rate": [2e-3, 4e-3, 6e-3, 8e-3]}}
    )
    spent: dict[str, list[tuple[float, float]]] = {"tune": [], "plain": [], "training_alone": []}
    for number in range(_ROUNDS):
        spent["tune"].append(_timed(_search, config, folder / f"tune{number}"))
        spent["plain"].append(_timed(_plain, config, folder / f"plain{number}"))
        spent["training_alone"].append(_timed(_training_alone, config, folder / f"alone{number}"))
    wall, core = ({name: min(times[part] for times in found) for name, found in spent.items()} for part in (0, 1))
    return {
        "trials": _TRIALS,
        "wall_seconds": {name: round(seconds, 2) for name, seconds in wall.items()},
        "core_seconds_of": {name: round(seconds, 2) for name, seconds in core.items()},
        "wall_ratio": {name: round(wall["tune"] / seconds, 3) for name, seconds in wall.items()},
        "core_ratio": {name: round(core["tune"] / seconds, 3) for name, seconds in core.items()},
    }


def _search(config: RunConfig, out: Path) -> None:
    search = Search(
        config=config,
        out=out,
        storage=f"journal:{out}/study.journal",
        name="overhead",
        method="grid",
        seeds=0,
        pruning="none",
        quiet=True,
    )
    tune(search)


def _plain(config: RunConfig, out: Path) -> None:
    """The runs with all that a run does at its end: evaluation, baselines, report, saved model."""
    for run in _runs(config, out):
        train(run)


def _training_alone(config: RunConfig, out: Path) -> None:
    for run in _runs(config, out):
        rehearse(run)


def _runs(config: RunConfig, out: Path) -> Iterator[Run]:
    assert config.tune is not None
    for number, rate in enumerate(config.tune.space["optimizer.learning_rate"]):
        plain = override(config, {"tune": None, "optimizer.learning_rate": rate})
        yield Run(config=plain, out=out / str(number), quiet=True, say=lambda _: None)


def _timed(action: Callable[[RunConfig, Path], None], config: RunConfig, out: Path) -> tuple[float, float]:
    wall, core = time.perf_counter(), time.process_time()
    action(config, out)
    return time.perf_counter() - wall, time.process_time() - core


def ptb(folder: Path, seed: int) -> dict[str, Any]:
    """Word-lm on Penn Treebank: rate, sizes, batch and dropouts by eight trials of six epochs of a quarter of the text.

    A trial must come to overfit, as the long run does, or it would choose too little dropout; and as short runs like a
    higher rate than long ones, the bounds keep to what both can bear.
    """
    options = {**penn_treebank(), "training.tensorboard": "never", "seed": seed}
    with gzip.open(options["data.train"], "rt", encoding="utf-8") as file:
        (folder / "quarter.txt").write_text("".join(list(file)[::4]), encoding="utf-8")
    space = {
        "optimizer.learning_rate": {"low": 2e-3, "high": 5e-3, "log": True},
        "model.hidden_size": [256, 384],
        "model.embedding_dim": [256, 320],
        "model.dropout.input": {"low": 0.25, "high": 0.6},
        "model.dropout.output": {"low": 0.25, "high": 0.6},
        "training.batch_size": [20, 32],
    }
    trial = {
        "data.train": str(folder / "quarter.txt"),
        "data.test": None,
        "training.epochs": 6,
        "training.evaluate_every": 1_000_000,  # at the end alone
    }
    config = override(recipe("word-lm", **options), {"tune.space": space, "tune.trial": trial})
    out = folder / "search"
    search = Search(
        config=config,
        out=out,
        storage=f"journal:{out}/study.journal",
        name="ptb",
        trials=_PTB_TRIALS,
        seeds=1,
        pruning="none",
    )
    found = tune(search).summary()
    return {name: found[name] for name in ("best", "trials", "trial_core_seconds", "importance", "final")}


BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"overhead": overhead, "ptb": ptb}


if __name__ == "__main__":
    run_one(__doc__, BENCHMARKS)
