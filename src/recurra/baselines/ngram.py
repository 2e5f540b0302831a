"""Interpolated n-gram language models of one token stream: modified Kneser-Ney and Witten-Bell.

Reference: Chen and Goodman (1999), "An empirical study of smoothing techniques for language modeling", sections
2.6 and 3.3, https://doi.org/10.1006/csla.1999.0128; Witten and Bell (1991), method C,
https://doi.org/10.1109/18.87000.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recurra.baselines.counts import find
from recurra.core.errors import ConfigError, DataError, ShapeError, did_you_mean

Smoothing = Literal["kneser-ney", "witten-bell"]
SMOOTHINGS = ("kneser-ney", "witten-bell")


# what `strongest_ngram` tries at each level: (order, smoothing)
CANDIDATES: dict[str, tuple[tuple[int, Smoothing], ...]] = {
    "character": ((5, "kneser-ney"), (6, "kneser-ney"), (7, "kneser-ney"), (5, "witten-bell")),
    "word": ((3, "kneser-ney"), (5, "kneser-ney"), (3, "witten-bell")),
}


class _Level(NamedTuple):
    """All k-grams of one length k: p(w | context) = direct[context, w] + backoff[context] * p(w | shorter context)."""

    keys: np.ndarray  # sorted: index of the context among the (k-1)-grams * vocab_size + w
    direct: np.ndarray
    backoff: np.ndarray  # one a (k-1)-gram; 1 where nothing was seen to follow it


class _Grams(NamedTuple):
    keys: np.ndarray
    counts: np.ndarray


class NGramModel:
    """An n-gram model of a token stream; probabilities sum to 1 over the vocabulary after any context.

    Modified Kneser-Ney is the stronger one, for words and (in long n-grams) for characters; Witten-Bell needs no
    counts of counts, so it also holds up on streams too small or too regular to have any.
    """

    def __init__(self, order: int, vocab_size: int, smoothing: Smoothing = "kneser-ney") -> None:
        if order < 1:
            raise ConfigError(f"order={order}: an n-gram has at least 1 token. Set order=1 or more.")
        if smoothing not in SMOOTHINGS:
            raise ConfigError(f"no smoothing `{smoothing}`.{did_you_mean(smoothing, SMOOTHINGS)}")
        self.order = order
        self.vocab_size = vocab_size
        self.smoothing = smoothing
        self._levels: list[_Level] = []

    def fit(self, tokens: ArrayLike) -> NGramModel:
        """Count the n-grams of one stream.

        Args:
            tokens: (N,) token ids, each within 0..vocab_size-1.
        Raises:
            DataError: no tokens.
            ShapeError: not one axis, or an id out of range.
        """
        stream = self._checked(tokens)
        if not len(stream):
            raise DataError("no tokens to learn from: give at least one.")
        smooth = _kneser_ney if self.smoothing == "kneser-ney" else _witten_bell
        self._levels = []
        num_contexts = 1
        for grams in self._count(stream):
            self._levels.append(smooth(grams, grams.keys // self.vocab_size, num_contexts))
            num_contexts = len(grams.keys)
        return self

    def log_probs(self, tokens: ArrayLike, context: ArrayLike = (), max_order: int | None = None) -> np.ndarray:
        """Natural log probability (N,) of each token of a stream, given up to order-1 tokens before it.

        Args:
            tokens: (N,) token ids.
            context: tokens that stand before the first one, for example the last of the training stream.
            max_order: use n-grams of at most this length. A Witten-Bell model so cut is the smaller model itself;
                a Kneser-Ney one is not, as its shorter n-grams are counted to support longer ones.
        """
        stream = self._checked(tokens)
        before = self._checked(context)
        before = before[max(0, len(before) - self.order + 1) :]
        whole = np.concatenate([before, stream])
        probs, ids = np.full(len(whole), 1 / self.vocab_size), np.zeros(len(whole), np.int64)
        for length, level in enumerate(self._fitted()[:max_order], start=1):
            # ids: the (k-1)-gram that ends just before each token, -1 if there is none
            probs, ending = self._step(level, ids, whole, probs)
            if length < self.order:
                ids = np.concatenate([[-1], ending])[:-1]
        return np.asarray(np.log(probs[len(before) :]))

    def distribution(self, context: ArrayLike = ()) -> np.ndarray:
        """Probabilities (V,) of the next token after the context, of which the last order-1 tokens count."""
        before = self._checked(context)
        every = np.arange(self.vocab_size)
        probs = np.full(self.vocab_size, 1 / self.vocab_size)
        for length, level in enumerate(self._fitted()):
            if length > len(before):
                break
            index = self._context_index(before[len(before) - length :])
            probs, _ = self._step(level, np.full(self.vocab_size, index), every, probs)
        return probs

    def _context_index(self, context: np.ndarray) -> int:
        index = 0
        for token, level in zip(context, self._levels, strict=False):
            index = int(find(level.keys, np.array([index * self.vocab_size + token]))[0]) if index >= 0 else -1
        return index

    def _step(
        self, level: _Level, contexts: np.ndarray, tokens: np.ndarray, lower: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities one order up from `lower`, and the index of each k-gram (-1: not seen)."""
        known = contexts >= 0
        ids = find(level.keys, np.where(known, contexts * self.vocab_size + tokens, -1))
        probs = np.where(known, level.backoff[contexts], 1.0) * lower
        return probs + np.where(ids >= 0, level.direct[ids], 0.0), ids

    def _count(self, stream: np.ndarray) -> list[_Grams]:
        """Each length's k-grams with the counts that its smoothing wants."""
        found: list[_Grams] = []
        ids = np.zeros(len(stream) + 1, np.int64)
        for length in range(1, min(self.order, len(stream)) + 1):
            shorter = ids
            keys, first, ids, counts = np.unique(
                shorter[:-1] * self.vocab_size + stream[length - 1 :],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            if found and self.smoothing == "kneser-ney":
                found[-1] = _Grams(found[-1].keys, _continuations(shorter, first, len(found[-1].keys)))
            found.append(_Grams(keys, counts))
        return found

    def _fitted(self) -> list[_Level]:
        assert self._levels, "fit the model before asking it for probabilities"
        return self._levels

    def _checked(self, tokens: ArrayLike) -> np.ndarray:
        stream = np.asarray(tokens)
        if stream.ndim != 1:
            raise ShapeError(f"tokens of shape {stream.shape}: wanted one stream of token ids, shape (N,).")
        if len(stream) and (stream.min() < 0 or stream.max() >= self.vocab_size):
            span = f"{stream.min()} to {stream.max()}"
            raise ShapeError(f"token ids run from {span}: wanted 0 to {self.vocab_size - 1} (vocab_size).")
        return stream.astype(np.int64)


def strongest_ngram(
    train_tokens: ArrayLike,
    test_tokens: ArrayLike,
    vocab_size: int,
    level: Literal["character", "word"],
    max_train_tokens: int = 10_000_000,
) -> dict[str, float]:
    """Nats per token of the unigram and of the best n-gram model on a test stream, by name.

    The best is the best on the test stream itself: if anything, this flatters the baseline.

    Args:
        train_tokens: (N,) token ids of the training stream; its end is the first test token's context.
        test_tokens: (M,) token ids of the stream to score.
        vocab_size: number of token ids.
        level: what a token is; characters take longer n-grams. Subwords count as words.
        max_train_tokens: learn from at most this many tokens, the last ones; the name then says so.
    Raises:
        ConfigError: no such level.
        DataError: either stream is empty.
    """
    if level not in CANDIDATES:
        raise ConfigError(f"no level `{level}` of n-grams.{did_you_mean(level, CANDIDATES)}")
    train, test = np.asarray(train_tokens), np.asarray(test_tokens)
    if not len(test):
        raise DataError("no test tokens to score: give at least one.")
    note = f", last {max_train_tokens} training tokens" if len(train) > max_train_tokens else ""
    train = train[-max_train_tokens:]
    unigram = NGramModel(1, vocab_size, "witten-bell").fit(train).log_probs(test)
    scores = {f"unigram{note}": -float(unigram.mean())}
    tried = {}
    for order, smoothing in CANDIDATES[level]:
        log_probs = NGramModel(order, vocab_size, smoothing).fit(train).log_probs(test, context=train[-order:])
        tried[f"{order}-gram, {smoothing}{note}"] = -float(log_probs.mean())
    best = min(tried, key=lambda name: tried[name])
    return scores | {best: tried[best]}


def _continuations(ids: np.ndarray, first: np.ndarray, num_grams: int) -> np.ndarray:
    """How many different tokens stand before each k-gram; the start of the stream counts as one.

    Args:
        ids: index of the k-gram at each of its places in the stream.
        first: where each distinct (k+1)-gram stands first; its last k tokens are the k-gram at the next place.
        num_grams: how many distinct k-grams there are.
    """
    counts = np.bincount(ids[1:][first], minlength=num_grams)
    counts[ids[0]] += 1
    return counts


def _kneser_ney(grams: _Grams, contexts: np.ndarray, num_contexts: int) -> _Level:
    """Chen and Goodman (1999), equations (26) to (28): three discounts, for counts of 1, 2, and 3 or more."""
    discounts = _discounts(grams.counts)[np.minimum(grams.counts, 3)]
    totals = np.bincount(contexts, grams.counts, minlength=num_contexts)
    freed = np.bincount(contexts, discounts, minlength=num_contexts)
    backoff = np.where(totals > 0, freed / np.maximum(totals, 1), 1.0)
    return _Level(grams.keys, (grams.counts - discounts) / totals[contexts], backoff)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """Discounts (4,) of counts 0, 1, 2 and 3+, within 0 and the count; (0, 0.5, 1, 1.5) where too few are known."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if n[1:5].min() == 0:
        return np.array([0.0, 0.5, 1.0, 1.5])
    scale = n[1] / (n[1] + 2 * n[2])
    wanted = [0.0] + [k - (k + 1) * scale * n[k + 1] / n[k] for k in (1, 2, 3)]
    return np.clip(wanted, 0.0, [0.0, 1.0, 2.0, 3.0])


def _witten_bell(grams: _Grams, contexts: np.ndarray, num_contexts: int) -> _Level:
    """The weight of the shorter context is the number of different tokens seen after the longer one."""
    totals = np.bincount(contexts, grams.counts, minlength=num_contexts)
    kinds = np.bincount(contexts, minlength=num_contexts)
    whole = totals + kinds
    backoff = np.where(whole > 0, kinds / np.maximum(whole, 1), 1.0)
    return _Level(grams.keys, grams.counts / whole[contexts], backoff)
