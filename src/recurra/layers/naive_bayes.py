"""Naive Bayes over n-grams of tokens, as a layer: its numbers are counted, not trained.

    log p(text | y)  ~  w * sum over n-grams g of log((N_yg + a) / (N_y + a G))

N_yg is how often g stands in texts of class y, N_y the sum over g, G the number of n-grams in the table: all tokens,
and longer n-grams that were seen twice. The pseudo-count a and the weight w (n-grams of one text repeat each other's
evidence, so it is far below 1) are those under which each training text, left out of the counts in its turn, gets its
own class best. Where a text may have several labels, each has two classes, with it and without it, and its score is the
difference.

Sources: McCallum and Nigam (1998), "A comparison of event models for naive Bayes text classification"; Wang and Manning
(2012), https://aclanthology.org/P12-2018, for bigrams.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.core.batch import Batch
from recurra.core.sequences import Sequences

SLOTS = 2**16
"""Places for n-grams of two and more tokens; of those that want the same place, the most frequent one has it."""
PSEUDO_COUNTS = (0.1, 0.3, 1.0, 3.0)
WEIGHTS = tuple(0.01 * 1.25**step for step in range(21))
_MULTIPLIER, _PRIME = 1_000_003, 2**31 - 1


class _Texts(NamedTuple):
    """What the training texts hold: a place in the table (E,), its text (E,), how often there (E,); classes (N, C)."""

    places: Tensor
    rows: Tensor
    times: Tensor
    classes: Tensor


class NaiveBayes(nn.Module):
    """Adds up what the n-grams of a text say; knows nothing, and says 0, until `count` was called.

    Args:
        vocab_size: V.
        num_labels: O.
        order: n-grams have 1..order tokens.
        several: a text may have several labels.

    Attributes:
        counts: (V + SLOTS, C) occurrences, V rows only for order 1; C is O, or 2 O with several labels.
        keys: (SLOTS,) the n-gram at each place, as a number; -1 where there is none.
        texts: (C,) number of texts.
        pseudo_count: a.
        weight: w.
    """

    counts: Tensor
    keys: Tensor
    texts: Tensor
    pseudo_count: Tensor
    weight: Tensor

    def __init__(self, vocab_size: int, num_labels: int, order: int, several: bool = False) -> None:
        super().__init__()
        self.vocab_size, self.order, self.several = vocab_size, order, several
        num_classes = 2 * num_labels if several else num_labels
        slots = SLOTS if order > 1 else 0
        self.register_buffer("counts", torch.zeros(vocab_size + slots, num_classes))
        self.register_buffer("keys", torch.full((slots,), -1))
        self.register_buffer("texts", torch.zeros(num_classes))
        self.register_buffer("pseudo_count", torch.tensor(1.0))
        self.register_buffer("weight", torch.tensor(0.0))

    def forward(self, inputs: Sequences) -> Tensor:
        """Tokens (B, T) -> scores (B, O): weighted log p(text | class)."""
        total: Tensor = self.texts.new_zeros(inputs.batch_size, len(self.texts))
        whole = self.counts.sum(0) + self.pseudo_count * self._num_grams()
        for places, known in self._places(inputs):
            each = (F.embedding(places, self.counts) + self.pseudo_count).log() - whole.log()
            total = total + (each * known[..., None]).sum(1)
        return self._scores(self.weight * total)

    @torch.no_grad()
    def count(self, batches: Iterable[Batch]) -> None:
        """Add the texts of `batches` to the counts, and choose pseudo-count and weight on them."""
        texts = self._read(list(batches))
        for label in range(texts.classes.shape[1]):
            self.counts[:, label].index_add_(0, texts.places, texts.times * texts.classes[texts.rows, label])
        self.texts += texts.classes.sum(0)
        best = float("inf")
        for pseudo_count in PSEUDO_COUNTS:
            evidence = self._left_out(texts, pseudo_count)
            for weight in WEIGHTS:
                if (loss := self._loss(weight * evidence, texts.classes)) < best:
                    best = loss
                    self.pseudo_count.fill_(pseudo_count)
                    self.weight.fill_(weight)

    def extra_repr(self) -> str:
        """Sizes, for print(model)."""
        return f"{self.vocab_size}, {len(self.texts) // (1 + self.several)}, order={self.order}"

    def _grams(self, inputs: Sequences) -> list[tuple[Tensor, Tensor]]:
        """For each length, the n-gram that ends at a step as a number, (B, T'), and whether it is there."""
        mask = inputs.mask
        tokens = inputs.data.long().masked_fill(~mask, 0)
        found, mixed = [(tokens, mask)], tokens
        for length in range(2, self.order + 1):
            mixed = ((mixed[:, :-1] + length) * _MULTIPLIER + tokens[:, length - 1 :]) % _PRIME
            found.append((mixed, mask[:, length - 1 :]))
        return found

    def _places(self, inputs: Sequences) -> list[tuple[Tensor, Tensor]]:
        """For each length, where in the table the n-gram that ends at a step is, and whether it has a place there."""
        tokens, *longer = self._grams(inputs)
        found = [tokens]
        for gram, mask in longer:
            slots = gram % SLOTS
            found.append((self.vocab_size + slots, mask & (self.keys[slots] == gram)))
        return found

    def _read(self, batches: list[Batch]) -> _Texts:
        grams = [gram[mask] for batch in batches for gram, mask in self._grams(batch.inputs)[1:]]
        if grams:
            self._give_places(torch.cat(grams))
        entries, first = [], 0
        for batch in batches:
            rows = torch.arange(first, first + batch.inputs.batch_size, device=self.texts.device)
            for places, known in self._places(batch.inputs):
                entries.append((rows[:, None] * len(self.counts) + places)[known])
            first += batch.inputs.batch_size
        distinct, times = torch.unique(torch.cat(entries), return_counts=True)
        classes = torch.cat([self._classes(batch.targets) for batch in batches])
        return _Texts(distinct % len(self.counts), distinct // len(self.counts), times.to(classes.dtype), classes)

    def _give_places(self, grams: Tensor) -> None:
        """Give n-grams that occur twice the places that are free; where several want one, the most frequent has it."""
        distinct, times = torch.unique(grams, return_counts=True)
        order = times.argsort(stable=True)
        chosen = distinct[order[times[order] > 1]]
        chosen = chosen[self.keys[chosen % SLOTS] < 0]
        for gram in chosen.tolist():
            self.keys[gram % SLOTS] = gram

    def _classes(self, targets: Tensor) -> Tensor:
        """(B, C) ones and zeros."""
        if self.several:
            return torch.cat([targets, 1 - targets], 1).to(self.counts.dtype)
        return F.one_hot(targets, len(self.texts)).to(self.counts.dtype)

    def _num_grams(self) -> Tensor:
        return (self.counts.sum(1) > 0).sum().clamp(min=1)

    def _left_out(self, texts: _Texts, pseudo_count: float) -> Tensor:
        """(N, C): log p(text | class) with the text itself taken out of the counts."""
        length = texts.classes.new_zeros(len(texts.classes)).index_add_(0, texts.rows, texts.times)
        whole = self.counts.sum(0) - length[:, None] * texts.classes + pseudo_count * self._num_grams()
        own = texts.times[:, None] * texts.classes[texts.rows]
        each = (self.counts[texts.places] - own + pseudo_count).log() - whole.log()[texts.rows]
        return torch.zeros_like(texts.classes).index_add_(0, texts.rows, texts.times[:, None] * each)

    def _scores(self, evidence: Tensor) -> Tensor:
        if not self.several:
            return evidence
        present, absent = evidence.chunk(2, 1)
        return present - absent

    def _loss(self, evidence: Tensor, classes: Tensor) -> float:
        """Mean loss of the classes, each with its share as its prior."""
        scores = self._scores(evidence + (self.texts + 1).log())
        if self.several:
            return float(F.binary_cross_entropy_with_logits(scores, classes.chunk(2, 1)[0]))
        return float(F.cross_entropy(scores, classes.argmax(1)))
