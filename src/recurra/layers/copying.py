"""Pointer-generator: a word is generated from the vocabulary, or copied from the source by the attention's weights.

    P(w) = g P_vocabulary(w) + (1 - g) sum of the weights of the source tokens that are w,
    g = sigmoid(w . [context; hidden; input] + b)

Words of the source that the vocabulary does not know have indices from V on, different ones in each row.

Source: See et al. (2017), https://arxiv.org/abs/1704.04368, equations 8 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.batch import LossSum
from recurra.core.errors import ConfigError
from recurra.kernels.rows_linear import rows_linear
from recurra.layers.softmax import ChunkedSoftmax, FullSoftmax, SoftmaxHead

# Of a word that can neither be generated nor copied; finite, so that no NaN comes of it.
_LEAST = 1e-30


def require_full(head: SoftmaxHead) -> FullSoftmax | ChunkedSoftmax:
    """Refuse a head that does not score all words."""
    if isinstance(head, FullSoftmax | ChunkedSoftmax):
        return head
    raise ConfigError(f"copying needs softmax full or chunked, not {type(head).__name__}.")


@dataclass(frozen=True, slots=True)
class CopyScores:
    """The mixture of generating and copying, not yet formed; the model returns it in training.

    Attributes:
        hidden: (B, T, row_size), projected for the softmax.
        weight: (V, row_size) of the softmax.
        bias: (V,) of the softmax.
        gate: (B, T), logit of g.
        attention: (B, T, S) weights, 0 on padding.
        copies: (B, S) int64, each source token's index in the extended vocabulary; any valid one on padding.
        num_copies: entries beyond V.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor
    gate: Tensor
    attention: Tensor
    copies: Tensor
    num_copies: int

    def cross_entropy(self, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0) -> LossSum:
        """Summed -log P(target) at the real positions.

        Args:
            targets: (B, T) int64 in the extended vocabulary; values where `mask` is False are never used.
            mask: (B, T) bool, True where the position counts; None means everywhere.
            label_smoothing: share that is spread over the vocabulary, of what the softmax generates alone.
        """
        mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
        targets = targets.masked_fill(~mask, 0)
        copied = (self.attention * (self.copies[:, None] == targets[..., None])).sum(-1)[mask]
        targets, gate, vocab_size = targets[mask], self.gate[mask], self.weight.shape[0]
        generated = rows_linear(self.hidden[mask], self.weight, self.bias).log_softmax(-1)
        known = targets < vocab_size
        at_target = generated.gather(-1, (targets * known)[:, None])[:, 0]
        generates = torch.where(known, F.logsigmoid(gate) + at_target, torch.full_like(gate, _LEAST).log())
        copies = F.logsigmoid(-gate) + copied.clamp(min=_LEAST).log()
        total = -torch.logaddexp(generates, copies).sum()
        if label_smoothing:
            total = (1 - label_smoothing) * total - label_smoothing * generated.mean(-1).sum()
        return LossSum(total, torch.tensor(targets.numel(), device=total.device))

    def log_probs(self) -> Tensor:
        """(B, T, V + num_copies)."""
        gate = torch.sigmoid(self.gate)[..., None]
        generated = gate * rows_linear(self.hidden, self.weight, self.bias).softmax(-1)
        places = self.copies[:, None].expand(self.attention.shape)
        copied = ((1 - gate) * self.attention).to(generated.dtype)
        mixture = F.pad(generated, (0, self.num_copies)).scatter_add(-1, places, copied)
        return mixture.clamp(min=_LEAST).log()
