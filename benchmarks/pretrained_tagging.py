"""Tagging with language models of characters that read along, forward and backward, pretrained on our own texts.

    RECURRA_DATA=... python benchmarks/pretrained_tagging.py [--models FOLDER] [--seed 0] [--epochs 1]

The pretraining text is 14 MB of e-mails, web text, news, short messages and tweets: the training parts of AESLC, UD
EWT, AG News (subset), SMS Spam and WNUT-17, without labels. The models are kept in FOLDER and used again if they are
there. Then WNUT-17 names and UD EWT parts of speech, as in benchmarks/tagging.py. The last line is JSON.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import csv
import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagging import files

import recurra
from recurra.recipes import finetune_recipe

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
    documents = [re.sub(r"\n\s*\n+", "\n", text.strip()) for text in texts(Path(data()))]
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
    parser = command(__doc__)
    parser.add_argument("--models", type=Path, default=Path("runs/pretrained-tagging"))
    parser.add_argument("--only", choices=TAG)
    parser.add_argument("--epochs", type=int, default=1)
    given = parse(parser)
    found: dict[str, Any] = {"nats": pretrain(given.models, given.epochs)}
    for name in TAG if given.only is None else (given.only,):
        found[name] = tag(name, given.models, given.seed)
    conclude(given, found)


if __name__ == "__main__":
    main()
