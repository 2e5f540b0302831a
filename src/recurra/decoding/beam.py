"""Beam search over a batch of sources.

Each source starts with `beam_size` places. At each step the likeliest continuations of its hypotheses take the places
that are left; one that ends keeps its place for good. So a beam of 1 is greedy search, a beam as wide as the space of
all sequences is an exhaustive one, and a search ends by itself (Bahdanau et al. 2015 searched in this way).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.core import state as states
from recurra.core.errors import ConfigError
from recurra.core.state import State
from recurra.decoding.search import Hypothesis, Rules, SearchConfig, coverage_loss, length_factor
from recurra.decoding.stepper import Selecting, Stepper, attention_of


@torch.no_grad()
def beam_search(
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
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source, best first.

    Args:
        stepper: the model in evaluation mode, over R = B * beam_size rows; row r is of source r // beam_size.
        state: where the rows stand; None: at the start.
        config: width, penalties, lengths.
        start: fed first.
        eos: ends a hypothesis.
        limits: (B,) int64, most tokens for each source, the end included; at least 1.
        never: tokens that are never taken.
        prefixes: tokens that a source's hypotheses must start with, a sequence a source.
        source_mask: (B, S) bool, False on padding of the source, for the coverage penalty.
    Returns:
        For each source up to `num_best` hypotheses: fewer where there are no more sequences.
    Raises:
        ConfigError: a coverage penalty for a model without attention.
    """
    return _Beam(stepper, state, config, start, eos, limits, source_mask).run(
        Rules(config, eos, never, prefixes, limits.device)
    )


class _Finished(NamedTuple):
    score: float
    log_prob: float
    tokens: list[int]
    origins: list[int]


class _Beam:
    """The hypotheses of all sources at work; axis 0 of everything is rows, `beam_size` for each source left."""

    def __init__(
        self,
        stepper: Stepper,
        state: State | None,
        config: SearchConfig,
        start: int,
        eos: int,
        limits: Tensor,
        source_mask: Tensor | None,
    ) -> None:
        width, count, device = config.beam_size, len(limits), limits.device
        self._config, self._eos, self._stepper, self._state = config, eos, stepper, state
        self._finished: list[list[_Finished]] = [[] for _ in range(count)]
        self._attention: list[Tensor] = []
        self._mask = None if source_mask is None else source_mask.repeat_interleave(width, 0)
        self._covered: Tensor | None = None
        self._limits = limits
        self._sources = torch.arange(count, device=device)
        self._places = torch.full((count,), width, device=device)
        self._worst = torch.full((count,), -torch.inf, device=device)
        self._total = torch.full((count, width), -torch.inf, device=device)
        self._total[:, 0] = 0.0  # all rows of a source are alike at first
        self._fed = torch.full((count * width,), start, device=device)
        self._history = torch.empty(count * width, 0, dtype=torch.int64, device=device)
        self._origins = self._history
        self._rank = torch.arange(width, device=device)[None, :]

    def run(self, rules: Rules) -> list[list[Hypothesis]]:
        """Search until every source is done."""
        for step in range(int(self._limits.max()) if len(self._limits) else 0):
            self._extend(rules)
            self._finish(step + 1)
            done = self._done(step + 1)
            left = int((~done).sum())
            if left == 0:
                break
            self._places = self._places.masked_fill(done, 0)
            if 2 * left <= len(done) and isinstance(self._stepper, Selecting):
                self._drop(~done)
        return [self._best(found) for found in self._finished]

    def _extend(self, rules: Rules) -> None:
        """One step: the best continuations of each source take the places of its hypotheses."""
        width = self._config.beam_size
        logits, state = self._stepper.step(self._fed, self._state)
        log_probs = logits.float().log_softmax(-1)
        log_probs = rules(log_probs, self._history, self._sources.repeat_interleave(width))
        best, choice = log_probs.topk(min(width, log_probs.shape[-1]), -1)
        each = best.shape[1]
        candidates = (self._total.view(-1, 1) + best).view(-1, width * each)
        self._total, flat = candidates.topk(width, -1)
        self._fed = choice.view(-1, width * each).gather(1, flat).view(-1)
        offsets = torch.arange(0, len(self._fed), width, device=flat.device)[:, None]
        rows = (flat // each + offsets).view(-1)
        self._record_attention(state, rows)
        self._state = states.select(state, rows)
        self._history = torch.cat([self._history[rows], self._fed[:, None]], 1)

    def _record_attention(self, state: State, rows: Tensor) -> None:
        weights = attention_of(self._stepper, state)
        if weights is None:
            if self._config.coverage_penalty:
                raise ConfigError("`coverage_penalty` needs a model with attention; set it to 0.")
            return
        self._attention.append(weights)
        self._origins = torch.cat([self._origins[rows], rows[:, None]], 1)
        if self._config.coverage_penalty:
            self._covered = (weights if self._covered is None else self._covered + weights)[rows]

    def _finish(self, length: int) -> None:
        """Put the hypotheses that ended aside; their places are taken for good."""
        taken = (self._rank < self._places[:, None]) & (self._total > -torch.inf)
        ended = taken & ((self._fed.view_as(taken) == self._eos) | (length >= self._limits[:, None]))
        if ended.any():
            self._put_aside(ended, length)
            self._places = self._places - ended.sum(1)
        self._total = self._total.masked_fill(~taken | ended, -torch.inf)

    def _put_aside(self, ended: Tensor, length: int) -> None:
        rows = ended.view(-1).nonzero()[:, 0]
        log_probs = self._total.view(-1)[rows]
        scores = log_probs / length_factor(length, self._config.length_penalty)
        if self._covered is not None:
            real = None if self._mask is None else self._mask[rows]
            scores = scores - self._config.coverage_penalty * coverage_loss(self._covered[rows], real)
        blocks = rows // self._config.beam_size
        columns = (scores, log_probs, self._history[rows], self._origins[rows])
        found = zip(*(column.tolist() for column in columns), strict=True)
        for source, entry in zip(self._sources[blocks].tolist(), found, strict=True):
            self._finished[source].append(_Finished(*entry))
        for block in set(blocks.tolist()):
            kept = sorted((entry.score for entry in self._finished[int(self._sources[block])]), reverse=True)
            if len(kept) >= self._config.num_best:
                self._worst[block] = kept[self._config.num_best - 1]

    def _done(self, length: int) -> Tensor:
        """(sources left,) bool: no place is left, or none of those at work can become one of the best."""
        best = self._total.amax(1)
        horizon = torch.full_like(self._limits, length) if self._config.early_stop else self._limits
        attainable = best / length_factor(horizon, self._config.length_penalty)
        return (self._places <= 0) | (best == -torch.inf) | (attainable <= self._worst)

    def _drop(self, kept: Tensor) -> None:
        """Go on without the sources that are done."""
        width = self._config.beam_size
        rows = kept.repeat_interleave(width).nonzero()[:, 0]
        assert isinstance(self._stepper, Selecting) and self._state is not None, "asked before"
        self._stepper, self._state = self._stepper.select(rows), states.select(self._state, rows)
        self._fed, self._history, self._origins = self._fed[rows], self._history[rows], self._origins[rows]
        self._covered = None if self._covered is None else self._covered[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        self._total, self._places, self._worst = self._total[kept], self._places[kept], self._worst[kept]
        self._limits, self._sources = self._limits[kept], self._sources[kept]

    def _best(self, found: list[_Finished]) -> list[Hypothesis]:
        ranked = sorted(found, key=lambda entry: -entry.score)[: self._config.num_best]
        return [self._hypothesis(entry) for entry in ranked]

    def _hypothesis(self, entry: _Finished) -> Hypothesis:
        ended = entry.tokens[-1] == self._eos
        tokens = entry.tokens[:-1] if ended else entry.tokens
        weights = None
        if self._attention:
            # each step's weights stand where the hypothesis' forebear stood at that step
            steps = zip(self._attention, entry.origins[: len(tokens)], strict=False)
            rows = [weights[row] for weights, row in steps]
            weights = torch.stack(rows) if rows else self._attention[0].new_zeros(0, self._attention[0].shape[1])
        return Hypothesis(tokens, entry.score, entry.log_prob, weights, ended)
