"""Tagging on real data, each beside its cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/tagging.py pos|wnut|weibo [--seed 0] [--threads 1]

Core-seconds are process CPU time from the first import to the last metric; `training_core_seconds` are those of the
training alone. The test split is looked at once, by the weights that were best on the validation split. `weibo` also
trains the same model with a softmax head. The last line is JSON.
"""

from __future__ import annotations

import time

BEGAN = time.process_time()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

import recurra  # noqa: E402


def files(folder: str, **names: str) -> dict[str, Any]:
    """The options that name the files of a data set under RECURRA_DATA."""
    if "RECURRA_DATA" not in os.environ:
        sys.exit("RECURRA_DATA is not set: it names the folder of the data sets.")
    base = Path(os.environ["RECURRA_DATA"], "sequence_labelling", folder)
    return {f"data.{part}": str(base / name) for part, name in names.items()}


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


def main() -> None:
    """Run one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        found = BENCHMARKS[given.name](Path(folder), given.seed)
    whole = round(time.process_time() - BEGAN, 1)
    print(json.dumps({"name": given.name, "seed": given.seed, **found, "core_seconds": whole}, ensure_ascii=False))


if __name__ == "__main__":
    main()
