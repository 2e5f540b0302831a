"""Cheap readers: whole passage, first sentence, a sliding window, and a linear model of where answers start and end.

The sliding window is that of Richardson et al. (2013), "MCTest", algorithm 1, with pieces of the passage in place of
given choices (Rajpurkar et al., 2016, section 5.1, https://arxiv.org/abs/1606.05250). The linear model is a softmax
over the passage's words for the start and one for the end, on the words around, the question's words and their overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.core.errors import DataError

LENGTHS = (1, 2, 3, 5, 8, 12, 20, 32)
LINEAR_BUDGET = 400_000
"""Passage words that the linear model learns from: about ten seconds' work on one core."""

_COLUMNS = 1 << 18
_NEIGHBOURS = (-2, -1, 0, 1, 2)
_MAX_QUESTION = 12
Span = tuple[int, int]


class ReadingRow(NamedTuple):
    """A question on a passage in words.

    Attributes:
        question: words, in lower case.
        passage: words, in lower case; at least one.
        sentences: first and last word of each sentence, in order.
        answers: first and last word of each right answer; none: the passage holds no answer.
    """

    question: Sequence[str]
    passage: Sequence[str]
    sentences: Sequence[Span]
    answers: Sequence[Span]


def reading_baselines(
    train: Sequence[ReadingRow], rows: Sequence[ReadingRow], max_length: int = 50
) -> dict[str, list[Span | None]]:
    """First and last word of the answer to each of `rows` by each baseline; None: there is none.

    Args:
        train: rows to choose a length of answers on, and to fit the linear model.
        rows: their answers are not looked at.
        max_length: words of the longest answer of the linear model.
    Raises:
        DataError: no rows to learn from.
    """
    if not train:
        raise DataError("no questions to learn from: give at least one with its answer.")
    chosen = _affordable(train)
    fewer = [train[index] for index in chosen]
    note = "" if len(fewer) == len(train) else f" ({len(fewer)} of {len(train)} questions)"
    piece = choose_piece(fewer)
    linear = LinearReader(max_length).fit(fewer)
    scored = [(row, linear.log_probs(row)) for row in rows]
    return {
        "whole-passage": [(0, len(row.passage) - 1) for row in rows],
        "first-sentence": [row.sentences[0] for row in rows],
        f"sliding-window ({'sentence' if piece is None else f'{piece} words'})": [
            sliding_window(row, piece) for row in rows
        ],
        f"linear{note}": [linear.span(row, *found) for row, found in scored],
        f"linear, whole sentence{note}": [linear.sentence(row, found[0]) for row, found in scored],
    }


def choose_piece(train: Sequence[ReadingRow]) -> int | None:
    """The number of words of a sliding window's answers that overlaps best with the true ones; None: a sentence."""
    rows = [row for row in train if row.answers][:1000]

    def overlap(piece: int | None) -> float:
        return sum(span_f1(sliding_window(row, piece), row.answers) for row in rows)

    choices: tuple[int | None, ...] = (None, *LENGTHS)
    return max(choices, key=overlap)


def sliding_window(row: ReadingRow, piece: int | None) -> Span:
    """The piece of the passage with the most of the question's words in and around it, rare ones counting more.

    Args:
        row: question and passage.
        piece: number of words of the answer; None: a sentence. Around it, as many words are looked at as the question
            has.
    """
    _, codes, counts = np.unique(
        np.array(row.passage, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    information = np.log1p(1 / counts)[codes]  # inverse count, as in the source
    asked = set(row.question)
    weights = np.where([word in asked for word in row.passage], information, 0.0)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    last = len(row.passage) - 1
    if piece is None:
        firsts, lasts = np.array(row.sentences).T
    else:
        firsts = np.arange(max(1, last + 2 - piece))
        lasts = np.minimum(firsts + piece - 1, last)
    reach = len(row.question)
    scores = sums[np.minimum(lasts + reach, last) + 1] - sums[np.maximum(firsts - reach, 0)]
    best = int(np.argmax(np.round(scores, 9)))
    return int(firsts[best]), int(lasts[best])


def span_f1(span: Span, answers: Sequence[Span]) -> float:
    """F1 of the words' places, best of the answers."""
    lengths = [(min(span[1], last) - max(span[0], first) + 1, last - first + 1) for first, last in answers]
    return max(2 * max(same, 0) / (span[1] - span[0] + 1 + length) for same, length in lengths)


class LinearReader:
    """Softmax regression of an answer's first and last word over hashed features, and how usual its length is.

    Args:
        max_length: words of the longest answer.
        epochs: most passes over the rows; the best number is found on the last tenth of them.
        rate: of AdaGrad (Duchi et al., 2011).
    """

    def __init__(self, max_length: int = 50, epochs: int = 12, rate: float = 0.1) -> None:
        self.max_length, self.epochs, self.rate = max_length, epochs, rate
        self._weights: dict[int, np.ndarray] = {}
        self._length = np.zeros(max_length)
        self._none = False

    def fit(self, rows: Sequence[ReadingRow]) -> LinearReader:
        """Learn from the rows; of several answers each has its share."""
        self._none = any(not row.answers for row in rows)
        counts = np.full(self.max_length, 0.5)
        for row in rows:
            for first, last in row.answers:
                counts[min(last - first, self.max_length - 1)] += 1 / len(row.answers)
        self._length = np.log(counts / counts.sum())
        features = [_features(row) for row in rows]
        for side in (0, 1):
            targets = [_target(row, side) for row in rows]
            held = max(1, len(rows) // 10) if len(rows) >= 20 else 0
            kept = len(rows) - held
            epochs = self.epochs
            if held:
                losses: list[float] = []
                self._descend(features[:kept], targets[:kept], self.epochs, features[kept:], targets[kept:], losses)
                epochs = int(np.argmin(losses)) + 1
            self._weights[side] = self._descend(features, targets, epochs)
        return self

    def log_probs(self, row: ReadingRow) -> tuple[np.ndarray, np.ndarray]:
        """(T + 1,) of the start and of the end of the answer, in the last place of there being none."""
        features = _features(row)
        start, end = (_log_softmax(self._weights[side][features].sum(axis=1), self._none) for side in (0, 1))
        return start, end

    def span(self, row: ReadingRow, start: np.ndarray, end: np.ndarray) -> Span | None:
        """The likeliest answer, by `log_probs` and the usual lengths."""
        best, chosen = -np.inf, (0, 0)
        size = len(row.passage)
        for more in range(min(self.max_length, size)):
            scores = start[: size - more] + end[more:size] + self._length[more]
            first = int(scores.argmax())
            if scores[first] > best:
                best, chosen = float(scores[first]), (first, first + more)
        return None if self._none and start[-1] + end[-1] > best else chosen

    def sentence(self, row: ReadingRow, start: np.ndarray) -> Span | None:
        """The sentence in which the answer likeliest starts, by `log_probs`."""
        probs = np.exp(start)
        shares = [float(probs[first : last + 1].sum()) for first, last in row.sentences]
        best = int(np.argmax(shares))
        return None if self._none and probs[-1] > shares[best] else row.sentences[best]

    def _descend(
        self,
        features: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        epochs: int,
        held: Sequence[np.ndarray] = (),
        held_targets: Sequence[np.ndarray] = (),
        losses: list[float] | None = None,
    ) -> np.ndarray:
        """Weights after so many passes in small batches; each pass adds the mean loss on the held rows to `losses`."""
        weights, squares = np.zeros(_COLUMNS), np.full(_COLUMNS, 1e-8)
        rng = np.random.default_rng(0)
        for _ in range(epochs):
            order = rng.permutation(len(features))
            for batch in np.array_split(order, max(1, len(order) // 32)):
                columns = np.concatenate([features[index].ravel() for index in batch])
                pulls = np.concatenate([self._pull(weights, features[index], targets[index]) for index in batch])
                gradient = np.bincount(columns, np.repeat(pulls, _WIDTH), minlength=_COLUMNS) / len(batch)
                squares += gradient**2
                weights -= self.rate * gradient / np.sqrt(squares)
            if losses is not None:
                pairs = zip(held, held_targets, strict=True)
                found = [-(t[t > 0] * _log_softmax(weights[f].sum(axis=1), self._none)[t > 0]).sum() for f, t in pairs]
                losses.append(float(np.mean(found)))
        return weights

    def _pull(self, weights: np.ndarray, features: np.ndarray, target: np.ndarray) -> np.ndarray:
        pull: np.ndarray = np.exp(_log_softmax(weights[features].sum(axis=1), self._none)) - target
        return pull


def _affordable(rows: Sequence[ReadingRow]) -> np.ndarray:
    """Sorted indices of a fixed random choice of rows whose passages stay within the budget; at least one."""
    order = np.random.default_rng(0).permutation(len(rows))
    sizes = np.array([len(row.passage) for row in rows])
    whole = np.cumsum(sizes[order]) <= LINEAR_BUDGET
    return np.sort(order[: max(1, int(whole.sum()))])


def _target(row: ReadingRow, side: int) -> np.ndarray:
    """Probabilities (T + 1,) of the words, the last place standing for no answer."""
    target = np.zeros(len(row.passage) + 1)
    for answer in row.answers:
        target[answer[side]] += 1 / len(row.answers)
    target[-1] = not row.answers
    return target


def _log_softmax(scores: np.ndarray, with_none: bool) -> np.ndarray:
    if not with_none:
        scores[-1] = -np.inf
    raised = scores - scores.max()
    return np.asarray(raised - np.log(np.exp(raised).sum()))


_WIDTH = len(_NEIGHBOURS) + 4 + 3 * _MAX_QUESTION


def _features(row: ReadingRow) -> np.ndarray:
    """Hashed columns (T + 1, _WIDTH) of each word, and of "no answer" in the last place."""
    size = len(row.passage)
    asked = list(dict.fromkeys(row.question))[:_MAX_QUESTION]
    words = np.array([_code(word) for word in row.passage], dtype=np.int64)
    questions = np.array([_code(word) for word in asked] + [0] * (_MAX_QUESTION - len(asked)), dtype=np.int64)
    padded = np.concatenate([[1, 1], words, [2, 2]])
    match = np.array([word in set(asked) for word in row.passage], dtype=np.int64)
    near = (
        np.convolve(match, np.ones(11, dtype=np.int64), mode="same")[:size]
        if size >= 11
        else np.full(size, match.sum())
    )
    of_sentence, rank = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for first, last in row.sentences:
        of_sentence[first : last + 1] = match[first : last + 1].sum()
        rank[first : last + 1] = np.minimum(np.arange(last + 1 - first), 7)
    shifted = [padded[2 + offset : 2 + offset + size] for offset in _NEIGHBOURS]
    columns = [_mix(place, part) for place, part in enumerate(shifted)]
    columns += [_mix(10, near), _mix(11, of_sentence), _mix(12, rank), _mix(13, np.arange(size) * 8 // size)]
    for offset in (-1, 0, 1):
        part = padded[2 + offset : 2 + offset + size]
        columns += [_mix(20 + offset, part * 1_000_003 + code) for code in questions]
    none = np.zeros(_WIDTH, dtype=np.int64)
    none[:_MAX_QUESTION] = _mix(30, questions)
    none[_MAX_QUESTION] = _mix(31, np.array([of_sentence.max()]))[0]
    none[_MAX_QUESTION + 1 :] = _mix(32, np.arange(_WIDTH - _MAX_QUESTION - 1))
    return np.concatenate([np.stack(columns, axis=1), none[None]])


def _code(word: str) -> int:
    """A number for a word that is the same in every process (`hash` of a string is not)."""
    return int.from_bytes(word.encode("utf-8", "surrogatepass")[:24], "little") % 2_147_483_629


def _mix(salt: int, values: np.ndarray) -> np.ndarray:
    """Columns of a kind of feature, spread by multiplication (Knuth, volume 3, section 6.4)."""
    mixed = (values.astype(np.uint64) + np.uint64(salt * 7_919 + 1)) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(46)).astype(np.int64)
