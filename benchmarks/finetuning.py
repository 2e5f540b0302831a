"""Language models that are pretrained here, then fine-tuned to classify texts; beside the same model from scratch.

    RECURRA_DATA=... python benchmarks/finetuning.py sst2|ag-news|lora [--seeds 3] [--pretrained FOLDER] [--threads 1]

sst2 and ag-news: for each seed a fine-tuned classifier and one of the same architecture from scratch, and the cheap
baselines; beside them, the recipe text-classifier as it is. lora: fine-tuning of rank 8 against full fine-tuning, on
SST-2. The weights of the end are measured; the recipe alone chooses among its epochs on the validation split.

Pretraining reads Penn Treebank, the training texts of SST-2 and of the AG News subset (no labels), TripAdvisor reviews
(SubjQA), the English Web Treebank and XQuAD's paragraphs: once forward, once backward. `--pretrained FOLDER` keeps both
models there, and takes them from there the next time. The same by hand:

    recurra train word-lm --data.train corpus.txt --data.documents line --data.valid_fraction 0.02 \\
        --task.vocabulary.lowercase true --task.vocabulary.pattern zero-digits \\
        --training.epochs 3 --training.batch_size 64 --out forward
    (again with --task.direction backward --out backward)
    recurra finetune forward --task language-modelling --data.train train.txt --data.documents line \\
        --data.valid_fraction 0.03 --optimizer.learning_rate 2e-3 --out sst2/forward
    (again with backward)
    recurra finetune sst2/forward --finetune.backward sst2/backward --data.train train.tsv --data.valid dev.tsv \\
        --data.test test.tsv --data.header no --out finetuned
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import csv
import gzip
import json
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import recurra
from recurra.recipes import finetune_recipe
from recurra.runs import RunConfig

PRETRAINING = {
    "data.documents": "line",
    "data.valid_fraction": 0.02,
    "task.vocabulary.lowercase": True,
    "task.vocabulary.pattern": "zero-digits",
    "training.epochs": 3,
    "training.batch_size": 64,
}


def opened(*parts: str) -> TextIO:
    """A text file, compressed or not."""
    path = data(*parts)
    return gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8", newline="")


def pretraining_texts() -> Iterator[str]:
    """All texts that the language models read, one document each."""
    with opened("language_modelling", "penn_treebank", "ptb.train.txt.gz") as file:
        yield from file
    with opened("text_classification", "sst2", "train.tsv") as file:
        yield from (line.rpartition("\t")[0] for line in file)
    with opened("text_classification", "ag_news", "train_subset.csv") as file:
        yield from (row[1] for row in csv.reader(file))
    reviews = {}
    for split in ("train", "dev", "test"):
        with opened("question_answering", "subjqa_tripadvisor", f"{split}.csv.gz") as file:
            reviews |= {row["review_id"]: row["review"].replace("ANSWERNOTFOUND", "") for row in csv.DictReader(file)}
    yield from reviews.values()
    with opened("sequence_labelling", "ud_english_ewt", "en_ewt-ud-train.conllu.gz") as file:
        yield from (line.removeprefix("# text = ") for line in file if line.startswith("# text = "))
    with opened("question_answering", "xquad_en", "xquad.en.json") as file:
        for article in json.load(file)["data"]:
            yield from (paragraph["context"] for paragraph in article["paragraphs"])


def pretrain(folder: Path) -> dict[str, float]:
    """The two language models, in `folder`/forward and `folder`/backward; what they cost and reach."""
    corpus = folder / "corpus.txt"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [" ".join(text.split()) for text in pretraining_texts()]
    random.Random(0).shuffle(lines)
    corpus.write_text("".join(f"{line}\n" for line in lines if line), encoding="utf-8")
    found = {}
    for direction in ("forward", "backward"):
        out = folder / direction
        if not (out / "results.json").exists():
            options = {"data.train": str(corpus), "task.direction": direction, "training.tensorboard": "never"}
            recurra.train("word-lm", out, {**PRETRAINING, **options})
        results = json.loads((out / "results.json").read_text())
        found[f"{direction}_perplexity"] = round(results["valid"]["perplexity"], 2)
        found[f"{direction}_core_seconds"] = results["training"]["core_seconds"]
    return found


def adapted(lm: Path) -> Path:
    """Both language models after three epochs of SST-2's training sentences alone (ULMFiT's second stage)."""
    folder = lm / "sst2"
    folder.mkdir(exist_ok=True)
    with opened("text_classification", "sst2", "train.tsv") as file:
        lines = [line.rpartition("\t")[0] for line in file]
    (folder / "train.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    files = {"data.train": str(folder / "train.txt"), "data.documents": "line", "data.valid_fraction": 0.03}
    for direction in ("forward", "backward"):
        if not (folder / direction / "results.json").exists():
            pretrained = recurra.load(lm / direction).config
            config = finetune_recipe(str(lm / direction), pretrained, "language-modelling", {})
            options = {"optimizer.learning_rate": 2e-3, "training.tensorboard": "never"}
            recurra.train(config, folder / direction, {**files, **options})
    return folder


def sst2_files(folder: Path) -> dict[str, Any]:
    """SST-2 as it is: sentences of its three splits, no phrases."""
    paths = {f"data.{to}": data("text_classification", "sst2", f"{split}.tsv") for to, split in SST2.items()}
    return {**paths, "data.header": "no"}


SST2 = {"train": "train", "valid": "dev", "test": "test"}


def ag_news_files(folder: Path) -> dict[str, Any]:
    """The training subset, a tenth of it held out, and the whole test set with title and description joined."""
    rows = {}
    for to, name in (("train", "train_subset.csv"), ("test", "test.csv")):
        with opened("text_classification", "ag_news", name) as file:
            rows[to] = [(row[0], " ".join(row[1:])) for row in csv.reader(file)]
    random.Random(0).shuffle(rows["train"])
    tenth = len(rows["train"]) // 10
    rows["valid"], rows["train"] = rows["train"][:tenth], rows["train"][tenth:]
    for name, chosen in rows.items():
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("label", "text"), *chosen])
    return {f"data.{name}": str(folder / f"{name}.csv") for name in rows}


def finetuned(lm: Path, more: dict[str, Any]) -> RunConfig:
    """What `recurra finetune` makes of both language models."""
    overrides = {"finetune.backward": str(lm / "backward"), **more}
    pretrained, backward = (recurra.load(lm / direction).config for direction in ("forward", "backward"))
    return finetune_recipe(str(lm / "forward"), pretrained, "text-classification", overrides, backward=backward)


def measured(config: RunConfig, out: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """Train, and what came of it: accuracies, those of the baselines, core-seconds, share of the weights trained."""
    saved = recurra.train(config, out, {"training.tensorboard": "never", **overrides})
    metrics, facts = saved.metrics, saved.metrics.get("finetuning")
    found = {
        **{split: round(100 * metrics[split]["accuracy"], 2) for split in ("valid", "test")},
        "core_seconds": metrics["training"]["core_seconds"],
        "share_trained": round(facts["trained"] / facts["parameters"], 4) if facts else 1.0,
        "baselines": {name: round(100 * values["accuracy"], 2) for name, values in metrics["baselines"].items()},
    }
    print(json.dumps({"run": out.name, **found}), flush=True)
    return found


def mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over seeds, and each."""
    tests = [row["test"] for row in rows]
    return {
        "test": round(statistics.mean(tests), 2),
        "deviation": round(statistics.stdev(tests), 2) if len(tests) > 1 else 0.0,
        "tests": tests,
        "valid": round(statistics.mean(row["valid"] for row in rows), 2),
        "core_seconds": round(statistics.mean(row["core_seconds"] for row in rows), 1),
        "share_trained": rows[0]["share_trained"],
    }


def compare(kinds: dict[str, RunConfig], folder: Path, files: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Each config with each seed."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for seed in range(seeds):
        for name, config in kinds.items():
            rows[name].append(measured(config, folder / f"{name}-{seed}", {**files, "seed": seed}))
    first, second = (mean(rows[name])["test"] for name in list(kinds)[:2])
    means = {name: mean(found) for name, found in rows.items()}
    return {**means, "difference": round(first - second, 2), "baselines": next(iter(rows.values()))[0]["baselines"]}


def against_scratch(lm: Path, folder: Path, files: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Fine-tuned; the same architecture from scratch, with the rates that suit this; and the recipe for scratch."""
    config, recipe = finetuned(lm, {}), recurra.recipe("text-classifier")
    scratch = {"finetune": None, "optimizer": recipe.optimizer, "schedule": recipe.schedule}
    kinds = {"finetuned": config, "scratch": config.model_copy(update=scratch), "text-classifier": recipe}
    return compare(kinds, folder, files, seeds)


def sst2(lm: Path, folder: Path, seeds: int) -> dict[str, Any]:
    """SST-2, official splits; the language models are adapted to its training texts first."""
    return against_scratch(adapted(lm), folder, sst2_files(folder), seeds)


def ag_news(lm: Path, folder: Path, seeds: int) -> dict[str, Any]:
    """AG News, 4,991 training examples, the whole test set; a peer learns from the validation rows, too."""
    files = ag_news_files(folder)
    return {"scikit-learn tf-idf": tfidf_peer(files), **against_scratch(lm, folder, files, seeds)}


def tfidf_peer(files: dict[str, Any]) -> dict[str, float]:
    """Test accuracy of scikit-learn's logistic regression over tf-idf weighted words, by its C."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    rows: dict[str, list[dict[str, str]]] = {}
    for name, path in files.items():
        with open(path, encoding="utf-8", newline="") as file:
            rows.setdefault("test" if name == "data.test" else "train", []).extend(csv.DictReader(file))
    weigh = TfidfVectorizer().fit(row["text"] for row in rows["train"])
    inputs = {name: weigh.transform(row["text"] for row in chosen) for name, chosen in rows.items()}
    labels = {name: [row["label"] for row in chosen] for name, chosen in rows.items()}
    found = {}
    for strength in (1.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=200).fit(inputs["train"], labels["train"])
        found[f"C={strength:g}"] = round(100 * model.score(inputs["test"], labels["test"]), 2)
    return found


def lora(lm: Path, folder: Path, seeds: int) -> dict[str, Any]:
    """SST-2: changes of rank 8 against all weights."""
    lm = adapted(lm)
    kinds = {"lora": finetuned(lm, {"finetune.method.kind": "lora", **LORA}), "full": finetuned(lm, {})}
    return compare(kinds, folder, sst2_files(folder), seeds)


LORA: dict[str, Any] = {"finetune.method.rank": 8, "optimizer.learning_rate": 3e-3}
BENCHMARKS: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = {"sst2": sst2, "ag-news": ag_news, "lora": lora}


def main() -> None:
    """Pretrain where there is nothing yet, then the benchmark."""
    parser = command(__doc__, BENCHMARKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pretrained", type=Path)
    given = parse(parser)
    with tempfile.TemporaryDirectory() as folder:
        lm = given.pretrained or Path(folder, "lm")
        pretraining = pretrain(lm)
        conclude(given, {"pretraining": pretraining, **BENCHMARKS[given.name](lm, Path(folder), given.seeds)})


if __name__ == "__main__":
    main()
