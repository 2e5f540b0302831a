"""Quality on real data, each beside its cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/quality.py shakespeare|shakespeare-long|ptb|hotels|sms [--seed 0] [--threads 1]

Core-seconds are process CPU time from the first import to the final metric, baselines set apart. The last line is JSON.
"""

from __future__ import annotations

from measured import data, penn_treebank, run_one  # isort: skip

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra
from recurra.recipes import finetune_recipe
from recurra.runs import SavedModel


def run(recipe: str | recurra.RunConfig, folder: Path, overrides: dict[str, Any]) -> SavedModel:
    """Train a recipe or a config."""
    return recurra.train(recipe, folder, {"training.tensorboard": "never", **overrides})


def summary(saved: SavedModel, split: str, tags: tuple[str, ...]) -> dict[str, Any]:
    """The chosen tags of a split, beside those of the baselines."""
    baselines = saved.metrics["baselines"]
    return {
        **{tag: round(saved.metrics[split][tag], 4) for tag in tags},
        "baselines": {name: {t: round(v[t], 4) for t in tags if t in v} for name, v in baselines.items()},
        "training_core_seconds": saved.metrics["training"]["core_seconds"],
    }


def shakespeare(folder: Path, seed: int, recipe: str = "char-lm") -> dict[str, Any]:
    """Tiny shakespeare, characters; the last tenth is held out (nats a character, state carried)."""
    path = data("language_modelling", "tiny_shakespeare", "input.txt")
    saved = run(recipe, folder / "run", {"data.train": path, "data.documents": "whole", "seed": seed})
    return summary(saved, "valid", ("nats", "bpc"))


def shakespeare_long(folder: Path, seed: int) -> dict[str, Any]:
    """The same with the larger recipe."""
    return shakespeare(folder, seed, "char-lm-large")


def ptb(folder: Path, seed: int) -> dict[str, Any]:
    """Penn Treebank, words, official split; perplexity with the full softmax, state carried, one <eos> a line."""
    saved = run("word-lm", folder / "run", {**penn_treebank(), "seed": seed})
    return summary(saved, "test", ("perplexity", "tokens"))


def hotels(folder: Path, seed: int) -> dict[str, Any]:
    """ChnSentiCorp hotel reviews: a random tenth is the test split, which the language model does not see either."""
    import csv

    import numpy as np

    path = data("text_classification", "chnsenticorp_htl", "ChnSentiCorp_htl_all.csv")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["review"].strip()]
    order = np.random.default_rng(seed).permutation(len(rows))
    tenth = len(rows) // 10
    parts = {"test": order[:tenth], "valid": order[tenth : tenth + tenth // 2], "train": order[tenth + tenth // 2 :]}
    files = {name: folder / f"{name}.jsonl" for name in parts}
    for name, chosen in parts.items():
        lines = (json.dumps({"text": rows[i]["review"], "label": rows[i]["label"]}) for i in chosen)
        files[name].write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    columns = {"data.train": str(files["train"]), "data.valid": str(files["valid"]), "data.text_column": "text"}
    run("chinese-lm", folder / "lm", {**columns, "seed": seed})
    pretrained = recurra.load(folder / "lm").config
    config = finetune_recipe(str(folder / "lm"), pretrained, "text-classification", {})
    overrides = {**columns, "data.test": str(files["test"]), "data.label_column": "label", "seed": seed}
    return summary(run(config, folder / "classifier", overrides), "test", ("accuracy", "macro_f1"))


def sms(folder: Path, seed: int) -> dict[str, Any]:
    """SMS spam: F1 of spam, mean of five folds; each fold trains anew."""
    import numpy as np

    lines = Path(data("text_classification", "sms_spam", "sms.tsv")).read_text(encoding="utf-8").splitlines()
    order = np.random.default_rng(seed).permutation(len(lines))
    found: dict[str, list[float]] = {}
    for fold in range(5):
        test = set(order[fold::5].tolist())
        parts = {"train": folder / f"train{fold}.tsv", "test": folder / f"test{fold}.tsv"}
        for name, path in parts.items():
            rows = [line for i, line in enumerate(lines) if (i in test) == (name == "test")]
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        overrides = {
            "data.train": str(parts["train"]),
            "data.test": str(parts["test"]),
            "data.header": "no",
            "data.label_column": 0,
            "data.text_column": 1,
            "seed": seed,
        }
        metrics = run("text-classifier", folder / f"fold{fold}", overrides).metrics
        found.setdefault("recurra", []).append(metrics["test"]["f1/spam"])
        for name, values in metrics["baselines"].items():
            found.setdefault(name, []).append(values["f1/spam"])
    return {"f1_spam": {name: round(statistics.mean(values), 4) for name, values in found.items()}, "folds": found}


BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "shakespeare": shakespeare,
    "shakespeare-long": shakespeare_long,
    "ptb": ptb,
    "hotels": hotels,
    "sms": sms,
}


if __name__ == "__main__":
    run_one(__doc__, BENCHMARKS)
