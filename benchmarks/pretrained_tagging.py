"""Tagging with language models of characters that read along, forward and backward, pretrained on our own texts.

    RECURRA_DATA=... python benchmarks/pretrained_tagging.py [--models FOLDER] [--seed 0] [--epochs 1]

The pretraining text is 14 MB of e-mails, web text, news, short messages and tweets: the training parts of AESLC, UD
EWT, AG News (subset), SMS Spam and WNUT-17, without labels. The models are kept in FOLDER and used again if they are
there. Then WNUT-17 names and UD EWT parts of speech, as in benchmarks/tagging.py. The last line is JSON.
"""

from __future__ import annotations

import time

BEGAN = time.process_time()

import argparse  # noqa: E402
import csv  # noqa: E402
import gzip  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from tagging import files  # noqa: E402

import recurra  # noqa: E402
from recurra.recipes import finetune_recipe  # noqa: E402

SIZES = {"model.hidden_size": 384, "training.tbptt_length": 128, "task.vocabulary.min_frequency": 20}
TAG = {"wnut": "f1", "pos": "accuracy"}


def texts(base: Path) -> Iterator[str]:
    """The documents of the pretraining text."""
    with gzip.open(base / "summarisation/aeslc/train.jsonl.gz", "rt", encoding="utf-8") as rows:
        yield from (json.loads(row)["body"] for row in rows)
    with gzip.open(
        base / "sequence_labelling/ud_english_ewt/en_ewt-ud-train.conllu.gz", "rt", encoding="utf-8"
    ) as file:
        sentences = re.findall(r"^# text = (.*)$", file.read(), re.MULTILINE)
    yield from ("\n".join(sentences[start : start + 20]) for start in range(0, len(sentences), 20))
    with (base / "text_classification/ag_news/train_subset.csv").open(encoding="utf-8", newline="") as file:
        yield from (row[1] for row in csv.reader(file))
    with (base / "text_classification/sms_spam/sms.tsv").open(encoding="utf-8") as rows:
        yield from (row.rstrip("\n").split("\t", 1)[1] for row in rows)
    tweets = (base / "sequence_labelling/wnut17_ner/wnut17train.conll").read_text(encoding="utf-8")
    for tweet in re.split(r"\n\s*\n", tweets):
        yield " ".join(line.split("\t")[0] for line in tweet.splitlines() if line.strip())


def pretrain(folder: Path, epochs: int) -> dict[str, float]:
    """Both language models, unless they are there; their nats a character on the held-out 2 %."""
    documents = [re.sub(r"\n\s*\n+", "\n", text.strip()) for text in texts(Path(os.environ["RECURRA_DATA"]))]
    random.Random(0).shuffle(documents)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus.txt"
    corpus.write_text("\n\n".join(filter(None, documents)), encoding="utf-8")
    found = {}
    for direction in ("forward", "backward"):
        if not (folder / direction / "model").exists():
            options = {**SIZES, "task.direction": direction, "training.epochs": epochs, "data.documents": "paragraph"}
            held = {"data.train": str(corpus), "data.valid_fraction": 0.02, "training.tensorboard": "never"}
            recurra.train("char-lm", folder / direction, {**options, **held})
        found[direction] = recurra.load(folder / direction).metrics["valid"]["nats"]
    return found


def tag(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """Train on one data set; its test figure beside the baselines."""
    if name == "wnut":
        base = "ner"
        data = files(
            "wnut17_ner", train="wnut17train.conll", valid="emerging.dev.conll", test="emerging.test.annotated"
        )
    else:
        base = "tagger"
        parts = (("train", "train"), ("valid", "dev"), ("test", "test"))
        data = files("ud_english_ewt", **{part: f"en_ewt-ud-{split}.conllu.gz" for part, split in parts})
    first, second = (recurra.load(folder / direction).config for direction in ("forward", "backward"))
    options = {**data, "finetune.backward": str(folder / "backward"), "seed": seed, "training.tensorboard": "never"}
    config = finetune_recipe(str(folder / "forward"), first, "tagging", options, backward=second, base=base)
    metrics = recurra.train(config, folder / f"{name}-{seed}").metrics
    return {
        TAG[name]: round(metrics["test"][TAG[name]], 4),
        "valid": round(metrics["valid"][TAG[name]], 4),
        "baselines": {key: round(found[TAG[name]], 4) for key, found in metrics["baselines"].items()},
        "training_core_seconds": metrics["training"]["core_seconds"],
    }


def main() -> None:
    """Pretrain, then both data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("runs/pretrained-tagging"))
    parser.add_argument("--only", choices=TAG)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=1)
    given = parser.parse_args()
    if "RECURRA_DATA" not in os.environ:
        sys.exit("RECURRA_DATA is not set: it names the folder of the data sets.")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"nats": pretrain(given.models, given.epochs)}
    for name in TAG if given.only is None else (given.only,):
        found[name] = tag(name, given.models, given.seed)
    print(json.dumps({**found, "seed": given.seed, "core_seconds": round(time.process_time() - BEGAN, 1)}))


if __name__ == "__main__":
    main()
