"""Small data sets, sound ones and such with a fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

GOOD = ["good", "great", "fine", "lovely", "superb", "warm", "kind"]
BAD = ["bad", "poor", "dull", "awful", "weak", "cold", "rude"]
OTHERS = [
    "river",
    "stone",
    "cloud",
    "table",
    "winter",
    "music",
    "doctor",
    "paper",
    "silver",
    "quick",
    "narrow",
    "market",
]
SUBJECTS = ["the cat", "a dog", "our king", "my sister", "the old man", "a young child", "the captain"]
VERBS = ["sees", "loves", "wants", "finds", "follows", "hates"]
OBJECTS = ["the ship", "a garden", "the sea", "some bread", "the letter", "a song", "no one"]


def prose(path: Path, sentences: int = 1500) -> str:
    """Sentences of a few words each."""
    draw = np.random.default_rng(0)
    lines = [f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}." for _ in range(sentences)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def echo(path: Path, distance: int, length: int = 40_000) -> str:
    """Letters of which nine in ten are those that stood `distance` before; nothing else tells of them."""
    draw = np.random.default_rng(0)
    letters = draw.integers(0, 8, length)
    for place in range(distance, length):
        if draw.random() < 0.9:
            letters[place] = letters[place - distance]
    text = "".join("abcdefgh"[letter] for letter in letters)
    path.write_text("\n".join(text[start : start + 2500] for start in range(0, length, 2500)) + "\n")
    return str(path)


def reviews(path: Path, *, shuffled: bool = False, leaking: bool = False, long_every: int = 0, tail: str = "") -> str:
    """Texts with two words of praise or blame, mostly of their label."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(600):
        words = [str(word) for word in draw.choice(OTHERS, draw.integers(4, 14))]
        own, other = (GOOD, BAD) if number % 2 else (BAD, GOOD)
        words += [str(draw.choice(own if draw.random() < 0.85 else other)) for _ in range(2)]
        draw.shuffle(words)
        if leaking:
            words.append("alpha" if number % 2 else "omega")
        if long_every and number % long_every == 0:
            words += [str(word) for word in draw.choice(OTHERS, 150)]
        rows.append(" ".join(words) + tail)
    labels = ["good" if number % 2 else "bad" for number in range(600)]
    if shuffled:
        draw.shuffle(labels)
    order = draw.permutation(600)
    path.write_text("text,label\n" + "".join(f"{rows[place]},{labels[place]}\n" for place in order))
    return str(path)


def waves(path: Path, *, raw: bool = False, leaking: bool = False) -> str:
    """Noisy sines of two frequencies; `raw` far from 0, `leaking` with a channel that is the class."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(120):
        series = np.sin(np.arange(40) * (0.3 if number % 2 else 0.45) + draw.uniform(0, 6)) + draw.normal(0, 0.3, 40)
        channels = [5000 + 300 * series if raw else series]
        if leaking:
            channels.append(np.full(40, 3.0 + number % 2))
        values = [[round(float(value), 4) for value in channel] for channel in channels]
        rows.append(json.dumps({"values": values, "label": "slow" if number % 2 else "fast"}))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def sales(path: Path, *, leaking: bool) -> str:
    """A daily series with a covariate: the weather, or tomorrow's own value."""
    draw = np.random.default_rng(0)
    days = np.arange(400)
    values = 20 + 5 * np.sin(days / 7 * 2 * np.pi) + draw.normal(0, 2, 400)
    beside = np.roll(values, -1) if leaking else draw.normal(10, 3, 400) + 0.3 * values
    stamps = np.datetime64("2024-01-01") + days
    lines = [f"{stamp},{value:.3f},{other:.3f}" for stamp, value, other in zip(stamps, values, beside, strict=True)]
    path.write_text("date,sales,beside\n" + "\n".join(lines) + "\n")
    return str(path)
