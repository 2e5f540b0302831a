"""bAbI (en-10k): one model a task, all by one recipe, taught by answers alone, beside cheap baselines of the same run.

    RECURRA_DATA=... python benchmarks/stories.py [1 2 4 ...] [--questions N] [--seed 0] [--threads 1] [NAME=VALUE ...]

Each task trains on its training file, of which whole stories (a tenth of the questions) are held out to choose the
weights, and is tested once on its test file. With --questions=1000 the first thousand of them stand for the published
small training set, in ten times as many epochs. Core-seconds are process CPU time: of the training, and of the whole.
The last line is JSON; the table before it is Markdown.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import argparse
import gzip
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import recurra

GOALS = {1: 0.99, 2: 0.95, 4: 0.95, 6: 0.95, 15: 0.95}


def files_of(number: int) -> tuple[str, str]:
    """The training and test files of a task."""
    folder = Path(data("question_answering", "babi_en_10k"))
    found = [sorted(folder.glob(f"qa{number}_*_{part}.txt.gz")) for part in ("train", "test")]
    if not all(found):
        sys.exit(f"{folder}: no files of task {number}.")
    return str(found[0][0]), str(found[1][0])


def first_questions(path: str, count: int, target: Path) -> str:
    """The first `count` questions of a file, as a file."""
    kept: list[str] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            kept.append(line)
            count -= "\t" in line
            if not count:
                break
    target.write_text("".join(kept), encoding="utf-8")
    return str(target)


def run(number: int, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train and test one task."""
    train, test = files_of(number)
    overrides: dict[str, Any] = {}
    if given.questions:
        train = first_questions(train, given.questions, folder / "train.txt")
        epochs = recurra.recipe("story-questions").training.epochs
        overrides["training.epochs"] = round(epochs * 10_000 / given.questions)
    overrides |= dict(option.split("=", 1) for option in given.overrides)
    overrides |= {"data.train": train, "data.test": test, "seed": given.seed, "training.tensorboard": "never"}
    before = time.process_time()
    saved = recurra.train("story-questions", folder / "run", overrides)
    whole = time.process_time() - before
    baselines = {name: round(found["accuracy"], 4) for name, found in saved.metrics["baselines"].items()}
    return {
        "task": f"qa{number}",
        "accuracy": round(saved.metrics["test"]["accuracy"], 4),
        "goal": GOALS.get(number),
        "valid": round(saved.metrics["valid"]["accuracy"], 4),
        "best_baseline": max(baselines.items(), key=lambda pair: pair[1]),
        "baselines": baselines,
        "training_core_seconds": saved.metrics["training"]["core_seconds"],
        "core_seconds": round(whole, 1),
    }


def main() -> None:
    """Run the tasks asked for."""
    parser = command(__doc__)
    parser.add_argument("given", nargs="*", help="numbers of tasks, and options of the recipe as NAME=VALUE")
    parser.add_argument("--questions", type=int, default=0, help="train on the first so many; 0: on all")
    given = parse(parser)
    given.overrides = [part for part in given.given if "=" in part]
    tasks = [int(part) for part in given.given if "=" not in part] or list(GOALS)
    rows = []
    for number in tasks:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run(number, given, Path(folder)))
    print("\n| task | test accuracy | goal | strongest baseline | core-s training |\n|---|---|---|---|---|")
    for row in rows:
        name, value = row["best_baseline"]
        goal = "" if row["goal"] is None else f"{row['goal']:.0%}"
        print(
            f"| {row['task']} | {row['accuracy']:.1%} | {goal} | {value:.1%} ({name}) "
            f"| {row['training_core_seconds']:.0f} |"
        )
    conclude(given, {"questions": given.questions, "overrides": given.overrides, "tasks": rows})


if __name__ == "__main__":
    main()
