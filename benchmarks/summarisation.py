"""Summaries beside cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/summarisation.py aeslc|copying [--seed 0] [--threads 1] [KEY=VALUE ...]

`aeslc`: subject lines of e-mails, ROUGE (F, without stemming) on the test set beside first words, lead sentence and
tf-idf words, whose number of words is tuned on the training split.
`copying`: made-up mails whose summary holds names that are in no vocabulary: the share of these that is copied.

Core-seconds are process CPU time from the first import to the final metric. The last line is JSON.
"""

from __future__ import annotations

from measured import command, conclude, data, parse  # isort: skip

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra
from recurra.core.config import parse_overrides

TAGS = ("rouge_1", "rouge_2", "rouge_l", "length_ratio")
SYLLABLES = ("ba", "ko", "ri", "tu", "me", "lo", "za", "ni", "fe", "sy")
TEXT = """the report says that we met at noon and went home because nobody had time for a longer talk on such matters of
no great weight while others wrote letters to some people in offices far away who never read them"""


def aeslc(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """AESLC: the subject line of an e-mail from its body."""
    splits = {"data.train": "train", "data.valid": "dev", "data.test": "test"}
    files = {option: data("summarisation", "aeslc", f"{name}.jsonl.gz") for option, name in splits.items()}
    given = {"training.tensorboard": "never", "seed": seed, **files, **overrides}
    metrics = recurra.train("summarisation", folder / "run", given).metrics
    found = {name: {tag: round(metrics[name][tag], 2) for tag in TAGS} for name in ("valid", "test")}
    baselines = {name: {tag: round(value[tag], 2) for tag in TAGS} for name, value in metrics["baselines"].items()}
    return {**found, "baselines": baselines, "training_core_seconds": metrics["training"]["core_seconds"]}


def mails(count: int, seed: int) -> list[dict[str, Any]]:
    """A body of 20 to 50 words with four names; the summary tells who called whom."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        words = draw.choices(TEXT.split(), k=draw.randint(12, 42))
        names = ["".join(draw.choices(SYLLABLES, k=6)) for _ in range(4)]
        events = [[names[0], "called", names[1]], ["greetings", "to", names[2]], [names[3], "slept"]]
        draw.shuffle(events)
        places = sorted(draw.sample(range(len(words) + 1), 3), reverse=True)
        for place, event in zip(places, events, strict=True):
            words[place:place] = event
        rows.append({"body": " ".join(words), "summary": f"call of {names[0]} to {names[1]}", "names": names[:2]})
    return rows


def copying(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """The share of unknown words of the references that the summaries hold, and of summaries that are wholly right."""
    rows = {"train": mails(4000, 3 * seed), "valid": mails(200, 3 * seed + 1), "test": mails(500, 3 * seed + 2)}
    for name, part in rows.items():
        lines = (json.dumps(row) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    files = {f"data.{name}": str(folder / f"{name}.jsonl") for name in rows}
    options = {"training.epochs": 5, "task.vocabulary.min_frequency": 3}
    columns = {"data.text_column": "body", "data.label_column": "summary"}
    given = {"training.tensorboard": "never", "seed": seed, **files, **columns, **options, **overrides}
    saved = recurra.train("summarisation", folder / "run", given)
    said = saved.predict([row["body"] for row in rows["test"]])
    names = [(name, text) for row, text in zip(rows["test"], said, strict=True) for name in row["names"]]
    known = {saved.task.vocabulary.token(i) for i in range(saved.task.vocabulary.size)}  # type: ignore[attr-defined]
    unknown = [(name, text) for name, text in names if name not in known]
    exact = sum(text == row["summary"] for row, text in zip(rows["test"], said, strict=True))
    return {
        "copied_percent": round(100 * sum(name in text.split() for name, text in unknown) / len(unknown), 2),
        "unknown_words": len(unknown),
        "exact_percent": round(100 * exact / len(said), 2),
        "vocabulary": len(known),
        "rouge_l": round(saved.metrics["test"]["rouge_l"], 2),
        "baselines": {name: round(value["rouge_l"], 2) for name, value in saved.metrics["baselines"].items()},
        "training_core_seconds": saved.metrics["training"]["core_seconds"],
    }


BENCHMARKS: dict[str, Callable[[Path, int, dict[str, Any]], dict[str, Any]]] = {"aeslc": aeslc, "copying": copying}


def main() -> None:
    """Run one."""
    parser = command(__doc__, BENCHMARKS)
    parser.add_argument("overrides", nargs="*", help="options of the run, KEY=VALUE")
    given = parse(parser)
    with tempfile.TemporaryDirectory() as folder:
        conclude(given, BENCHMARKS[given.name](Path(folder), given.seed, parse_overrides(given.overrides)))


if __name__ == "__main__":
    main()
