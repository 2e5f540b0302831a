"""What a tagger gives: a score for each tag of each word and, with a CRF, for each pair of neighbouring tags."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.sequences import Sequences
from recurra.layers.crf import ChainWeights, Posterior, log_likelihood, log_partition, posterior, viterbi


@dataclass(frozen=True, slots=True)
class TagScores:
    """Scores of tags, and what follows from them.

    Attributes:
        emissions: data (B, T, K).
        chain: of a CRF head; None where each word is tagged by itself (softmax).
    """

    emissions: Sequences
    chain: ChainWeights | None = None

    def log_likelihood(self, tags: Tensor) -> Tensor:
        """log p(tags) of each row (B,), 0 for a row of length 0; tags (B, T), anything on padding."""
        if self.chain is not None:
            return log_likelihood(self.emissions, tags, self.chain)
        mask = self.emissions.mask
        logits = self.emissions.data.float() if self.emissions.data.dtype.itemsize < 4 else self.emissions.data
        real = F.cross_entropy(logits[mask], tags[mask], reduction="none")
        return -logits.new_zeros(mask.shape).masked_scatter(mask, real).sum(1)

    def best(self) -> Tensor:
        """The likeliest tags, of the whole row together where there is a chain: (B, T) int64, 0 on padding."""
        if self.chain is not None:
            return viterbi(self.emissions, self.chain)[0]
        with torch.no_grad():
            return self.emissions.data.argmax(2).masked_fill(~self.emissions.mask, 0)

    def posterior(self) -> Posterior:
        """How likely each tag of each step is, and each pair of neighbouring ones; without gradients."""
        if self.chain is not None:
            return posterior(self.emissions, self.chain)
        with torch.no_grad():
            chances = self.emissions.data.double().softmax(2).masked_fill(~self.emissions.mask[..., None], 0)
            # tags that do not depend on each other: a link to a tag is the tag's own chance
            num_tags = chances.shape[2]
            return Posterior(chances, torch.ones_like(chances), chances, chances.new_ones(num_tags, num_tags))

    def tempered(self, temperature: float) -> TagScores:
        """The same with all scores divided: above 1 a flatter distribution."""
        chain = None if self.chain is None else ChainWeights(*(part / temperature for part in self.chain))
        return TagScores(self.emissions.with_data(self.emissions.data / temperature), chain)

    def expected_log_likelihood(self, believed: Posterior) -> Tensor:
        """The sum over rows of log p(tags), tags drawn from what another tagger believes; exact, without drawing.

        A row's score is linear in which tags and which pairs of tags stand in it, so that their chances are enough.
        What is forbidden here counts nothing, whatever the other believes of it.
        """
        mask, data = self.emissions.mask, self.emissions.data
        chances = believed.marginals.to(data)
        if self.chain is None:
            likely = data.masked_fill(~mask[..., None], 0).log_softmax(-1)
            return (chances * likely).sum()
        ends = torch.nn.functional.pad(mask[:, 1:], (0, 1)) ^ mask
        scored = (chances * data.masked_fill(~mask[..., None], 0)).sum()
        parts = (believed.pairs(mask), chances[:, :1].sum((0, 1)), (chances * ends[..., None]).sum((0, 1)))
        for count, weight in zip(parts, self.chain, strict=True):
            scored = scored + (count.to(data) * torch.where(weight.isfinite(), weight, 0.0)).sum()
        return scored - log_partition(self.emissions, self.chain).to(data).sum()
