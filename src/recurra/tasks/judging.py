"""An evaluation item by item: how each was answered, and the sums that any choice of items has its figure from.

Worked example: of three texts two are right. The terms are [[1, 1], [0, 1], [1, 1]], (right, counted); their sums
[2, 3] make the accuracy 2 / 3. A bootstrap draws rows of the terms anew; F1 and BLEU are made of sums as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Figure = Callable[[np.ndarray], np.ndarray]
"""(..., K) sums of terms -> (...) the figure."""

Shown = tuple[str, str, str]
"""What was asked, answered and wanted, for a person."""

LEAST_PROBABILITY = 1e-12
"""What is impossible to a model costs -log of this, so that losses stay finite."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An evaluation, item by item, in the order of the split.

    Attributes:
        predictions, references: (N,) one an item, as the task's `metrics` takes them.
        terms: (M, K) numbers whose sums make the task's `compared` figure; a row is what may be drawn by itself: an
            item, or where neighbours are much alike several of them, or a part of one.
        figure: from the sums.
        losses: (N,) how badly each item was answered; more is worse.
        lengths: (N,) tokens, words or steps of each item.
        ids: (N,) what the file calls each.
        shown: number of an item -> what a person reads of it.
        alike: (N,) the same number where items are much alike, such as windows that overlap; None: all differ.
        marks: by name, what there is to tell items apart by: for each the values that it has, such as its label.
    """

    predictions: Sequence[Any]
    references: Sequence[Any]
    terms: np.ndarray
    figure: Figure
    losses: np.ndarray
    lengths: np.ndarray
    ids: tuple[str, ...]
    shown: Callable[[int], Shown]
    alike: np.ndarray | None = None
    marks: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.predictions)

    def worst(self, most: int) -> list[tuple[float, Shown]]:
        """Loss and texts of the items that were answered worst, the worst first.

        Of items that are alike one is named, and none that cost nothing; where there is but one, none is the worst.
        """
        order = np.argsort(-self.losses, kind="stable")
        if self.alike is not None:
            _, firsts = np.unique(self.alike[order], return_index=True)
            order = order[np.sort(firsts)]
        chosen = order[:most].tolist() if len(order) > 1 else []
        return [(float(self.losses[place]), self.shown(place)) for place in chosen if self.losses[place] > 0]


def mean_terms(values: ArrayLike) -> np.ndarray:
    """(N, 2) terms of a mean over items: each value, and 1."""
    column = np.asarray(values, dtype=np.float64)
    return np.stack([column, np.ones_like(column)], axis=-1)


def mean_figure(sums: np.ndarray) -> np.ndarray:
    """Sum / count; NaN where nothing was counted."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray = sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan)
    return found


def f1_figure(sums: np.ndarray) -> np.ndarray:
    """F1 of (hits, given, wanted); 0 where there is nothing."""
    found: np.ndarray = 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)
    return found


def rmse_figure(sums: np.ndarray) -> np.ndarray:
    """Of (K squared errors, count): the mean over the K of the roots of their means."""
    found: np.ndarray = np.sqrt(sums[..., :-1] / np.maximum(sums[..., -1:], 1)).mean(axis=-1)
    return found


def nats_of(probabilities: Iterable[float]) -> np.ndarray:
    """-log of the probability of what is right, finite."""
    return -np.log(np.maximum(np.fromiter(probabilities, np.float64), LEAST_PROBABILITY))


def pooled(terms: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(N, K) terms summed over items of the same unit, given by (N,) numbers: (M, K)."""
    names, index = np.unique(units, return_inverse=True)
    sums = np.zeros((len(names), terms.shape[1]))
    np.add.at(sums, index, terms)
    return sums


def pieces(length: int, borders: Iterable[int], longest: int) -> list[tuple[int, int]]:
    """A row of `length` steps cut at `borders`, and what is longer than `longest` into even parts."""
    edges = sorted({0, *borders, length})
    cut = []
    for start, end in pairwise(edges):
        parts = -(-(end - start) // longest)
        inner = [start + (end - start) * part // parts for part in range(parts + 1)]
        cut += list(pairwise(inner))
    return cut


def judge_labels(
    predictions: Sequence[Any],
    references: Sequence[str],
    answers: Sequence[tuple[str, float, float]],
    split: Sequence[Any],
    lengths: Sequence[int],
    asked: Callable[[int], str],
) -> Judged:
    """Items of which each has one label; the figure is accuracy, the loss -log of the right label's probability.

    Args:
        predictions, references: (N,) as the task's metrics take them.
        answers: (N,) the label given, its probability, and that of the right one.
        split: (N,) examples.
        lengths: (N,) of each.
        asked: number of an item -> what was asked.
    """
    return Judged(
        predictions=predictions,
        references=references,
        terms=mean_terms([label == right for (label, _, _), right in zip(answers, references, strict=True)]),
        figure=mean_figure,
        losses=nats_of(likely for _, _, likely in answers),
        lengths=np.array(lengths),
        ids=tuple(one.id for one in split),
        shown=lambda place: (asked(place), f"{answers[place][0]} ({answers[place][1]:.2f})", references[place]),
        marks={"label": [(label,) for label in references]},
    )
