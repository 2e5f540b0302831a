"""Five language models of different seeds, their ensemble, and one student of a member's size, on tiny shakespeare.

    RECURRA_DATA=... python benchmarks/ensembles.py [--epochs 6] [--keep FOLDER] [--threads 1]

Members and student are of the recipe char-lm; the last tenth of the text is held out (nats a character, state carried).
The student learns from the ensemble: on the training text, and on two million characters that the ensemble wrote.
With --keep, finished runs stay in the folder and are not made again. The last line is JSON.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import tempfile
from pathlib import Path
from typing import Any

import recurra
from recurra.ensembles import Making, make_ensemble
from recurra.recipes.distilling import distill_recipe
from recurra.runs import SavedModel

SEEDS = range(5)
WRITTEN = 2_000_000
STUDENT = {"training.epochs": 4, "model.dropout.output": 0.0, "distill.weight": 0.9, "distill.written": WRITTEN}


def trained(run: Any, folder: Path, options: dict[str, Any]) -> SavedModel:
    """The finished run of a folder, trained unless it is there."""
    if (folder / "model").is_dir():
        return recurra.load(folder)
    return recurra.train(run, folder, {"training.tensorboard": "never", **options})


def figures(saved: SavedModel) -> dict[str, float]:
    """Nats on the held-out tenth, and what the training took."""
    return {
        "nats": round(saved.metrics["valid"]["nats"], 4),
        "core_seconds": saved.metrics["training"]["core_seconds"],
        "parameters": sum(weight.numel() for weight in saved.model.parameters()),
    }


def shakespeare(folder: Path, seed: int, epochs: int) -> dict[str, Any]:
    """Members, ensemble, student."""
    text = {"data.train": data("language_modelling", "tiny_shakespeare", "input.txt"), "data.documents": "whole"}
    runs = [folder / f"run{own}" for own in SEEDS]
    for own, run in zip(SEEDS, runs, strict=True):
        trained("char-lm", run, {**text, "seed": seed + own, "training.epochs": epochs})
    together = folder / "ensemble"
    if not (together / "model").is_dir():
        make_ensemble(Making(members=[str(run) for run in runs], out=together))
    teacher = recurra.load(together)
    config = distill_recipe(str(together), teacher.config, None, {"seed": seed + 10})
    student = figures(trained(config, folder / "student", STUDENT))
    members = [figures(recurra.load(run)) for run in runs]
    best, own = min(member["nats"] for member in members), figures(teacher)
    gain = best - own["nats"]
    return {
        "members": members,
        "ensemble": own,
        "below_best_member": round(gain / best, 4),
        "student": student,
        "gain_kept": round((best - student["nats"]) / gain, 3),
        "baselines": {name: round(row["nats"], 4) for name, row in teacher.metrics["baselines"].items()},
    }


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--epochs", type=int, default=6, help="of each member")
    parser.add_argument("--keep", type=Path, help="folder for the runs")
    given = parse(parser)
    with tempfile.TemporaryDirectory() as temporary:
        conclude(given, shakespeare(given.keep or Path(temporary), given.seed, given.epochs))
