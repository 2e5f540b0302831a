"""How much memory a text asks for: what the token k steps back tells about the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.core.batch import Batch
from recurra.core.sequences import Sequences
from recurra.layers.windows import lengths_of

_KINDS, _FEW = 48, 16
_MOST = 60_000
_NEAR = 8
"""Nearer than this, neighbours are alike in any text."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What inputs tell of a target, by their distance.

    Attributes:
        entropy: of the targets, in nats.
        information: mutual information in nats of the input k steps before a target, above that of chance; k from 1.
        window: steps of a training window.
        beyond: the most telling distance beyond the window; 0 where there is none.
        fresh: what the input there tells that the last two inputs before the target don't, in nats.
    """

    entropy: float
    information: tuple[float, ...]
    window: int
    beyond: int = 0
    fresh: float = 0.0

    @property
    def is_hidden(self) -> bool:
        """Whether the window hides something that tells a good deal, and more than anything but the nearest in it."""
        if not self.beyond:
            return False
        found, within = self.information[self.beyond - 1], max(self.information[_NEAR - 1 : self.window], default=0.0)
        return min(found, self.fresh) > max(0.05 * self.entropy, 0.02) and found > 1.5 * within


def needs(batches: Sequence[Batch], longest: int, window: int) -> Needs | None:
    """Of consecutive batches of a stream of tokens, up to `longest` steps back; None where inputs are no tokens."""
    rows = _rows(batches)
    if not rows:
        return None
    coded = _commonest(rows, _KINDS)
    found = []
    for distance in range(1, longest + 1):
        told, answers = _paired(coded, distance)
        if len(told) < 20 * _KINDS:
            break
        found.append(information(told, answers) - _by_chance(told, answers))
    if not found:
        return None
    share = np.bincount(np.concatenate([two for _, two in coded])) / sum(len(two) for _, two in coded)
    entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum())
    if len(found) <= window:
        return Needs(entropy, tuple(found), window)
    beyond = window + 1 + int(np.argmax(found[window:]))
    return Needs(entropy, tuple(found), window, beyond, _fresh(_commonest(rows, _FEW), beyond))


def _commonest(rows: list[tuple[np.ndarray, np.ndarray]], number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same with the commonest tokens numbered from 0, and one number for all others."""
    kinds = np.bincount(np.concatenate([np.concatenate(pair) for pair in rows]))
    common = np.argsort(-kinds, kind="stable")[: number - 1]
    coded = np.full(len(kinds), len(common))
    coded[common] = np.arange(len(common))
    return [(coded[one], coded[two]) for one, two in rows]


def _paired(rows: list[tuple[np.ndarray, np.ndarray]], distance: int) -> tuple[np.ndarray, np.ndarray]:
    """The inputs that stand `distance` before a target, and the targets."""
    pairs = [(one[: len(one) - distance + 1], two[distance - 1 :]) for one, two in rows if len(one) >= distance]
    if not pairs:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate([one for one, _ in pairs]), np.concatenate([two for _, two in pairs])


def _fresh(rows: list[tuple[np.ndarray, np.ndarray]], distance: int) -> float:
    """What the input at a distance of at least 2 tells of a target beside the last two inputs."""
    parts = []
    for one, two in rows:
        places = np.arange(distance - 1, len(one))
        parts.append((_FEW * one[places - 1] + one[places], one[places - distance + 1], two[places]))
    last, far, answers = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not len(last):
        return 0.0
    beside, alone = (information(told, answers) - _by_chance(told, answers) for told in (_FEW * last + far, last))
    return beside - alone


def information(one: np.ndarray, two: np.ndarray) -> float:
    """Mutual information of two series of small whole numbers, in nats, as counted."""
    counts = np.bincount(one * (int(two.max()) + 1) + two).astype(np.float64)
    table = np.zeros((int(one.max()) + 1, int(two.max()) + 1))
    table.ravel()[: len(counts)] = counts / len(one)
    product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    there = table > 0
    return float((table[there] * np.log(table[there] / product[there])).sum())


def _by_chance(one: np.ndarray, two: np.ndarray) -> float:
    """What is counted of two series that have nothing to do with each other, as their number is finite."""
    return information(one, np.random.default_rng(0).permutation(two))


def _rows(batches: Sequence[Batch]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each row's inputs and targets over all batches, joined in time."""
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = []
    for batch in batches:
        inputs = batch.inputs
        if not isinstance(inputs, Sequences) or inputs.data.is_floating_point() or batch.targets.dim() != 2:
            return []
        pairs = zip(inputs.data.cpu().numpy(), batch.targets.cpu().numpy(), lengths_of(inputs).tolist(), strict=True)
        for place, (one, two, length) in enumerate(pairs):
            if place == len(parts):
                parts.append([])
            parts[place].append((one[:length], two[:length]))
    joined = [
        (np.concatenate([one for one, _ in row]), np.concatenate([two for _, two in row])) for row in parts if row
    ]
    kept, steps = [], 0
    for one, two in joined:
        kept.append((one, two))
        steps += len(one)
        if steps >= _MOST:
            break
    return kept
