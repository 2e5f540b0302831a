"""Classes of whole series: five data sets of the UCR and UEA archives by one recipe, beside 1-NN baselines.

    RECURRA_DATA=... python benchmarks/series_classification.py GunPoint|...|all [--seed 0] [--recipe series-ensemble]
        [--folds 0] [option=value ...]

Trains on the whole training file, keeps the weights of the end, and looks at the test file once. With `--folds 3` the
test file is left alone: the figures are those of cross-validation on the training file, which is how the recipe was
chosen. Core-seconds are process CPU time; `training_core_seconds` are those of the training alone. The last line is
JSON.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import recurra
from recurra.core.config import parse_overrides
from recurra.data import DataConfig
from recurra.data.labelled_reading import read_labelled_series

NAMES = ("JapaneseVowels", "BasicMotions", "GunPoint", "ItalyPowerDemand", "ArrowHead")


def file(name: str, part: str) -> str:
    """The .ts file of a data set."""
    return data("time_series_classification", name, f"{name}_{part}.ts")


def measure(name: str, recipe: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Train on all training rows; accuracy on the test file beside the baselines."""
    files = {"data.train": file(name, "TRAIN"), "data.test": file(name, "TEST"), "data.valid_fraction": 0}
    with tempfile.TemporaryDirectory() as folder:
        overrides = {**files, "training.tensorboard": "never", "seed": seed, **options}
        metrics = recurra.train(recipe, Path(folder) / "run", overrides, quiet=True).metrics
    return {
        "accuracy": round(metrics["test"]["accuracy"], 4),
        "macro_f1": round(metrics["test"]["macro_f1"], 4),
        "baselines": {tag: round(found["accuracy"], 4) for tag, found in metrics["baselines"].items()},
        "training_core_seconds": metrics["training"]["core_seconds"],
    }


def cross_validate(name: str, recipe: str, seed: int, folds: int, options: dict[str, Any]) -> dict[str, Any]:
    """Accuracy, and mean -log p(class), over held-out parts of the training file."""
    header, rows = _lines(Path(file(name, "TRAIN")))
    labels = np.array([row.rpartition(":")[2] for row in rows])
    parts = _folds(labels, folds, seed)
    right: list[bool] = []
    nats: list[float] = []
    began = time.process_time()
    for fold in range(folds):
        with tempfile.TemporaryDirectory() as folder:
            for part, chosen in (("train", parts != fold), ("test", parts == fold)):
                kept = [row for row, keep in zip(rows, chosen, strict=True) if keep]
                Path(folder, f"{part}.ts").write_text("\n".join([*header, *kept]) + "\n")
            overrides = {"data.train": f"{folder}/train.ts", "data.valid_fraction": 0, "training.tensorboard": "never"}
            overrides |= {"seed": seed * 100 + fold, **options}
            saved = recurra.train(recipe, Path(folder) / "run", overrides, quiet=True)
            held = read_labelled_series(f"{folder}/test.ts", DataConfig()).rows
        probs = saved.predict_proba(held)
        wanted = [saved.labels.index(row.label) for row in held]
        right += (probs.argmax(axis=1) == wanted).tolist()
        nats += (-np.log(probs[np.arange(len(held)), wanted])).tolist()
    return {
        "cross_validated": round(float(np.mean(right)), 4),
        "nats": round(float(np.mean(nats)), 4),
        "core_seconds_a_run": round((time.process_time() - began) / folds, 1),
    }


def _lines(path: Path) -> tuple[list[str], list[str]]:
    """The header of a .ts file, and its rows."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    start = next(number for number, line in enumerate(lines) if line.lower().startswith("@data")) + 1
    return lines[:start], lines[start:]


def _folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row; each has about the same share of each label."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    parts = np.empty(len(labels), dtype=np.int64)
    parts[order] = np.arange(len(labels)) % folds
    return parts


def main() -> None:
    """The command."""
    parser = command(__doc__, (*NAMES, "all"))
    parser.add_argument("--recipe", default="series-ensemble")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("options", nargs="*")
    given = parse(parser)
    options = parse_overrides(given.options)
    found = {}
    for name in NAMES if given.name == "all" else (given.name,):
        if given.folds:
            found[name] = cross_validate(name, given.recipe, given.seed, given.folds, options)
        else:
            found[name] = measure(name, given.recipe, given.seed, options)
        print(name, found[name], flush=True)
    conclude(given, found)


if __name__ == "__main__":
    main()
