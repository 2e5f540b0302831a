"""One hypothesis a row, token by token: the likeliest token (greedy), or a drawn one (sampling)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.core import state as states
from recurra.core.state import State
from recurra.decoding.sampling import SamplingConfig, adjust_logits
from recurra.decoding.search import Hypothesis, Rules, SearchConfig, coverage_loss, length_factor
from recurra.decoding.stepper import Selecting, Stepper, attention_of


@dataclass(frozen=True, slots=True)
class Sampled:
    """Drawn sequences.

    Attributes:
        tokens: (R, T) int64, the end included where it came; eos past each row's length.
        lengths: (R,) int64, the end included.
        log_probs: (R, T) the model's own log-probability of each token, 0 past the length.
    """

    tokens: Tensor
    lengths: Tensor
    log_probs: Tensor


def greedy_search(
    stepper: Stepper,
    state: State | None,
    config: SearchConfig,
    *,
    start: int,
    eos: int,
    limits: Tensor,
    never: Sequence[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    source_mask: Tensor | None = None,
) -> list[Hypothesis]:
    """Take the likeliest token at each step.

    Args:
        stepper: the model in evaluation mode, over R rows.
        state: where the rows stand; None: at the start.
        config: the penalties enter the score alone.
        start: fed first.
        eos: ends a row.
        limits: (R,) int64, most tokens of each row, the end included; at least 1.
        never: tokens that are never taken.
        prefixes: tokens that a row must start with, a sequence a row.
        source_mask: (R, S) bool, False on padding of the source, for the coverage penalty.
    """
    rules = Rules(config, eos, never, prefixes, limits.device)
    walk = _Walk(stepper, state, start, eos, limits)
    walk.run(lambda log_probs, history, rows: rules(log_probs, history, rows).argmax(-1))
    return walk.hypotheses(config, source_mask)


def sample_batch(
    stepper: Stepper,
    state: State | None,
    config: SamplingConfig,
    *,
    start: int,
    eos: int,
    limits: Tensor,
    never: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Sampled:
    """Draw a sequence for each row.

    Args:
        stepper: the model, over R rows.
        state: where the rows stand; None: at the start.
        config: how to draw; `max_length` and `seed` are not used here.
        start: fed first.
        eos: ends a row.
        limits: (R,) int64, most tokens of each row, the end included; at least 1.
        never: tokens that are never drawn.
        generator: where the randomness comes from; None: torch's own.
    """
    rules = Rules(SearchConfig(), eos, never, None, limits.device)

    def draw(log_probs: Tensor, history: Tensor, rows: Tensor) -> Tensor:
        seen = torch.zeros_like(log_probs, dtype=torch.bool).scatter(1, history, True)
        scores = adjust_logits(rules(log_probs, history, rows), seen, config)
        if config.temperature == 0:
            return scores.argmax(-1)
        return torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]

    walk = _Walk(stepper, state, start, eos, limits)
    walk.run(draw)
    longest = int(walk.lengths.max()) if len(walk.lengths) else 0
    return Sampled(walk.tokens[:, :longest], walk.lengths, walk.log_probs[:, :longest])


class _Walk:
    """Rows that go on until each has ended; those that have are dropped once they are half."""

    def __init__(self, stepper: Stepper, state: State | None, start: int, eos: int, limits: Tensor) -> None:
        longest = int(limits.max()) if len(limits) else 0
        self._stepper, self._state, self._start, self._eos, self._limits = stepper, state, start, eos, limits
        self.tokens = torch.full((len(limits), longest), eos, dtype=torch.int64, device=limits.device)
        self.log_probs = torch.zeros(len(limits), longest, device=limits.device)
        self.lengths = torch.zeros_like(limits)
        self._attention: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def run(self, choose: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        """`choose` takes log-probabilities (R, V), tokens before (R, t) and row numbers (R,), and gives tokens (R,)."""
        rows = torch.arange(len(self._limits), device=self._limits.device)
        going = torch.ones_like(rows, dtype=torch.bool)
        fed = torch.full_like(rows, self._start)
        stepper, state = self._stepper, self._state
        for step in range(self.tokens.shape[1]):
            logits, state = stepper.step(fed, state)
            log_probs = logits.float().log_softmax(-1)
            fed = choose(log_probs, self.tokens[rows, :step], rows)
            taken = log_probs.gather(1, fed[:, None])[:, 0]
            self._record(step, rows[going], fed[going], taken[going])
            weights = attention_of(stepper, state)
            if weights is not None:
                self._attention.append((rows, weights))
            going = going & (fed != self._eos) & (step + 1 < self._limits[rows])
            left = int(going.sum())
            if left == 0:
                return
            if 2 * left <= len(rows) and isinstance(stepper, Selecting):
                kept = going.nonzero()[:, 0]
                stepper, state = stepper.select(kept), states.select(state, kept)
                rows, fed, going = rows[kept], fed[kept], going[kept]

    def _record(self, step: int, rows: Tensor, tokens: Tensor, log_probs: Tensor) -> None:
        self.tokens[rows, step] = tokens
        self.log_probs[rows, step] = log_probs
        self.lengths[rows] = step + 1

    def hypotheses(self, config: SearchConfig, source_mask: Tensor | None) -> list[Hypothesis]:
        """What each row came to."""
        if not len(self.lengths):
            return []
        log_probs = self.log_probs.sum(1)
        scores = log_probs / length_factor(self.lengths, config.length_penalty)
        attention = self._attention_of_rows()
        if config.coverage_penalty and attention is not None:
            scores = scores - config.coverage_penalty * coverage_loss(attention.sum(1), source_mask)
        found = []
        rows = zip(self.tokens.tolist(), self.lengths.tolist(), scores.tolist(), log_probs.tolist(), strict=True)
        for row, (tokens, length, score, log_prob) in enumerate(rows):
            ended = tokens[length - 1] == self._eos
            kept = tokens[: length - 1 if ended else length]
            weights = None if attention is None else attention[row, : len(kept)]
            found.append(Hypothesis(kept, score, log_prob, weights, ended))
        return found

    def _attention_of_rows(self) -> Tensor | None:
        """(R, T, S), 0 past each row's length."""
        if not self._attention:
            return None
        width = self._attention[0][1].shape[1]
        found = self.log_probs.new_zeros(*self.log_probs.shape, width)
        for step, (rows, weights) in enumerate(self._attention):
            found[rows, step] = weights.float()
        past = torch.arange(found.shape[1], device=found.device)[None, :] >= self.lengths[:, None]
        return found.masked_fill(past[..., None], 0.0)
