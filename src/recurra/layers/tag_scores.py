"""What a tagger gives: a score for each tag of each word and, with a CRF, for each pair of neighbouring tags."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.sequences import Sequences
from recurra.layers.crf import ChainWeights, log_likelihood, posterior, viterbi


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

    def chances(self, tags: Tensor) -> tuple[Tensor, Tensor]:
        """How sure the model is of tags, without gradients.

        Args:
            tags: (B, T) int64, 0..K-1, on padding too.
        Returns:
            p(tag at step t) of every tag (B, T, K), zero on padding; and the chance (B, T) of each step's tag given
            the tag before it, whose product over a stretch, begun with the first tag's own chance, is the
            probability that the whole stretch is tagged so. Their padding means nothing.
        """
        if self.chain is not None:
            found = posterior(self.emissions, self.chain)
            return found.marginals, found.links(tags, tags)
        with torch.no_grad():
            marginals = self.emissions.data.double().softmax(2).masked_fill(~self.emissions.mask[..., None], 0)
            return marginals, marginals.gather(2, tags[..., None])[..., 0]
