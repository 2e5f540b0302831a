"""Dropout for sequences: masks that stay the same over time."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.core.errors import ConfigError


def locked_mask(like: Tensor, size: int, probability: float) -> Tensor:
    """A mask (B, size) of zeros and 1 / (1 - p), drawn from torch's default generator.

    Args:
        like: any tensor with B as axis 0; gives dtype and device.
        size: number of features.
        probability: of a zero, 0..1; 1 gives zeros only.
    """
    mask = like.new_empty(like.shape[0], size)
    if probability >= 1:
        return mask.zero_()
    return mask.bernoulli_(1 - probability).div_(1 - probability)


def locked_dropout(xs: Tensor, probability: float, training: bool) -> Tensor:
    """Drop features of (B, T, F): the same ones at every step of a row, others in each row.

    Reference: Gal and Ghahramani (2016), https://arxiv.org/abs/1512.05287.
    """
    if not training or probability == 0:
        return xs
    return xs * locked_mask(xs, xs.shape[-1], probability)[:, None]


def drop_rows(weight: Tensor, probability: float, training: bool) -> Tensor:
    """Drop whole rows of an embedding matrix (V, D), that is whole words wherever they occur in the batch.

    Reference: Gal and Ghahramani (2016), section 4; Merity et al. (2018), https://arxiv.org/abs/1708.02182.
    """
    if not training or probability == 0:
        return weight
    return weight * locked_mask(weight, 1, probability)


class LockedDropout(nn.Module):
    """`locked_dropout` as a module; off in eval mode.

    Args:
        probability: of a dropped feature, 0..1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = _checked(probability, "LockedDropout")

    def forward(self, xs: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, F)."""
        return locked_dropout(xs, self.probability, self.training)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.probability}"


class EmbeddingDropout(nn.Module):
    """`drop_rows` as a module; off in eval mode.

    Args:
        probability: of a dropped row, 0..1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = _checked(probability, "EmbeddingDropout")

    def forward(self, weight: Tensor) -> Tensor:
        """(V, D) -> (V, D)."""
        return drop_rows(weight, self.probability, self.training)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.probability}"


def _checked(probability: float, owner: str) -> float:
    if not 0 <= probability <= 1:
        raise ConfigError(f"{owner}(probability={probability}): a probability is wanted, 0..1.")
    return float(probability)
