"""Extractive question answering on real data, beside a sliding window and a linear model of the same run.

    RECURRA_DATA=... python benchmarks/reading.py policyqa [--seed 0] [--threads 1]
    RECURRA_DATA=... python benchmarks/reading.py subjqa [--seed 0] [--threads 1]
    RECURRA_DATA=... python benchmarks/reading.py xquad MODEL_FOLDER

policyqa: privacy policies in SQuAD's format. The training file is not to be had: the published dev file is trained on
(a tenth of it, whole policies, chooses the best epoch), the published test file is scored once. subjqa: hotel reviews
in a table, with questions that a review does not answer. xquad: a trained model on a part of SQuAD 1.1, where every
answer must come back at its place.

Core-seconds are process CPU time from the first import to the final metric, baselines set apart. The last line is JSON.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import tempfile
from pathlib import Path
from typing import Any

import recurra
from recurra.data import DataConfig

POLICYQA, SUBJQA = ("question_answering", "policyqa"), ("question_answering", "subjqa_tripadvisor")


def train(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """Train the recipe; figures of the test split beside the baselines'."""
    options = {"training.tensorboard": "never", "seed": seed, **overrides}
    metrics = recurra.train("question-answering", folder, options).metrics

    def rounded(figures: dict[str, float]) -> dict[str, float]:
        return {tag: round(value, 4) for tag, value in figures.items()}

    strongest = max(values["f1"] for values in metrics["baselines"].values())
    return {
        "test": rounded(metrics["test"]),
        "valid": rounded(metrics["valid"]),
        "baselines": {name: rounded(values) for name, values in metrics["baselines"].items()},
        "f1_above_the_strongest_baseline": round(metrics["test"]["f1"] - strongest, 4),
        "training_core_seconds": metrics["training"]["core_seconds"],
    }


def policyqa(folder: Path, seed: int) -> dict[str, Any]:
    """Train on the dev file, test on the test file."""
    files = {"data.train": data(*POLICYQA, "dev.json.gz"), "data.test": data(*POLICYQA, "test.json.gz")}
    return train(folder, seed, files)


def subjqa(folder: Path, seed: int) -> dict[str, Any]:
    """Train and test on the published splits.

    209 of the 222 questions on passages of the published dev split stand in the train split too, so it can't choose an
    epoch: a tenth of the train split, whole reviews, does.
    """
    files = {"data.train": data(*SUBJQA, "train.csv.gz"), "data.test": data(*SUBJQA, "test.csv.gz")}
    return train(folder, seed, files | {"data.skip_bad_rows": True, "task.no_answer_text": "ANSWERNOTFOUND"})


def xquad(model: str) -> dict[str, Any]:
    """Offsets of all marked answers, and a trained model's figures."""
    saved = recurra.load(model)
    examples = saved.task.read(data("question_answering", "xquad_en", "xquad.en.json"), DataConfig())
    answers = [(example.source, answer) for example in examples for answer in example.source.answers]
    whole = sum(source.passage[a.start : a.start + len(a.text)] == a.text for source, a in answers)
    asked = [(example.source.question, example.source.passage) for example in examples]
    predictions = saved.predictions(asked)
    given = sum(passage[p.start : p.end] == p.text for (_, passage), p in zip(asked, predictions, strict=True))
    metrics = saved.task.metrics()
    metrics.update(predictions, [[answer.text for answer in example.source.answers] for example in examples])
    return {
        "answers": len(answers),
        "answers_at_their_offsets": whole,
        "predictions_at_their_offsets": given,
        **{tag: round(value, 4) for tag, value in metrics.compute().items()},
    }


def main() -> None:
    """Run one."""
    parser = command(__doc__, ("policyqa", "subjqa", "xquad"))
    parser.add_argument("model", nargs="?", help="xquad: the --out folder of a trained model")
    parser.add_argument("--out", type=Path, help="keep the run's folder here")
    given = parse(parser)
    if given.name == "xquad":
        if given.model is None:
            parser.error("xquad needs the folder of a trained model")
        conclude(given, xquad(given.model))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = policyqa if given.name == "policyqa" else subjqa
        conclude(given, run(given.out or Path(folder, "run"), given.seed))


if __name__ == "__main__":
    main()
