"""Logistic regression over tf-idf weighted n-grams of token ids: the strongest cheap classifier of short texts.

Features are as scikit-learn's TfidfVectorizer makes them (smoothed idf, rows of length 1), the objective is that of
its LogisticRegression (sum of losses + ||W||^2 / (2 C), biases free), minimised by L-BFGS.
Reference: Liu and Nocedal (1989), "On the limited memory BFGS method", https://doi.org/10.1007/BF01589116.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from recurra.baselines.counts import GramCounter, SparseCounts, check_labels, check_targets, held_out
from recurra.core.errors import ConfigError

STRENGTHS = (2.0, 8.0, 32.0)
_Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


class LogisticRegression:
    """Multinomial logistic regression (two classes: one logit) over tf-idf n-grams.

    Attributes:
        strength: C, the inverse weight of the L2 penalty, chosen on rows not learnt from; set by `fit`.
    """

    def __init__(
        self,
        num_classes: int,
        order: int = 2,
        strengths: Sequence[float] = STRENGTHS,
        max_iterations: int = 100,
        tolerance: float = 1e-4,
    ) -> None:
        self.num_classes = num_classes
        self.strength = float("nan")
        self._linear = _TfidfLinear(order, strengths, max_iterations, tolerance, exclusive=num_classes > 2)

    def fit(
        self,
        rows: Sequence[ArrayLike],
        targets: ArrayLike,
        valid_rows: Sequence[ArrayLike] = (),
        valid_targets: ArrayLike = (),
    ) -> LogisticRegression:
        """Learn the weights, with the C that is right most often (ties: by loss) on the valid rows.

        Args:
            rows: N sequences of token ids, empty ones too.
            targets: (N,) class indices.
            valid_rows: rows to choose C on; without them a tenth of `rows` is set aside for that choice.
            valid_targets: (M,) class indices.
        Raises:
            ShapeError: targets that don't fit the rows or num_classes.
            DataError: no rows.
        """
        wanted = self._indicators(targets, len(rows))
        valid_wanted = self._indicators(valid_targets, len(valid_rows)) if len(valid_rows) else None
        self.strength = self._linear.fit(rows, wanted, valid_rows, valid_wanted)
        return self

    def predict_proba(self, rows: Sequence[ArrayLike]) -> np.ndarray:
        """Probabilities (N, C), rows summing to 1."""
        probs = self._linear.probs(rows)
        if self.num_classes == 2:
            return np.concatenate([1 - probs, probs], axis=1)
        return probs if self.num_classes > 1 else np.ones((len(rows), 1))

    def _indicators(self, targets: ArrayLike, num_rows: int) -> np.ndarray:
        wanted = check_targets(targets, num_rows, self.num_classes)
        marks = np.zeros((num_rows, self.num_classes))
        marks[np.arange(num_rows), wanted] = 1
        return marks[:, 1:] if self.num_classes <= 2 else marks


class MultiLabelLogisticRegression:
    """One logistic regression a label over the same tf-idf n-grams, with one C for all labels."""

    def __init__(self, num_labels: int, order: int = 2, strengths: Sequence[float] = STRENGTHS) -> None:
        self.num_labels = num_labels
        self.strength = float("nan")
        self._linear = _TfidfLinear(order, strengths, max_iterations=100, tolerance=1e-4, exclusive=False)

    def fit(
        self,
        rows: Sequence[ArrayLike],
        targets: ArrayLike,
        valid_rows: Sequence[ArrayLike] = (),
        valid_targets: ArrayLike = (),
    ) -> MultiLabelLogisticRegression:
        """As `LogisticRegression.fit`, with targets (N, O) of 0 or 1."""
        wanted = check_labels(targets, len(rows), self.num_labels).astype(np.float64)
        valid_wanted = None
        if len(valid_rows):
            valid_wanted = check_labels(valid_targets, len(valid_rows), self.num_labels).astype(np.float64)
        self.strength = self._linear.fit(rows, wanted, valid_rows, valid_wanted)
        return self

    def predict_proba(self, rows: Sequence[ArrayLike]) -> np.ndarray:
        """Probability of each label (N, O), each within 0..1 for itself."""
        return self._linear.probs(rows)


class _TfidfLinear:
    """Outputs (N, K): a softmax over them where they exclude each other, else a sigmoid each."""

    def __init__(
        self, order: int, strengths: Sequence[float], max_iterations: int, tolerance: float, exclusive: bool
    ) -> None:
        if not strengths or min(strengths) <= 0:
            raise ConfigError(f"strengths={tuple(strengths)}: wanted at least one C above 0.")
        self._counter = GramCounter(order)
        self._strengths = sorted(strengths)
        self._max_iterations = max_iterations
        self._tolerance = tolerance
        self._exclusive = exclusive
        self._idf = np.empty(0)
        self.weights = np.empty((0, 0))  # (K, F + 1), the bias last

    def fit(
        self,
        rows: Sequence[ArrayLike],
        targets: np.ndarray,
        valid_rows: Sequence[ArrayLike],
        valid_targets: np.ndarray | None,
    ) -> float:
        counts = self._counter.fit(rows).count(rows)
        seen_in = np.bincount(counts.columns, minlength=counts.num_columns)
        self._idf = np.log((1 + counts.num_rows) / (1 + seen_in)) + 1
        features = self._tfidf(counts)
        if len(self._strengths) == 1:
            self.weights = next(self._path(features, targets, self._strengths))
            return self._strengths[0]
        if valid_targets is not None:
            valid = self._tfidf(self._counter.count(valid_rows))
            _, strength, self.weights = self._choose(features, targets, valid, valid_targets)
            return strength
        kept, tried = held_out(len(targets))
        if not len(tried):
            kept = tried = np.arange(len(targets))
        split = (features.select(kept), targets[kept], features.select(tried), targets[tried])
        _, strength, _ = self._choose(*split)
        self.weights = list(self._path(features, targets, [strength]))[-1]
        return strength

    def probs(self, rows: Sequence[ArrayLike]) -> np.ndarray:
        logits = _products(self._tfidf(self._counter.count(rows)), self.weights)
        return np.exp(_log_softmax(logits)) if self._exclusive else _sigmoid(logits)

    def _tfidf(self, counts: SparseCounts) -> SparseCounts:
        values = counts.values * self._idf[counts.columns]
        squares = np.bincount(counts.rows, values**2, minlength=counts.num_rows)
        return counts._replace(values=values / np.sqrt(squares[counts.rows]))

    def _choose(
        self, features: SparseCounts, targets: np.ndarray, valid: SparseCounts, valid_targets: np.ndarray
    ) -> tuple[tuple[float, float], float, np.ndarray]:
        """The best (right answers, -loss) on the valid rows, its C and its weights."""
        tried = []
        for strength, weights in zip(self._strengths, self._path(features, targets, self._strengths), strict=True):
            logits = _products(valid, weights)
            if self._exclusive:
                right = logits.argmax(axis=1) == valid_targets.argmax(axis=1)
            else:
                right = (logits > 0) == (valid_targets > 0)
            loss, _ = _loss(logits, valid_targets, self._exclusive)
            tried.append(((float(right.sum()), -loss), strength, weights))
        return max(tried, key=lambda trial: trial[0])

    def _path(self, features: SparseCounts, targets: np.ndarray, strengths: Sequence[float]) -> Iterator[np.ndarray]:
        """Weights for each C, each begun at those of the one before."""
        weights = np.zeros((targets.shape[1], features.num_columns + 1))
        for strength in strengths:
            objective = _objective(features, targets, strength, self._exclusive)
            flat = _minimise(objective, weights.ravel(), self._max_iterations, self._tolerance)
            weights = flat.reshape(weights.shape)
            yield weights


def _objective(features: SparseCounts, targets: np.ndarray, strength: float, exclusive: bool) -> _Objective:
    """Mean over the rows of loss + penalty, and its gradient, of flattened weights (K * (F + 1),)."""
    num_rows, num_outputs = targets.shape

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(num_outputs, features.num_columns + 1)
        loss, residual = _loss(_products(features, weights), targets, exclusive)
        gradient = weights / strength
        gradient[:, -1] = residual.sum(axis=0)
        for output in range(num_outputs):
            pulls = features.values * residual[:, output][features.rows]
            gradient[output, :-1] += np.bincount(features.columns, pulls, minlength=features.num_columns)
        penalty = float((weights[:, :-1] ** 2).sum()) / (2 * strength)
        return (loss + penalty) / num_rows, gradient.ravel() / num_rows

    return value_and_gradient


def _products(features: SparseCounts, weights: np.ndarray) -> np.ndarray:
    """Logits (N, K)."""
    logits = np.empty((features.num_rows, len(weights)))
    for output, weight in enumerate(weights):
        terms = features.values * weight[features.columns]
        logits[:, output] = np.bincount(features.rows, terms, minlength=features.num_rows) + weight[-1]
    return logits


def _loss(logits: np.ndarray, targets: np.ndarray, exclusive: bool) -> tuple[float, np.ndarray]:
    """Summed cross-entropy in nats, and its gradient (N, K) by the logits."""
    if exclusive:
        log_probs = _log_softmax(logits)
        return -float((targets * log_probs).sum()), np.exp(log_probs) - targets
    return float((np.logaddexp(0, logits) - targets * logits).sum()), _sigmoid(logits) - targets


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    raised = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(raised - np.log(np.exp(raised).sum(axis=1, keepdims=True)))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


def _minimise(objective: _Objective, start: np.ndarray, max_iterations: int, tolerance: float) -> np.ndarray:
    """L-BFGS with ten remembered steps, until the gradient's largest entry is below the tolerance."""
    point = start
    value, gradient = objective(point)
    memory: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=10)
    for _ in range(max_iterations):
        if len(gradient) == 0 or np.abs(gradient).max() < tolerance:
            break
        direction = -_inverse_hessian_times(gradient, memory)
        slope = float(direction @ gradient)
        size = 1.0 if memory else 1 / float(np.linalg.norm(gradient))
        for _ in range(30):
            new_point = point + size * direction
            new_value, new_gradient = objective(new_point)
            if new_value <= value + 1e-4 * size * slope:
                break
            size /= 2
        else:
            break  # no step goes down any more: rounding is all that is left
        moved, turned = new_point - point, new_gradient - gradient
        if moved @ turned > 0:
            memory.append((moved, turned, 1 / float(moved @ turned)))
        point, value, gradient = new_point, new_value, new_gradient
    return point


def _inverse_hessian_times(gradient: np.ndarray, memory: deque[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """The two loops of Nocedal (1980)."""
    result = gradient.copy()
    factors = []
    for moved, turned, inverse in reversed(memory):
        factor = inverse * float(moved @ result)
        result -= factor * turned
        factors.append(factor)
    if memory:
        moved, turned, inverse = memory[-1]
        result /= inverse * float(turned @ turned)
    for (moved, turned, inverse), factor in zip(memory, reversed(factors), strict=True):
        result += (factor - inverse * float(turned @ result)) * moved
    return result
