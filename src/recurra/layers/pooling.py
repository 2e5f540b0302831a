"""One vector a sequence."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from recurra.core.errors import ConfigError, ShapeError, did_you_mean
from recurra.core.sequences import Sequences
from recurra.kernels.rows import clear_padding, last_step

PoolingKind = Literal["last", "mean", "max", "concat", "attention"]


class Pooling(nn.Module):
    """Outputs of every step -> one vector a row; padding is never read, and a row of length 0 gives zeros.

    Kinds: `last`, the last real step (of a bidirectional stack: where each direction ends, so the backward half at step
    0); `mean`, `max` over the real steps; `concat`, last, max and mean side by side (Howard and Ruder, 2018,
    https://arxiv.org/abs/1801.06146, section 3.3); `attention`, a learned weighted mean (Yang et al., 2016,
    Hierarchical attention networks for document classification, section 2.2).

    Attributes:
        output_size: input_size, three times that for `concat`.
    """

    def __init__(self, kind: PoolingKind, input_size: int, bidirectional: bool = False) -> None:
        super().__init__()
        if kind not in get_args(PoolingKind):
            raise ConfigError(f"no pooling `{kind}`.{did_you_mean(kind, get_args(PoolingKind))}")
        if bidirectional and input_size % 2:
            raise ConfigError(f"Pooling(bidirectional=True) needs an even input_size, got {input_size}.")
        self.kind = kind
        self.input_size = input_size
        self.bidirectional = bidirectional
        self.output_size = 3 * input_size if kind == "concat" else input_size
        if kind == "attention":
            self.hidden = nn.Linear(input_size, input_size)
            self.score = nn.Linear(input_size, 1, bias=False)

    def forward(self, inputs: Sequences) -> Tensor:
        """(B, T, input_size) -> (B, output_size)."""
        if inputs.data.dim() != 3 or inputs.data.shape[2] != self.input_size:
            raise ShapeError(
                f"Pooling(input_size={self.input_size}) got data of shape {tuple(inputs.data.shape)}: (B, T, "
                f"{self.input_size}) is wanted."
            )
        if inputs.num_steps == 0:
            return inputs.data.new_zeros(inputs.batch_size, self.output_size)
        data = clear_padding(inputs.data, inputs.lengths)
        mask = None if inputs.lengths is None else inputs.mask[..., None]
        if self.kind == "last":
            return self._last(data, inputs.lengths)
        if self.kind == "mean":
            return _mean(data, inputs.lengths)
        if self.kind == "max":
            return _max(data, mask)
        if self.kind == "attention":
            return self._attend(data, mask)
        return torch.cat([self._last(data, inputs.lengths), _max(data, mask), _mean(data, inputs.lengths)], dim=1)

    def extra_repr(self) -> str:
        """Kind and sizes, for print(model)."""
        return f"{self.kind}, {self.input_size}, bidirectional={self.bidirectional}"

    def _last(self, data: Tensor, lengths: Tensor | None) -> Tensor:
        last = last_step(data, lengths, data.new_zeros(data.shape[0], data.shape[2]))
        if not self.bidirectional:
            return last
        half = self.input_size // 2
        return torch.cat([last[:, :half], data[:, 0, half:]], dim=1)

    def _attend(self, data: Tensor, mask: Tensor | None) -> Tensor:
        scores: Tensor = self.score(torch.tanh(self.hidden(data)))
        if mask is not None:
            # Finite, so that a row of length 0 gives no NaN; its weighted mean of cleared steps is zero.
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return (scores.softmax(dim=1) * data).sum(dim=1)


def _mean(data: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return data.mean(dim=1)
    return data.sum(dim=1) / lengths.clamp(min=1)[:, None].to(data.dtype)


def _max(data: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return data.amax(dim=1)
    highest = data.masked_fill(~mask, -torch.inf).amax(dim=1)
    return torch.where(mask.any(dim=1), highest, 0.0)
