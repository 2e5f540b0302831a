"""Tagging on real data, each beside its cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/tagging.py pos|wnut|weibo [--seed 0] [--threads 1]

Core-seconds are process CPU time from the first import to the last metric; `training_core_seconds` are those of the
training alone. The test split is looked at once, by the weights that were best on the validation split. `weibo` also
trains the same model with a softmax head. The last line is JSON.
"""

from __future__ import annotations

from measured import data, run_one  # isort: skip

from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra


def files(folder: str, **names: str) -> dict[str, Any]:
    """The options that name the files of a data set under RECURRA_DATA."""
    return {f"data.{part}": data("sequence_labelling", folder, name) for part, name in names.items()}


def run(recipe: str, folder: Path, tags: tuple[str, ...], overrides: dict[str, Any]) -> dict[str, Any]:
    """Train a recipe; its test figures beside those of the baselines."""
    saved = recurra.train(recipe, folder, {"training.tensorboard": "never", **overrides})
    metrics = saved.metrics
    return {
        **{tag: round(metrics["test"][tag], 4) for tag in tags},
        "valid": {tag: round(metrics["valid"][tag], 4) for tag in tags},
        "baselines": {
            name: {tag: round(found[tag], 4) for tag in tags if tag in found}
            for name, found in metrics["baselines"].items()
        },
        "training_core_seconds": metrics["training"]["core_seconds"],
    }


def pos(folder: Path, seed: int) -> dict[str, Any]:
    """Universal parts of speech, UD English-EWT, gold tokens: accuracy on the test split."""
    parts = {
        part: f"en_ewt-ud-{name}.conllu.gz" for part, name in (("train", "train"), ("valid", "dev"), ("test", "test"))
    }
    return run("tagger", folder / "run", ("accuracy",), {**files("ud_english_ewt", **parts), "seed": seed})


SPAN_FIGURES = ("f1", "precision", "recall", "accuracy")


def wnut(folder: Path, seed: int) -> dict[str, Any]:
    """Names in WNUT-17: strict F1 on the test split; no data but its own training split."""
    data = files("wnut17_ner", train="wnut17train.conll", valid="emerging.dev.conll", test="emerging.test.annotated")
    return run("ner", folder / "run", SPAN_FIGURES, {**data, "seed": seed})


def weibo(folder: Path, seed: int) -> dict[str, Any]:
    """Names and nominal mentions in Weibo messages, by characters: strict F1 on the test split, CRF beside softmax."""
    data = files(
        "weibo_ner_zh",
        **{
            part: f"weiboNER_2nd_conll.{name}"
            for part, name in (("train", "train"), ("valid", "dev"), ("test", "test"))
        },
    )
    overrides = {**data, "task.strip_segmentation": True, "seed": seed}
    found = run("ner-zh", folder / "crf", SPAN_FIGURES, overrides)
    plain = run("ner-zh", folder / "softmax", SPAN_FIGURES, {**overrides, "model.head": "softmax"})
    return {**found, "softmax": {name: value for name, value in plain.items() if name != "baselines"}}


BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"pos": pos, "wnut": wnut, "weibo": weibo}


if __name__ == "__main__":
    run_one(__doc__, BENCHMARKS)
