"""Toy pairs: German numerals, and the English ones in reverse order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import recurra
from recurra.core.config import apply_overrides, parse
from recurra.runs import RunConfig, SavedModel

GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TINY: dict[str, Any] = {
    "task": {"kind": "translation"},
    "model": {"kind": "encoder-decoder", "embedding_dim": 24, "hidden_size": 24},
    "optimizer": {"kind": "adamw", "learning_rate": 0.01, "clip_norm": 1.0},
    "training": {"epochs": 4, "batch_size": 32, "tensorboard": "never"},
}


def numerals(count: int, seed: int, longest: int = 5) -> list[tuple[str, str]]:
    """Pairs ("eins zwei", "two one")."""
    draw = random.Random(seed)
    rows = [[draw.randrange(10) for _ in range(draw.randint(1, longest))] for _ in range(count)]
    return [(" ".join(GERMAN[i] for i in row), " ".join(ENGLISH[i] for i in reversed(row))) for row in rows]


def write_parallel(folder: Path, name: str, pairs: list[tuple[str, str]]) -> list[str]:
    """Two line files; their names."""
    paths = [folder / f"{name}.de", folder / f"{name}.en"]
    for side, path in enumerate(paths):
        path.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return [str(path) for path in paths]


def train(folder: Path, overrides: dict[str, Any], base: dict[str, Any] = TINY) -> SavedModel:
    """Train a tiny model, quietly."""
    config = parse(RunConfig, apply_overrides(base, overrides))
    return recurra.train(config, folder, {})
