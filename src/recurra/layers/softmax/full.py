"""The softmax over all classes, with its logits formed at once or in chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recurra.core.batch import LossSum
from recurra.core.config import Config
from recurra.kernels.rows_linear import rows_linear
from recurra.kernels.rows_product import rows_product
from recurra.layers.softmax.base import (
    DeferredLogits,
    SoftmaxHead,
    loss_sum,
    real_positions,
    require_smoothing,
    weight_rows,
)

# Numbers in one chunk of logits: 16 MB of float32 stay in a CPU's last cache; a GPU wants larger products.
_CHUNK_CPU = 4 * 2**20
_CHUNK_GPU = 64 * 2**20


class FullSoftmaxConfig(Config):
    """Softmax over all classes; the right choice up to a few thousand."""

    kind: Literal["full"] = "full"

    def build(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> FullSoftmax:
        """The head."""
        return FullSoftmax(hidden_size, output_size, tied_weight, output_prior)


class ChunkedSoftmaxConfig(Config):
    """Softmax over all classes whose training loss never holds all logits: same numbers, less time and memory."""

    kind: Literal["chunked"] = "chunked"

    def build(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> ChunkedSoftmax:
        """The head."""
        return ChunkedSoftmax(hidden_size, output_size, tied_weight, output_prior)


class FullSoftmax(SoftmaxHead):
    """Logits (B, T, output_size), in training and in evaluation."""

    Config = FullSoftmaxConfig

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__(hidden_size, output_size, tied_weight, output_prior)
        self.weight = weight_rows(output_size, self.row_size) if tied_weight is None else tied_weight

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits of hidden states (B, T, hidden_size)."""
        return rows_linear(self.project(hidden), self.weight, self.bias)


class ChunkedSoftmax(SoftmaxHead):
    """The full softmax for large vocabularies: the training loss and its gradients are computed chunk by chunk."""

    Config = ChunkedSoftmaxConfig

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        tied_weight: nn.Parameter | None = None,
        output_prior: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__(hidden_size, output_size, tied_weight, output_prior)
        self.weight = weight_rows(output_size, self.row_size) if tied_weight is None else tied_weight

    def forward(self, hidden: Tensor) -> Tensor | DeferredLogits:
        """Logits in evaluation, `ChunkedLogits` in training."""
        hidden = self.project(hidden)
        if self.training:
            return ChunkedLogits(hidden, self.weight, self.bias)
        return rows_linear(hidden, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class ChunkedLogits:
    """Logits not yet formed.

    Attributes:
        hidden: (B, T, row_size).
        weight: (output_size, row_size).
        bias: (output_size,).
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor

    def cross_entropy(self, targets: Tensor, mask: Tensor | None = None, label_smoothing: float = 0.0) -> LossSum:
        """Exactly the full softmax's loss; see `DeferredLogits`."""
        require_smoothing(label_smoothing)
        hidden, targets = real_positions(self.hidden, targets, mask)
        if _must_be_plain(hidden):
            logits = F.linear(hidden, self.weight, self.bias).to(torch.promote_types(hidden.dtype, torch.float32))
            total = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=label_smoothing)
        else:
            arguments = hidden, self.weight, self.bias, targets, label_smoothing
            total = _LinearCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
        return loss_sum(total, targets)

    def log_probs(self) -> Tensor:
        """(B, T, output_size), formed after all, for losses that weigh rows."""
        return F.linear(self.hidden, self.weight, self.bias).log_softmax(-1)


def _must_be_plain(hidden: Tensor) -> bool:
    """Where the hand-written gradient is not allowed: half precision, autocast, functorch, compilation."""
    return (
        hidden.dtype not in (torch.float32, torch.float64)
        or torch.is_autocast_enabled(hidden.device.type)
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
    )


class _LinearCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of `hidden @ weight.T + bias`; the gradients are computed in the forward pass.

    A chunk's logits are overwritten by their probabilities and then by their gradient, so that one buffer is enough.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        wants_gradient = any(ctx.needs_input_grad)
        grads = tuple(torch.zeros_like(tensor) for tensor in (hidden, weight, bias)) if wants_gradient else ()
        rows = max(64, (_CHUNK_GPU if hidden.is_cuda else _CHUNK_CPU) // max(weight.shape[0], 1))
        total = hidden.new_zeros(())
        for start in range(0, hidden.shape[0], rows):
            chunk, wanted = hidden[start : start + rows], targets[start : start + rows, None]
            logits = rows_product(chunk, weight.t(), bias)
            at_target = logits.gather(1, wanted)
            at_mean = logits.mean(1, keepdim=True) if label_smoothing else at_target
            highest = logits.amax(1, keepdim=True)
            weights = logits.sub_(highest).exp_()
            normaliser = weights.sum(1, keepdim=True)
            share = (1 - label_smoothing) * at_target + label_smoothing * at_mean
            total += (normaliser.log() + highest - share).sum()
            if not grads:
                continue
            slope = weights.div_(normaliser)
            if label_smoothing:
                slope.sub_(label_smoothing / weight.shape[0])
            slope.scatter_add_(1, wanted, torch.full_like(at_target, label_smoothing - 1))
            grads[0][start : start + rows] = rows_product(slope, weight, None)
            grads[1].add_(rows_product(slope.t(), chunk, None))
            grads[2].add_(slope.sum(0))
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            saved * grad if needed else None
            for saved, needed in zip(ctx.saved_tensors, ctx.needs_input_grad[:3], strict=True)
        ]
        return (*scaled, None, None)
