"""What the benchmarks of quality share: where data lie, the command line, the clock. Import it before all else."""

from __future__ import annotations

import time

BEGAN = time.process_time()
"""Core-seconds count from here."""

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Collection, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402


def data(*parts: str) -> str:
    """A file or folder under RECURRA_DATA."""
    if "RECURRA_DATA" not in os.environ:
        sys.exit("RECURRA_DATA is not set: it names the folder of the data sets.")
    return str(Path(os.environ["RECURRA_DATA"], *parts))


def penn_treebank() -> dict[str, Any]:
    """Options of a run on Penn Treebank: words as they stand, the official split, state carried, one <eos> a line."""
    base = ("language_modelling", "penn_treebank")
    return {
        "data.train": data(*base, "ptb.train.txt.gz"),
        "data.valid": data(*base, "ptb.valid.txt"),
        "data.test": data(*base, "ptb.test.txt"),
        "data.documents": "whole",
        "task.vocabulary.pattern": "whitespace",
        "task.vocabulary.min_frequency": 1,
    }


def command(doc: str | None, names: Collection[str] = ()) -> argparse.ArgumentParser:
    """The options of every benchmark; `names` are those of a file with several."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if names:
        parser.add_argument("name", choices=names)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line, and set the threads."""
    import torch

    given = parser.parse_intermixed_args()
    torch.set_num_threads(given.threads)
    return given


def conclude(given: argparse.Namespace, found: Mapping[str, Any]) -> None:
    """The last line: everything as JSON, with the core-seconds of the whole process."""
    named = {"name": given.name} if hasattr(given, "name") else {}
    whole = round(time.process_time() - BEGAN, 1)
    print(json.dumps({**named, "seed": given.seed, **found, "core_seconds": whole}, ensure_ascii=False))


def run_one(doc: str | None, benchmarks: Mapping[str, Callable[[Path, int], dict[str, Any]]]) -> None:
    """The whole command of a file whose benchmarks take a folder, which is thrown away, and a seed."""
    given = parse(command(doc, benchmarks))
    with tempfile.TemporaryDirectory() as folder:
        conclude(given, benchmarks[given.name](Path(folder), given.seed))
