"""What a tagger gives: a score for each tag of each word and, with a CRF, for each pair of neighbouring tags."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.sequences import Sequences
from recurra.layers.crf import ChainWeights, Posterior, log_likelihood, posterior, viterbi


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
