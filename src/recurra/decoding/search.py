"""What all searches share: their options, what they find, and which tokens may come next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor

from recurra.core.config import Config


class SearchConfig(Config):
    """How the likeliest sequence is searched for."""

    beam_size: int = Field(1, ge=1, description="hypotheses followed for each source; 1 takes the likeliest token")
    num_best: int = Field(1, ge=1, description="alternatives to give, at most beam_size")
    length_penalty: float = Field(
        0.0, ge=0, description="alpha: log-probability over ((5 + length) / 6)^alpha; more prefers longer sequences"
    )
    coverage_penalty: float = Field(0.0, ge=0, description="beta: sources whose parts are not attended to score less")
    max_length: int = Field(100, ge=1, description="most tokens, the end included")
    max_ratio: float = Field(0.0, ge=0, description="most tokens for each token of the source, plus 5; 0 is off")
    min_length: int = Field(0, ge=0, description="fewest tokens before the end")
    no_repeat_ngram: int = Field(0, ge=0, description="no run of so many tokens comes twice; 0 is off")
    early_stop: bool = Field(
        False, description="stop once no hypothesis is better at its present length; false: at any length it may have"
    )

    @model_validator(mode="after")
    def _best_are_among_the_beam(self) -> SearchConfig:
        if self.num_best > self.beam_size:
            raise ValueError(f"num_best={self.num_best} is more than beam_size={self.beam_size}")
        return self

    def limits(self, source_lengths: Tensor) -> Tensor:
        """Most tokens for sources of these lengths (B,), the end included."""
        longest = torch.full_like(source_lengths, self.max_length)
        if not self.max_ratio:
            return longest
        return torch.minimum(longest, (self.max_ratio * source_lengths).ceil().to(longest.dtype) + 5)


class Hypothesis(NamedTuple):
    """One sequence that a search found.

    Attributes:
        tokens: without the start and the end.
        score: what hypotheses are ranked by: the log-probability with its penalties.
        log_prob: of the tokens and the end, in nats; without the end where `ended` is False.
        attention: (T, S) weights at each token, or None.
        ended: whether it came to its end; False where it was cut at the greatest length.
    """

    tokens: list[int]
    score: float
    log_prob: float
    attention: Tensor | None
    ended: bool


def length_factor(length: Tensor | int, alpha: float) -> Tensor | float:
    """What a log-probability is divided by; Wu et al. (2016), equation 14, https://arxiv.org/abs/1609.08144."""
    return ((5 + length) / 6) ** alpha


def coverage_loss(covered: Tensor, real: Tensor | None) -> Tensor:
    """-sum_s log(min(sum_t a_ts, 1)) over the source (Wu et al. 2016, equation 14, without its beta).

    Args:
        covered: (R, S) attention summed over the target.
        real: (R, S) bool, False on padding; None: all are real.
    Returns:
        (R,), 0 where every part was attended to.
    """
    each = -covered.clamp(1e-10, 1.0).log()
    return (each if real is None else each.masked_fill(~real, 0.0)).sum(-1)


class Rules:
    """Which tokens may come next, as -inf in their scores.

    Args:
        config: minimal length and repeated n-grams.
        eos: the token that ends a sequence.
        never: tokens that are never taken, such as the unknown word.
        prefixes: tokens that a source's hypotheses start with, one sequence a source; None: free.
        device: of the scores.
    """

    def __init__(
        self,
        config: SearchConfig,
        eos: int,
        never: Sequence[int],
        prefixes: Sequence[Sequence[int]] | None,
        device: torch.device,
    ) -> None:
        self._eos, self._min_length, self._ngram = eos, config.min_length, config.no_repeat_ngram
        self._never = torch.tensor(list(never), dtype=torch.int64, device=device) if len(never) else None
        longest = max(map(len, prefixes), default=0) if prefixes is not None else 0
        self._prefixes: Tensor | None = None
        if prefixes is not None and longest:
            rows = [[*prefix, *[-1] * (longest - len(prefix))] for prefix in prefixes]
            self._prefixes = torch.tensor(rows, dtype=torch.int64, device=device)

    def __call__(self, log_probs: Tensor, history: Tensor, sources: Tensor) -> Tensor:
        """Forbid tokens.

        Args:
            log_probs: (R, V); not altered.
            history: (R, t) the tokens before.
            sources: (R,) which source each row belongs to.
        """
        step = history.shape[1]
        allowed = log_probs if self._never is None else log_probs.index_fill(1, self._never, -torch.inf)
        short, repeats = step < self._min_length, self._ngram > 0 and step >= self._ngram
        if short or repeats:
            allowed = allowed.clone() if allowed is log_probs else allowed
            if short:
                allowed[:, self._eos] = -torch.inf
            if repeats:
                self._forbid_repeats(allowed, history)
            dead = allowed.amax(-1) == -torch.inf  # nothing is left to say: the end may come early
            allowed[dead, self._eos] = log_probs[dead, self._eos]
        if self._prefixes is not None and step < self._prefixes.shape[1]:
            allowed = _force(allowed, log_probs, self._prefixes[sources, step])
        return allowed

    def _forbid_repeats(self, scores: Tensor, history: Tensor) -> None:
        """-inf for each token that would make an n-gram of the row's history come again."""
        before = self._ngram - 1
        if not before:
            scores.scatter_(1, history, -torch.inf)
            return
        starts = history.unfold(1, before, 1)[:, :-1]
        same = (starts == history[:, None, history.shape[1] - before :]).all(-1)
        rows, places = same.nonzero(as_tuple=True)
        scores[rows, history[rows, places + before]] = -torch.inf


def _force(allowed: Tensor, log_probs: Tensor, wanted: Tensor) -> Tensor:
    """Leave only the wanted token (R,) of each row where it is not -1."""
    forced = wanted >= 0
    place = wanted.clamp(min=0)[:, None]
    only = torch.full_like(allowed, -torch.inf).scatter_(1, place, log_probs.gather(1, place))
    return torch.where(forced[:, None], only, allowed)
