"""Real data that is always there: a number series beside this file, and a text of every Python installation."""

import codecs
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recurra.theory.recurrence import Array


def sunspots() -> tuple[NDArray[np.int64], Array]:
    """Years 1700 to 2008, and the mean number of sunspots in each. Source and terms: sunspots.csv."""
    text = files("recurra.theory").joinpath("sunspots.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if line[:1].isdigit()]
    return np.array([int(year) for year, _ in rows]), np.array([float(number) for _, number in rows])


def zen() -> str:
    """The Zen of Python (Tim Peters, PEP 20, public domain), as `import this` prints it, without printing it."""
    spec = find_spec("this")
    assert spec is not None and spec.origin is not None, "every Python has the module `this`"
    source = Path(spec.origin).read_text(encoding="utf-8")
    (hidden,) = re.findall(r'"""(.*?)"""', source, re.DOTALL)
    return codecs.decode(hidden, "rot13")


def next_values(values: Array, length: int) -> list[tuple[Array, Array]]:
    """Pieces of a series in order: x (1, length, 1), and y the same one step later. The rest at the end is dropped."""
    starts = range(0, len(values) - length, length)
    shape = (1, length, 1)
    return [(values[s : s + length].reshape(shape), values[s + 1 : s + length + 1].reshape(shape)) for s in starts]


def next_characters(text: str, length: int) -> tuple[list[tuple[Array, NDArray[np.int64]]], str]:
    """Pieces of a text in order: x (1, length, V) one-hot, y (1, length) the next characters; and the V characters."""
    alphabet = "".join(sorted(set(text)))
    numbers = np.array([alphabet.index(character) for character in text])
    onehot = np.eye(len(alphabet))
    starts = range(0, len(text) - length, length)
    return [(onehot[numbers[s : s + length]][None], numbers[s + 1 : s + length + 1][None]) for s in starts], alphabet
