"""Tokens to vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.kernels.dispatch import can_read
from recurra.layers.dropout import locked_mask


class TokenEmbedding(nn.Module):
    """A vector for each token of a vocabulary, with dropout of whole words.

    The rows start as normal numbers of variance 1 / embedding_dim, so that a softmax may share them: its first logits
    stay small.

    Attributes:
        vocab_size: V.
        embedding_dim: E.
        dropout: probability that a word is dropped, everywhere in the batch; the others grow by 1 / (1 - dropout).
        weight: (V, E).

    Reference: Gal and Ghahramani (2016), https://arxiv.org/abs/1512.05287, section 4.2, for the dropout; Press and Wolf
        (2017), https://arxiv.org/abs/1608.05859, for the sharing.
    """

    def __init__(self, vocab_size: int, embedding_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        if vocab_size < 1 or embedding_dim < 1:
            raise ConfigError(f"TokenEmbedding needs sizes of at least 1, got {vocab_size} and {embedding_dim}.")
        if not 0 <= dropout <= 1:
            raise ConfigError(f"TokenEmbedding(dropout={dropout}): a probability is wanted, 0..1.")
        self.vocab_size = vocab_size
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.weight = nn.Parameter(torch.randn(vocab_size, embedding_dim) / embedding_dim**0.5)

    def forward(self, inputs: Sequences) -> Sequences:
        """Look up (B, T) tokens.

        Args:
            inputs: data (B, T) of integers in 0..V-1; padding may hold anything.
        Returns:
            Data (B, T, E), zero on padding, with the same lengths and resets.
        Raises:
            ShapeError: not (B, T) integers, or one outside the vocabulary (looked for on the CPU only).
        """
        tokens = inputs.data
        if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ShapeError(
                f"TokenEmbedding wants (B, T) tokens of int64 or int32, got {tuple(tokens.shape)} of {tokens.dtype}."
            )
        mask = None if inputs.lengths is None else inputs.mask
        if mask is not None:
            tokens = tokens.masked_fill(~mask, 0)
        self._check_range(tokens)
        vectors = F.embedding(tokens, self.weight)
        if self.training and self.dropout > 0:
            vectors = vectors * F.embedding(tokens, locked_mask(self.weight.detach(), 1, self.dropout))
        if mask is not None:
            vectors = vectors * mask[..., None]
        return inputs.with_data(vectors)

    def extra_repr(self) -> str:
        """Sizes, for print(model)."""
        return f"{self.vocab_size}, {self.embedding_dim}, dropout={self.dropout}"

    def _check_range(self, tokens: Tensor) -> None:
        if tokens.numel() == 0 or not can_read(tokens):
            return
        lowest, highest = (int(bound) for bound in torch.aminmax(tokens))
        if lowest < 0 or highest >= self.vocab_size:
            wrong = lowest if lowest < 0 else highest
            raise ShapeError(
                f"TokenEmbedding got the token {wrong}, its vocabulary has 0..{self.vocab_size - 1}. Encode the text "
                "with the vocabulary that the model was built for."
            )
