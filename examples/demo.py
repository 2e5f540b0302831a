"""The main job on real text: pretrain a language model, fine-tune it, compare, show.

The text is what every Python installation carries: the standard library's docstrings, comments and documentation
topics. The question is which area of the library a docstring is about; modules of the test split are seen neither in
pretraining nor in training.

    python examples/demo.py [--out runs/demo] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from standard_library import counts, read_library

import recurra
from recurra.core.files import write_json
from recurra.recipes import finetune_recipe, recipe
from recurra.runs import SavedModel

VOCABULARY = {"task.vocabulary.lowercase": True, "task.vocabulary.min_frequency": 3}
PRETRAIN = VOCABULARY | {
    "data.valid_fraction": 0.03,
    "data.text_column": "text",
    "training.epochs": 4,
    "training.tbptt_length": 48,
    "model.softmax.num_samples": 500,
}
CLASSIFY = {"data.text_column": "text", "data.label_column": "label"}


def prepare(folder: Path) -> dict[str, str]:
    """Write the corpus and the three labelled splits as JSON lines; returns their paths."""
    rows, corpus = read_library()
    tables: dict[str, list[dict[str, str]]] = {"corpus": [{"text": plain(text)} for text in corpus if plain(text)]}
    for split in ("train", "valid", "test"):
        tables[split] = [{"text": plain(row.text), "label": row.area} for row in rows if row.split == split]
    folder.mkdir(parents=True)
    for name, table in tables.items():
        write_lines(folder / f"{name}.jsonl", table)
    by_split = counts(rows)
    areas = sorted({row.area for row in rows})
    characters = sum(map(len, corpus))
    print(f"{len(rows):,} docstrings of {len(areas)} areas; {characters / 1e6:.1f} million characters to pretrain on")
    for area in areas:
        print(f"  {area:<26} " + "  ".join(f"{s} {by_split[area, s]:4}" for s in ("train", "valid", "test")))
    return {name: str(folder / f"{name}.jsonl") for name in tables}


def plain(text: str) -> str:
    """Words and full stops: brackets, quotes and layout tell a module's habits, not what it is about."""
    return " ".join(re.findall(r"[^\W_]+|[.](?=\s|$)", text)).replace(" .", ".")


def write_lines(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def timed(config: recurra.RunConfig, out: Path, overrides: dict[str, Any]) -> tuple[SavedModel, float]:
    """Train; the model and the seconds on the wall."""
    print(f"\n== {out.name}")
    began = time.perf_counter()
    saved = recurra.train(config, out, overrides | {"training.tensorboard": "never"})
    return saved, time.perf_counter() - began


def run(out: Path, seed: int) -> list[dict[str, Any]]:
    """The whole job; the rows of results.json."""
    began = time.perf_counter()
    paths = prepare(out / "data")
    labelled = CLASSIFY | {f"data.{split}": paths[split] for split in ("train", "valid", "test")} | {"seed": seed}
    pretrain = PRETRAIN | {"data.train": paths["corpus"], "seed": seed}
    language_model, pretraining = timed(recipe("word-lm"), out / "pretrained", pretrain)
    kind = {"model.kind": "generative-classifier"}
    start = finetune_recipe(str(out / "pretrained"), language_model.config, "text-classification", kind)
    finetuned, finetuning = timed(start, out / "finetuned", labelled)
    scratch, from_scratch = timed(recipe("generative-classifier"), out / "scratch", labelled | VOCABULARY)
    tables = finetuned.metrics["baselines"]
    bayes = max((tables["naive-bayes"], tables["naive-bayes-bigrams"]), key=lambda metrics: metrics["accuracy"])
    rows = [
        row("naive-bayes", bayes, 0.0, seed),
        row("scratch", scratch.metrics["test"], from_scratch, seed),
        row("finetuned", finetuned.metrics["test"], finetuning, seed),
    ]
    write_json(out / "results.json", rows)
    show(rows, pretraining, language_model)
    print(f"\nreport: {out / 'finetuned' / 'report.html'}\nall in {time.perf_counter() - began:.0f} s")
    return rows


def row(name: str, metrics: dict[str, float], seconds: float, seed: int) -> dict[str, Any]:
    """One row of results.json."""
    figures = {"accuracy": round(metrics["accuracy"], 4), "macro_f1": round(metrics["macro_f1"], 4)}
    return {"name": name, **figures, "seconds": round(seconds, 1), "seed": seed}


def show(rows: list[dict[str, Any]], pretraining: float, language_model: SavedModel) -> None:
    """Table and samples."""
    table = Table("", "accuracy", "macro-F1", "seconds", title="Which area of the library is a docstring about?")
    for cells in rows:
        table.add_row(cells["name"], f"{cells['accuracy']:.3f}", f"{cells['macro_f1']:.3f}", f"{cells['seconds']:.1f}")
    Console(width=80).print(table)
    perplexity = language_model.metrics["valid"]["perplexity"]
    print(f"fine-tuned from a language model that took {pretraining:.0f} s (validation perplexity {perplexity:.0f}).")
    print("Three samples of it:")
    for seed in (1, 2, 3):
        print(f"  {seed}. " + " ".join(language_model.generate(max_length=40, temperature=0.7, seed=seed).split()))


def main() -> None:
    """Run into a fresh folder; an older demo there is replaced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.out.exists():
        if not (given.out / "data" / "corpus.jsonl").exists():
            parser.error(f"{given.out} is not the folder of an earlier demo; choose another --out")
        shutil.rmtree(given.out)
    run(given.out, given.seed)


if __name__ == "__main__":
    main()
