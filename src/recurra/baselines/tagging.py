"""Cheap taggers: lookups of words and of spans, and a linear classifier of each word by its letters and neighbours.

Sources: span lookup: the baseline of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder, 2003), which takes only
names of one type, the longest at each place; letters and neighbours: Ratnaparkhi (1996), table 1; step sizes: Duchi,
Hazan and Singer (2011), AdaGrad.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch

Words = Sequence[str]
Spans = Sequence[tuple[str, int, int]]

# words times tags that the linear tagger learns from: about ten seconds' work on one core
LINEAR_BUDGET = 6_000_000
_EPOCHS = 5
_BATCH = 128


def most_frequent_tags(sentences: Sequence[Words], tags: Sequence[Words], asked: Sequence[Words]) -> list[list[str]]:
    """Each word's most frequent tag; an unknown one gets its lower-cased form's, else that of rare words."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for words, own in zip(sentences, tags, strict=True):
        for word, tag in zip(words, own, strict=True):
            counts[word][tag] += 1
    rare: Counter[str] = Counter()
    for found in counts.values():
        if found.total() == 1:
            rare += found
    everything = rare or sum(counts.values(), Counter())
    default = _top(everything) if everything else ""
    best = {word: _top(found) for word, found in counts.items()}
    return [[best.get(word) or best.get(word.lower(), default) for word in words] for words in asked]


def span_lookup(
    sentences: Sequence[Words], spans: Sequence[Spans], asked: Sequence[Words]
) -> list[list[tuple[str, int, int]]]:
    """The spans (type, start, end) of words that were one in training, always of the same type; the longest first."""
    types: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for words, own in zip(sentences, spans, strict=True):
        for kind, start, end in own:
            types[tuple(words[start:end])].add(kind)
    sure = {words: next(iter(kinds)) for words, kinds in types.items() if len(kinds) == 1}
    longest = max(map(len, sure), default=0)
    found = []
    for sentence in asked:
        here, start = [], 0
        while start < len(sentence):
            sizes = range(min(longest, len(sentence) - start), 0, -1)
            size = next((size for size in sizes if tuple(sentence[start : start + size]) in sure), 0)
            if size:
                here.append((sure[tuple(sentence[start : start + size])], start, start + size))
            start += max(size, 1)
        found.append(here)
    return found


class LinearTagger:
    """Multinomial logistic regression of each word's tag on its letters and its neighbours.

    Attributes:
        num_sentences: how many were learnt from, within the budget; set by `fit`.
    """

    def __init__(self) -> None:
        self.num_sentences = 0
        self._features: dict[str, int] = {}
        self._tags: list[str] = []
        self._weights = torch.zeros(1, 0)

    def fit(self, sentences: Sequence[Words], tags: Sequence[Words]) -> LinearTagger:
        """Learn from sentences with tags, at random as many as the budget allows."""
        self._tags = sorted({tag for own in tags for tag in own})
        index = {tag: number for number, tag in enumerate(self._tags)}
        order = np.random.default_rng(0).permutation(len(sentences))
        sizes = np.cumsum([len(sentences[i]) for i in order]) * max(1, len(self._tags))
        order = order[: max(1, int((sizes <= LINEAR_BUDGET).sum()))]
        self.num_sentences = len(order)
        features = self._features
        rows = [
            [features.setdefault(name, len(features) + 1) for name in names]
            for i in order
            for names in _describe(sentences[i])
        ]
        targets = torch.tensor([index[tag] for i in order for tag in tags[i]], dtype=torch.int64)
        self._weights = _fit_weights(_as_table(rows), targets, len(features) + 1, len(self._tags))
        return self

    def tag(self, sentences: Sequence[Words]) -> list[list[str]]:
        """The likeliest tag of each word, by itself."""
        found = []
        for words in sentences:
            rows = [[self._features.get(name, 0) for name in names] for names in _describe(words)]
            best = self._weights[_as_table(rows)].sum(1).argmax(1).tolist() if rows else []
            found.append([self._tags[index] for index in best])
        return found


def _describe(words: Words) -> Iterable[list[str]]:
    """The names of each word's features."""
    padded = ["<s>", "<s>", *words, "</s>", "</s>"]
    lowered = [word.lower() for word in padded]
    for place in range(2, len(padded) - 2):
        word, low = padded[place], lowered[place]
        before, after = lowered[place - 1], lowered[place + 1]
        yield [
            "b",
            f"w{word}",
            f"l{low}",
            f"s{_shape(word)}",
            *[f"p{size}{low[:size]}" for size in (1, 2, 3, 4)],
            *[f"e{size}{low[-size:]}" for size in (1, 2, 3, 4)],
            f"-1{before}",
            f"+1{after}",
            f"-2{lowered[place - 2]}",
            f"+2{lowered[place + 2]}",
            f"-e{before[-3:]}",
            f"+e{after[-3:]}",
            f"-s{_shape(padded[place - 1])}",
            f"+s{_shape(padded[place + 1])}",
            f"-b{before} {low}",
            f"+b{low} {after}",
        ]


def _shape(word: str) -> str:
    """Xx0-: upper and lower case, digits, marks; runs once."""
    marks = ["X" if c.isupper() else "x" if c.isalpha() else "0" if c.isdigit() else c for c in word[:20]]
    return "".join(mark for i, mark in enumerate(marks) if i == 0 or marks[i - 1] != mark)


def _as_table(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), -1)


def _fit_weights(features: torch.Tensor, targets: torch.Tensor, num_features: int, num_tags: int) -> torch.Tensor:
    """Weights (num_features, num_tags), the mean over the last epochs' ends; row 0, of unknown features, stays zero."""
    weights = torch.zeros(num_features, num_tags)
    squares = torch.full((num_features, num_tags), 1e-6)
    mean = torch.zeros_like(weights)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(_EPOCHS):
        for rows in torch.randperm(len(targets), generator=generator).split(_BATCH):
            ids = features[rows]
            slope = weights[ids].sum(1).softmax(1)
            slope[torch.arange(len(rows)), targets[rows]] -= 1
            flat = ids.reshape(-1)
            pulls = slope.repeat_interleave(ids.shape[1], 0)
            squares.index_add_(0, flat, pulls.square())
            weights.index_add_(0, flat, pulls / squares[flat].sqrt(), alpha=-0.1)
        if epoch:
            mean += weights / (_EPOCHS - 1)
    mean[0] = 0
    return mean


def _top(found: Counter[str]) -> str:
    """The most frequent entry, the first of equals in the order of their characters."""
    return min(found, key=lambda tag: (-found[tag], tag))
