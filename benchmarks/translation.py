"""Multi30k, German to English, beside cheap baselines, with the core-seconds of the whole process.

    RECURRA_DATA=... python benchmarks/translation.py multi30k|attention|rewards [--seed 0] [KEY=VALUE ...]

`multi30k`: BLEU and chrF of sacrebleu, lower-cased, on the 2016 test set: greedy, and with beams.
`attention`: the recipe with attention and without, otherwise alike, with the core-seconds of both.
`rewards`: sequence-level training from the likelihood model: the greedy reward before and after (BLEU of sentences).

Core-seconds are process CPU time from the first import to the final metric. The last line is JSON.
"""

from __future__ import annotations

from measured import BEGAN, command, conclude, data, parse  # isort: skip

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra
from recurra.core.config import parse_overrides
from recurra.decoding import SearchConfig
from recurra.metrics import sentence_bleu
from recurra.runs import SavedModel, load
from recurra.tasks import TASKS

BEAMS = (1, 2, 5, 10)


def files(name: str) -> list[str]:
    """The two files of a split."""
    return [data("machine_translation", "multi30k_de_en", f"{name}.{language}.gz") for language in ("de", "en")]


def splits() -> dict[str, Any]:
    """The three splits."""
    return {"data.train": files("train"), "data.valid": files("val"), "data.test": files("test_2016_flickr")}


def rounded(figures: dict[str, float], *tags: str) -> dict[str, float]:
    """The chosen tags."""
    return {tag: round(figures[tag], 2) for tag in tags if tag in figures}


def searched(saved: SavedModel, **options: Any) -> tuple[dict[str, float], list[tuple[str, str]], float]:
    """Metrics on the test set with another search, pairs of text and reference, and what it took."""
    began = time.process_time()
    config = saved.task.config.model_copy(update={"search": SearchConfig(**options)})
    task = TASKS["translation"].from_files(config, saved.task.files())
    other = SavedModel(saved.config, task, saved.model, {})
    found, predictions, references = other.evaluate_split(task.read(files("test_2016_flickr"), saved.config.data))
    texts = [prediction.text for prediction in predictions]
    return found, list(zip(texts, references, strict=True)), round(time.process_time() - began, 1)


def train(folder: Path, seed: int, overrides: dict[str, Any]) -> SavedModel:
    """The recipe on Multi30k; what an earlier benchmark left in the folder is taken."""
    if (folder / "model").exists():
        return load(folder)
    given = {"training.tensorboard": "never", "seed": seed, **splits(), **overrides}
    return recurra.train("translation", folder, given)


def multi30k(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """BLEU on test 2016: greedy and with beams, beside copying and retrieval."""
    saved = train(folder / "run", seed, overrides)
    trained = round(time.process_time() - BEGAN, 1)
    metrics = saved.metrics
    found: dict[str, Any] = {
        "baselines": {name: rounded(value, "bleu", "chrf") for name, value in metrics["baselines"].items()},
        "recipe's search": {s: rounded(metrics[s], "bleu", "chrf", "perplexity") for s in ("valid", "test")},
        "core_seconds_to_the_trained_model": trained,
        "signature": saved.task.scores().signature(),  # type: ignore[attr-defined]
    }
    own = saved.config.task.search.model_dump()  # type: ignore[union-attr]
    for width in BEAMS:
        figures, _, seconds = searched(saved, **{**own, "beam_size": width, "num_best": 1})
        found[f"beam {width}"] = {**rounded(figures, "bleu", "chrf", "length_ratio"), "core_seconds": seconds}
    return found


def attention(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """The recipe beside the same one without attention; greedy."""
    found: dict[str, Any] = {}
    without = {"model.decoder.attention": None, "model.decoder.input_feeding": "none"}
    for name, place, options in (("attention", "run", {}), ("none", "none", without)):
        saved = train(folder / place, seed, {**overrides, **options})
        own = saved.config.task.search.model_dump()  # type: ignore[union-attr]
        figures, _, _ = searched(saved, **{**own, "beam_size": 1, "num_best": 1})
        cost = saved.metrics["training"]["core_seconds"]
        found[name] = {**rounded(figures, "bleu", "chrf"), "training_core_seconds": cost}
    found["difference"] = round(found["attention"]["bleu"] - found["none"]["bleu"], 2)
    return found


def rewards(folder: Path, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """Minimum risk and self-critical training from the same likelihood model: mean BLEU of sentences, greedy, test."""
    start = folder / "run"
    saved = train(start, seed, overrides)
    own = {**saved.config.task.search.model_dump(), "beam_size": 1, "num_best": 1}  # type: ignore[union-attr]
    found: dict[str, Any] = {"likelihood": _reward(saved, own)}
    kinds: dict[str, dict[str, Any]] = {
        "self-critical": {"num_samples": 1},
        "minimum-risk": {"num_samples": 5, "temperature": 0.7, "likelihood_share": 0.05},
    }
    for kind, own_options in kinds.items():
        options = {
            "finetune.start": str(start),
            "task.objective": {"kind": kind, "reward": "bleu", **own_options},
            "optimizer.learning_rate": 1e-4,
            "schedule.kind": "constant",
            "training.epochs": 1,
            "training.max_updates": 200,
            "training.evaluate_every": 50,
            "training.batch_size": 64,
        }
        given = {"training.tensorboard": "never", "seed": seed, **splits(), **options}
        trained = recurra.train(saved.config, folder / kind, given)
        cost = trained.metrics["training"]["core_seconds"]
        found[kind] = {**_reward(trained, own), "training_core_seconds": cost}
        found[kind]["gain_percent"] = round(100 * (found[kind]["reward"] / found["likelihood"]["reward"] - 1), 2)
    return found


def _reward(saved: SavedModel, search: dict[str, Any]) -> dict[str, float]:
    figures, pairs, _ = searched(saved, **search)
    values = [sentence_bleu(text, reference) for text, reference in pairs]
    return {"reward": round(statistics.mean(values), 4), **rounded(figures, "bleu", "chrf")}


BENCHMARKS: dict[str, Callable[[Path, int, dict[str, Any]], dict[str, Any]]] = {
    "multi30k": multi30k,
    "attention": attention,
    "rewards": rewards,
}


def main() -> None:
    """Run one."""
    parser = command(__doc__, BENCHMARKS)
    parser.add_argument("overrides", nargs="*", help="options of the run, KEY=VALUE")
    parser.add_argument("--out", help="keep the runs in this folder, and take what is there already")
    given = parse(parser)
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing if given.out is None else given.out)
        conclude(given, BENCHMARKS[given.name](folder, given.seed, parse_overrides(given.overrides)))


if __name__ == "__main__":
    main()
