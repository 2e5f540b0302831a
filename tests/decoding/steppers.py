"""Small models for tests of decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.core.state import State

V, H, EOS = 5, 6, 1


class SourceStepper:
    """A recurrence that attends to a source kept inside; float64, so that sums agree.

    Args:
        memory: (R, S, H), 0 on padding.
        mask: (R, S) bool.
        sharpness: of the scores.
    """

    def __init__(self, memory: Tensor, mask: Tensor, sharpness: float = 2.0) -> None:
        draw = torch.Generator().manual_seed(3)
        self.memory, self.mask, self._sharpness, self.num_rows = memory, mask, sharpness, 0
        self._embedding = torch.randn(V, H, generator=draw, dtype=torch.float64)
        self._recurrent = torch.randn(H, H, generator=draw, dtype=torch.float64)
        self._output = torch.randn(2 * H, V, generator=draw, dtype=torch.float64)

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        assert isinstance(state, tuple) and isinstance(state[0], Tensor)
        self.num_rows += len(tokens)
        hidden = torch.tanh(self._embedding[tokens] + state[0] @ self._recurrent)
        scores = (self.memory @ hidden[:, :, None])[..., 0].masked_fill(~self.mask, -torch.inf)
        weights = scores.softmax(-1)
        context = (weights[:, None] @ self.memory)[:, 0]
        return self._sharpness * torch.cat([hidden, context], 1) @ self._output, (hidden, weights)

    def attention(self, state: State) -> Tensor:
        assert isinstance(state, tuple) and isinstance(state[1], Tensor)
        return state[1]

    def select(self, rows: Tensor) -> SourceStepper:
        return SourceStepper(self.memory[rows], self.mask[rows], self._sharpness)


def sources(lengths: tuple[int, ...] = (3, 5, 2, 4), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Memory (B, S, H) and mask (B, S) of random sources."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    memory = torch.randn(len(lengths), max(lengths), H, generator=draw, dtype=torch.float64)
    return memory * mask[..., None], mask


def begin(memory: Tensor, mask: Tensor, copies: int = 1) -> tuple[SourceStepper, State]:
    """Stepper and state with `copies` rows a source."""
    memory, mask = memory.repeat_interleave(copies, 0), mask.repeat_interleave(copies, 0)
    return SourceStepper(memory, mask), (
        memory.sum(1) / mask.sum(1, keepdim=True),
        torch.zeros(memory.shape[:2], dtype=torch.float64),
    )


def rescored(memory: Tensor, mask: Tensor, row: int, tokens: list[int]) -> float:
    """Log-probability of a row's tokens (the end included where it is given)."""
    stepper, state = begin(memory[row : row + 1], mask[row : row + 1])
    total, fed = 0.0, EOS
    for token in tokens:
        logits, state = stepper.step(torch.tensor([fed]), state)
        total += float(logits.log_softmax(-1)[0, token])
        fed = token
    return total
