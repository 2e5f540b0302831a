"""Whether inputs give the targets away: by a single value, or by what has not come yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, Resolution
from recurra.core.inputs import Window, Words
from recurra.core.sequences import Sequences
from recurra.layers.windows import lengths_of

_LEAST_ROWS = 40
_TELLING = 0.98


@dataclass(frozen=True, slots=True)
class Leak:
    """An input that tells the target by itself.

    Attributes:
        kind: where it stands: tokens, first, last or mean of a feature, past or known covariate, or step.
        name: of the tokens, feature or covariate.
        told: how well it tells: accuracy, or squared correlation.
        usual: the same of the commonest class, of other inputs, or of the last known value.
    """

    kind: Literal["tokens", "first", "last", "mean", "past", "known", "step"]
    name: str
    told: float
    usual: float


def find_leak(batches: Sequence[Batch], resolution: Resolution, names: Sequence[str] = ()) -> Leak | None:
    """The most telling single input, where it tells nearly all; None where no input does, or none can be looked at.

    Args:
        batches: of the training split, without augmentation.
        resolution: of the task.
        names: of tokens, by index; of features otherwise.
    """
    if not batches:
        return None
    inputs = batches[0].inputs
    if resolution is Resolution.HORIZON and isinstance(inputs, Window):
        return _of_windows(batches, names)
    if resolution is Resolution.SEQUENCE and isinstance(inputs, Sequences):
        targets = torch.cat([batch.targets for batch in batches]).cpu().numpy()
        rows = [row.cpu().numpy() for batch in batches for row in batch.inputs.unpad()]
        if len(rows) < _LEAST_ROWS or targets.ndim > 2:
            return None
        if inputs.data.is_floating_point():
            return _of_features(rows, targets, names)
        return _of_tokens(rows, targets, names) if targets.ndim == 1 else None
    if resolution is Resolution.STEP:
        return _of_steps(batches)
    return None


def sees_ahead(model: nn.Module, batch: Batch) -> float | None:
    """How much the answer to a step changes with inputs after it, as a part of its size; None where it can't be seen.

    Of a model that is to tell what comes next. Reference: probe of causality, dy_t / dx_(t+k) = 0.
    """
    inputs = batch.inputs
    if not isinstance(inputs, Sequences) or inputs.num_steps < 4:
        return None
    middle = inputs.num_steps // 2
    data = inputs.data.clone()
    data[:, middle:] = data[:, middle:].flip(0).roll(1, 1)
    with torch.no_grad():
        one, two = (model(part, None).prediction for part in (inputs, inputs.with_data(data)))
    if not isinstance(one, Tensor) or one.dim() < 3:
        return None
    before = slice(None, middle)
    return float((one[:, before] - two[:, before]).abs().max() / one[:, before].abs().mean().clamp(min=1e-6))


def _of_tokens(rows: Sequence[np.ndarray], targets: np.ndarray, names: Sequence[str]) -> Leak | None:
    """Tokens that stand in the rows of one class alone, and together in nearly all of each class's rows."""
    classes = np.unique(targets)
    if len(classes) < 2:
        return None
    holders: dict[int, np.ndarray] = {}
    for row, target in zip(rows, targets, strict=True):
        place = int(np.searchsorted(classes, target))
        for token in np.unique(row):
            holders.setdefault(int(token), np.zeros(len(classes), dtype=np.int64))[place] += 1
    sizes = np.array([(targets == one).sum() for one in classes])
    usual = float(sizes.max() / sizes.sum())
    telling: dict[int, int] = {}
    for place, size in enumerate(sizes):
        scores = {token: 2 * held[place] - held.sum() for token, held in holders.items()}
        best = max(scores, key=lambda token: scores[token])
        if scores[best] >= 0.9 * size:
            telling[best] = place
    # without a token of its own, a class can still be that of the rows that hold no other's
    if len(telling) < len(classes) - 1 or not telling or usual > _TELLING:
        return None
    left = next((place for place in range(len(classes)) if place not in telling.values()), 0)
    said = [next((telling[int(token)] for token in row if int(token) in telling), left) for row in rows]
    share = float((classes[said] == targets).mean())
    if share < _TELLING:
        return None
    shown = ", ".join(repr(names[token]) if token < len(names) else str(token) for token in list(telling)[:4])
    return Leak("tokens", shown, share, usual)


def _of_features(rows: Sequence[np.ndarray], targets: np.ndarray, names: Sequence[str]) -> Leak | None:
    """A feature's value at the first or last step, or its mean, that tells the class or the number."""
    columns: dict[tuple[str, int], np.ndarray] = {}
    for feature in range(rows[0].shape[1]):
        columns["first", feature] = np.array([row[0, feature] for row in rows], dtype=np.float64)
        columns["last", feature] = np.array([row[-1, feature] for row in rows], dtype=np.float64)
        columns["mean", feature] = np.array([row[:, feature].mean() for row in rows], dtype=np.float64)
    numbers = targets.ndim == 2 or not np.issubdtype(targets.dtype, np.integer)
    scores = {
        place: _explained(values, targets.reshape(len(targets), -1)) if numbers else _separated(values, targets)
        for place, values in columns.items()
    }
    kind, feature = best = max(scores, key=lambda place: scores[place])
    plain = 0.0 if numbers else float(np.bincount(targets).max() / len(targets))
    usual = max([plain, *(score for (_, other), score in scores.items() if other != feature)])
    telling = 0.995 if numbers else 0.999
    # a series of one feature may well be told by it; one of several that knows all is suspect
    if scores[best] < telling or usual >= telling or (rows[0].shape[1] == 1 and not numbers):
        return None
    name = names[feature] if feature < len(names) else str(feature + 1)
    return Leak(cast(Any, kind), name, scores[best], usual)


def _separated(values: np.ndarray, targets: np.ndarray) -> float:
    """Accuracy of the best rule that gives each of a class's values a range of its own."""
    order = np.argsort(values, kind="stable")
    sorted_values, sorted_targets = values[order], targets[order]
    changes = int(((sorted_targets[1:] != sorted_targets[:-1]) & (sorted_values[1:] != sorted_values[:-1])).sum())
    mixed = sum(
        len(group) - np.bincount(group).max()
        for group in np.split(sorted_targets, np.flatnonzero(np.diff(sorted_values)) + 1)
    )
    if changes > 2 * len(np.unique(targets)):
        return 0.0
    return 1 - float(mixed) / len(targets)


def _explained(values: np.ndarray, targets: np.ndarray) -> float:
    """The largest squared correlation with one of the targets' columns."""
    return max(_correlation(values, targets[:, column]) ** 2 for column in range(targets.shape[1]))


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    there = np.isfinite(one) & np.isfinite(two)
    a, b = one[there] - one[there].mean(), two[there] - two[there].mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 1e-12 and len(a) > 2 else 0.0


def _of_windows(batches: Sequence[Batch], names: Sequence[str]) -> Leak | None:
    """A covariate that is what is to be forecast."""
    found: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for batch in batches:
        window: Window = batch.inputs
        rows = torch.arange(len(batch.targets))
        last = _last(window.past, rows)
        past = 0 if window.past_covariates is None else window.past_covariates.shape[-1]
        for kind, part in (("past", window.past_covariates), ("known", window.future_known)):
            if part is None:
                continue
            for column in range(part.shape[-1]):
                place = column if kind == "past" else past + column
                own = names[place] if place < len(names) else str(place + 1)
                for lead in range(batch.targets.shape[1]):
                    if kind == "past":
                        told = _last(window.past.with_data(part), rows)[:, column]
                    elif lead < part.shape[1]:
                        told = part[:, lead, column]
                    else:
                        continue
                    triple = tuple(x.double().cpu().numpy() for x in (told, batch.targets[:, lead, 0], last[:, 0]))
                    found.setdefault((kind, f"{own}, {lead + 1}"), []).append(triple)  # type: ignore[arg-type]
    best: Leak | None = None
    for (kind, name), triples in found.items():
        values, targets, known = (np.concatenate(part) for part in zip(*triples, strict=True))
        if len(values) < _LEAST_ROWS:
            continue
        score, usual = _correlation(values, targets) ** 2, _correlation(known, targets) ** 2
        # a slow series is told by anything that goes along with it
        if score > 0.99 and 1 - score < 0.1 * (1 - usual) and (best is None or score > best.told):
            best = Leak(cast(Any, kind), name, score, usual)
    return best


def _last(past: Sequences, rows: Tensor) -> Tensor:
    return past.data[rows, (lengths_of(past) - 1).clamp(min=0)]


def _of_steps(batches: Sequence[Batch]) -> Leak | None:
    """Steps whose input tells the target outright: targets that were not shifted, or a tag that is its word's name."""
    told: dict[int, dict[int, int]] = {}
    same = total = 0
    for batch in batches:
        part: Any = batch.inputs.words if isinstance(batch.inputs, Words) else batch.inputs
        if not isinstance(part, Sequences) or part.data.dim() != 2 or part.data.shape != batch.targets.shape[:2]:
            return None
        if part.data.is_floating_point() or batch.targets.dim() != 2:
            return None
        real = part.mask
        for one, two in zip(part.data[real].tolist(), batch.targets[real].tolist(), strict=True):
            counts = told.setdefault(one, {})
            counts[two] = counts.get(two, 0) + 1
            same += one == two
            total += 1
    if total < _LEAST_ROWS:
        return None
    right = sum(max(counts.values()) for counts in told.values()) / total
    targets: dict[int, int] = {}
    for counts in told.values():
        for target, count in counts.items():
            targets[target] = targets.get(target, 0) + count
    usual = max(targets.values()) / total
    # each input seen often enough that knowing it all is no matter of luck
    seen = total / len(told)
    if right < 0.999 or usual > _TELLING or seen < 5:
        return None
    return Leak("step", "", right, usual)
