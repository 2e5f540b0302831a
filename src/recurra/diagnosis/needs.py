"""How much memory a text asks for: what the token k steps back tells about the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.core.batch import Batch
from recurra.core.sequences import Sequences

_KINDS = 48
_MOST = 60_000
_NEAR = 8
"""Nearer than this, neighbours are alike in any text."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What inputs tell of a target, by their distance.

    Attributes:
        entropy: of the targets, in nats.
        information: mutual information in nats of the input k steps before a target, above that of chance; k from 1.
    """

    entropy: float
    information: tuple[float, ...]

    def beyond(self, window: int) -> tuple[int, float, float] | None:
        """The most telling distance beyond a window, where it tells more than any other but the nearest within.

        Returns:
            The distance, its information, and that of the best within the window; None where nothing is hidden.
        """
        far = self.information[window:]
        if not far:
            return None
        distance = window + 1 + int(np.argmax(far))
        within = max(self.information[_NEAR - 1 : window], default=0.0)
        found = self.information[distance - 1]
        told = found > max(0.05 * self.entropy, 0.02) and found > 1.5 * within
        return (distance, found, within) if told else None


def needs(batches: Sequence[Batch], longest: int) -> Needs | None:
    """Of consecutive batches of a stream of tokens, up to `longest` steps back; None where inputs are no tokens."""
    rows = _rows(batches)
    if not rows:
        return None
    kinds = np.bincount(np.concatenate([np.concatenate(pair) for pair in rows]))
    common = np.argsort(-kinds, kind="stable")[: _KINDS - 1]
    number = np.full(len(kinds), len(common))
    number[common] = np.arange(len(common))
    coded = [(number[one], number[two]) for one, two in rows]
    found = []
    for distance in range(1, longest + 1):
        pairs = [(one[: len(one) - distance + 1], two[distance - 1 :]) for one, two in coded if len(one) >= distance]
        told, answers = (np.concatenate(part) for part in zip(*pairs, strict=True)) if pairs else (np.zeros(0),) * 2
        if len(told) < 20 * _KINDS:
            break
        found.append(information(told, answers) - _by_chance(told, answers))
    share = np.bincount(np.concatenate([two for _, two in coded])) / sum(len(two) for _, two in coded)
    entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum())
    return Needs(entropy, tuple(found)) if found else None


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
        lengths = [inputs.num_steps] * inputs.batch_size if inputs.lengths is None else inputs.lengths.tolist()
        pairs = zip(inputs.data.cpu().numpy(), batch.targets.cpu().numpy(), lengths, strict=True)
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
