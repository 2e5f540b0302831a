"""What each cell can and can't learn: cells against drawn problems, one run each, beside chance.

    python benchmarks/problems.py [--problems adding-200,copy-50,...] [--cells lstm,gru,...] [--seed 0] [--threads 1]
        [--out results.jsonl] [option=value ...]
    python benchmarks/problems.py --table results.jsonl

Every run is a recipe with the options that its line names; learning rates were chosen in a few short runs by their
validation. Core-seconds are those of the training. Each run is a JSON line, added to `--out`; `--table` makes the
Markdown table of what stands there, means over the seeds, and lists the runs. The data need no files.
"""

from __future__ import annotations

from measured import command, parse  # isort: skip

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import recurra
from recurra.core.config import parse_overrides

PROBLEMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "adding-200": ("adding-problem", {"task.length": 200}, "mse"),
    "adding-400": ("adding-problem", {"task.length": 400}, "mse"),
    "copy-50": ("copy-memory", {"task.delay": 50}, "accuracy"),
    "copy-200": ("copy-memory", {"task.delay": 200}, "accuracy"),
    "dyck-1": ("dyck", {"task.num_kinds": 1}, "sequence_accuracy"),
    "dyck-2": ("dyck", {"task.num_kinds": 2}, "sequence_accuracy"),
    "parity": ("parity", {}, "sequence_accuracy"),
    "anbn": ("anbn", {}, "sequence_accuracy"),
}
"""Recipe, options, and the figure of the test that is shown."""

CELLS: dict[str, dict[str, Any]] = {
    "tanh": {"model.cell": {"kind": "elman"}, "optimizer.learning_rate": 1e-3},
    "relu": {"model.cell": {"kind": "elman", "activation": "relu"}, "optimizer.learning_rate": 1e-3},
    "orthogonal": {"model.cell": {"kind": "orthogonal"}, "optimizer.learning_rate": 3e-3},
    "gru": {"model.cell": {"kind": "gru"}, "optimizer.learning_rate": 1e-2},
    "gru-chrono": {"model.cell": {"kind": "gru", "chrono_max": 200}, "optimizer.learning_rate": 1e-2},
    "lstm": {"model.cell": {"kind": "lstm"}, "optimizer.learning_rate": 1e-2},
    "lstm-chrono": {"model.cell": {"kind": "lstm", "chrono_max": 200}, "optimizer.learning_rate": 1e-2},
}


def measure(problem: str, cell: str, seed: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """One run."""
    recipe, options, tag = PROBLEMS[problem]
    chosen = {**options, **CELLS[cell], **more}
    with tempfile.TemporaryDirectory() as folder:
        overrides = {**chosen, "training.tensorboard": "never", "seed": seed}
        metrics = recurra.train(recipe, Path(folder) / "run", overrides, quiet=True).metrics
    return {
        "problem": problem,
        "cell": cell,
        "recipe": recipe,
        "options": chosen,
        "seed": seed,
        "figure": tag,
        "test": {name: round(value, 6) for name, value in metrics["test"].items()},
        "valid": {name: round(value, 6) for name, value in metrics["valid"].items()},
        "chance": {name: round(found[tag], 6) for name, found in metrics["baselines"].items()},
        "updates": metrics["training"]["updates"],
        "core_seconds": metrics["training"]["core_seconds"],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Cells against problems, in Markdown: the mean figure, how many seeds where more than one, core-seconds."""
    problems = [name for name in PROBLEMS if any(row["problem"] == name for row in rows)]
    lines = ["| cell | " + " | ".join(problems) + " |", "|---" * (len(problems) + 1) + "|"]
    lines.append("| figure | " + " | ".join(PROBLEMS[name][2].replace("_", " ") for name in problems) + " |")
    chances = [next(row for row in rows if row["problem"] == name)["chance"] for name in problems]
    lines.append(
        "| best of the baselines | " + " | ".join(_chance(*pair) for pair in zip(problems, chances, strict=True)) + " |"
    )
    for cell in CELLS:
        found = [[row for row in rows if (row["problem"], row["cell"]) == (name, cell)] for name in problems]
        if any(found):
            lines.append(f"| {cell} | " + " | ".join(_shown(runs) for runs in found) + " |")
    return "\n".join(lines)


def listing(rows: Sequence[dict[str, Any]]) -> str:
    """Every run as a command, with its figures, in Markdown."""
    lines = ["| run | seed | figures of the test | updates | core-seconds |", "|---" * 5 + "|"]
    for row in sorted(rows, key=lambda row: (list(PROBLEMS).index(row["problem"]), list(CELLS).index(row["cell"]))):
        flat = {f"{key}.{name}": own for key, value in row["options"].items() for name, own in _parts(value)}
        options = " ".join(f"{name.removesuffix('.')}={value}" for name, value in flat.items())
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in row["test"].items())
        cells = (f"`{row['recipe']} {options}`", row["seed"], figures, row["updates"], f"{row['core_seconds']:.0f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _parts(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


def _chance(problem: str, chance: Mapping[str, float]) -> str:
    best = min if PROBLEMS[problem][2] == "mse" else max
    return f"{best(chance.values()):.3g}"


def _shown(runs: Sequence[dict[str, Any]]) -> str:
    if not runs:
        return ""
    mean = statistics.mean(run["test"][run["figure"]] for run in runs)
    seconds = statistics.mean(run["core_seconds"] for run in runs)
    figure = f"{mean:.2g}" if runs[0]["figure"] == "mse" else f"{mean:.3f}"
    return f"{figure} ({seconds:.0f} s" + (f", {len(runs)} seeds)" if len(runs) > 1 else ")")


def main() -> None:
    """Run what is asked for."""
    parser = command(__doc__)
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("options", nargs="*")
    given = parse(parser)
    if given.table is not None:
        stored = [json.loads(line) for line in given.table.read_text(encoding="utf-8").splitlines()]
        print(table(stored), listing(stored), sep="\n\n")
        return
    rows = []
    for problem in given.problems.split(","):
        for cell in given.cells.split(","):
            rows.append(measure(problem, cell, given.seed, parse_overrides(given.options)))
            line = json.dumps(rows[-1])
            print(line, flush=True)
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
