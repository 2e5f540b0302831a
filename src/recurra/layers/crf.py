"""Linear-chain conditional random field: how likely a row of tags is, given a score for each tag at each step.

A row of tags y over T steps scores start[y_1] + sum of emission[t, y_t] + sum of transitions[y_(t-1), y_t] + end[y_T];
its probability is the exponential of that, divided by the sum over all rows of tags.

Sources: Lafferty, McCallum and Pereira (2001), Conditional random fields; the scaled recursions are those of Rabiner
(1989), section V.A; the gradient of log Z are the marginals, Sutton and McCallum (2012), equation 5.8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences

# Scores of one step further apart than this could underflow in the scaled recursions: exp(-700) is about float64's end.
_LARGEST_SPREAD = 200.0
_TINY = 1e-300


class ChainWeights(NamedTuple):
    """The weights of a chain of K tags; -inf where something is forbidden.

    Attributes:
        transitions: (K, K), from the tag of the row to that of the column.
        start: (K,), of the first tag.
        end: (K,), of the last tag.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor


class LinearChainCRF(nn.Module):
    """Transition, start and end weights, and what follows from them.

    Args:
        num_tags: K.
        forbidden: pairs of tags (i, j): j never follows i. K in place of i means "before the first", in place of j
            "after the last".
    Attributes:
        transitions: (K, K) weights, zero at first.
        start: (K,).
        end: (K,).
    """

    never: Tensor

    def __init__(self, num_tags: int, forbidden: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__()
        if num_tags < 1:
            raise ConfigError(f"LinearChainCRF(num_tags={num_tags}): at least one tag is wanted.")
        self.num_tags = num_tags
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))
        never = torch.zeros(num_tags + 1, num_tags + 1, dtype=torch.bool)
        for pair in forbidden:
            if not all(0 <= tag <= num_tags for tag in pair):
                raise ConfigError(f"LinearChainCRF(num_tags={num_tags}): forbidden pair {pair} names no such tag.")
            never[pair] = True
        self.register_buffer("never", never, persistent=False)

    def weights(self) -> ChainWeights:
        """The weights, with -inf for all that is forbidden."""
        low = -torch.inf
        return ChainWeights(
            self.transitions.masked_fill(self.never[:-1, :-1], low),
            self.start.masked_fill(self.never[-1, :-1], low),
            self.end.masked_fill(self.never[:-1, -1], low),
        )

    def log_likelihood(self, emissions: Sequences, tags: Tensor) -> Tensor:
        """log p(tags | emissions) of each row.

        Args:
            emissions: data (B, T, K); padding is never read.
            tags: (B, T) int64, 0..K-1 on real steps.
        Returns:
            (B,), 0 for a row of length 0, -inf for forbidden tags.
        """
        return log_likelihood(emissions, tags, self.weights())

    def viterbi(self, emissions: Sequences) -> tuple[Tensor, Tensor]:
        """The best row of tags: (B, T) int64, 0 on padding; and its score (B,), see `viterbi`."""
        return viterbi(emissions, self.weights())

    def marginals(self, emissions: Sequences) -> Tensor:
        """p(tag at step t | emissions) (B, T, K), zero on padding; without gradients."""
        return posterior(emissions, self.weights()).marginals

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.num_tags}, forbidden={int(self.never.sum())}"


def log_likelihood(emissions: Sequences, tags: Tensor, weights: ChainWeights) -> Tensor:
    """log p(tags | emissions) (B,); arguments as `LinearChainCRF.log_likelihood`."""
    return path_score(emissions, tags, weights) - log_partition(emissions, weights)


def path_score(emissions: Sequences, tags: Tensor, weights: ChainWeights) -> Tensor:
    """The score of each row's tags, before any normalisation: (B,) in at least float32; 0 for a row of length 0."""
    data, mask = _prepare(emissions, weights)
    num_tags = data.shape[2]
    if tags.shape != emissions.data.shape[:2]:
        raise ShapeError(
            f"tags of shape {tuple(tags.shape)} for emissions {tuple(emissions.data.shape)}: one a step is wanted."
        )
    tags = tags.masked_fill(~mask, 0) if emissions.num_steps else mask.long()
    scores = data.gather(2, tags[..., None])[..., 0]  # zero on padding, as the data are
    pairs = (tags[:, :-1] * num_tags + tags[:, 1:]).masked_select(mask[:, 1:])
    moves = data.new_zeros(data.shape[0], data.shape[1] - 1).masked_scatter(
        mask[:, 1:], weights.transitions.to(data.dtype).reshape(-1).gather(0, pairs)
    )
    last = (mask.sum(1) - 1).clamp(min=0)
    ends = weights.start.to(data.dtype).gather(0, tags[:, 0])
    ends = ends + weights.end.to(data.dtype).gather(0, tags.gather(1, last[:, None])[:, 0])
    return scores.sum(1) + moves.sum(1) + torch.where(mask[:, 0], ends, 0.0)


def log_partition(emissions: Sequences, weights: ChainWeights) -> Tensor:
    """log Z (B,): the log of the sum over all rows of tags; 0 for a row of length 0."""
    data, mask = _prepare(emissions, weights)
    with torch.no_grad():
        forward = _run_forward(data, mask, weights)
        safe = forward is not None and bool(forward.log_z.isfinite().all())
    if not safe:
        return log_partition_reference(emissions, weights)
    log_z: Tensor = _LogPartition.apply(data, mask, *weights, forward)  # type: ignore[no-untyped-call]
    return log_z


def log_partition_reference(emissions: Sequences, weights: ChainWeights) -> Tensor:
    """The same by sums in log space, step by step: slower, and safe for scores of any size."""
    data, mask = _prepare(emissions, weights)
    transitions, start, end = (part.to(data.dtype) for part in weights)
    alpha = start + data[:, 0]
    for step in range(1, data.shape[1]):
        moved = _log_sum_exp(alpha[:, :, None] + transitions, 1) + data[:, step]
        alpha = torch.where(mask[:, step, None], moved, alpha)
    return torch.where(mask[:, 0], _log_sum_exp(alpha + end, 1), 0.0)


def viterbi(emissions: Sequences, weights: ChainWeights) -> tuple[Tensor, Tensor]:
    """The best row of tags of each row.

    Args:
        emissions: data (B, T, K); padding is never read.
        weights: of the chain.
    Returns:
        Tags (B, T) int64, 0 on padding; and their score (B,), as `path_score` has it.
    """
    with torch.no_grad():
        data, mask = _prepare(emissions, weights)
        into = weights.transitions.to(data.dtype).T.contiguous()
        num_tags = data.shape[2]
        stay = torch.arange(num_tags, device=data.device).expand(data.shape[0], num_tags)
        score = weights.start.to(data.dtype) + data[:, 0]
        pointers = []
        for step in range(1, data.shape[1]):
            best, source = (score[:, None] + into).max(2)
            real = mask[:, step, None]
            score = torch.where(real, best + data[:, step], score)
            pointers.append(torch.where(real, source, stay))
        top, last = (score + weights.end.to(data.dtype)).max(1, keepdim=True)
        tags = [last]
        for source in reversed(pointers):
            tags.append(source.gather(1, tags[-1]))
        found = torch.cat(tags[::-1], 1).masked_fill(~mask, 0)
        return found[:, : emissions.num_steps], torch.where(mask[:, 0], top[:, 0], 0.0)


class Posterior(NamedTuple):
    """p(tags | emissions) as the Markov chain that it is.

    Attributes:
        marginals: (B, T, K) float64, p(tag at step t), zero on padding.
        backward: (B, T, K); like `pulls` (B, T, K) and `moves` (K, K) a part of p(tag at t | tag at t - 1), as `links`
            has it.
    """

    marginals: Tensor
    backward: Tensor
    pulls: Tensor
    moves: Tensor

    def links(self, previous: Tensor, current: Tensor) -> Tensor:
        """p(tag at step t is current[t] | tag at step t - 1 is previous[t - 1]), exact.

        Args:
            previous: (B, T) tags.
            current: (B, T) tags.
        Returns:
            (B, T); at step 0 p(current[0]); 0 where the tag before is impossible. Padding means nothing.
        """
        first = self.marginals[:, :1].gather(2, current[:, :1, None])[..., 0]
        before, after = previous[:, :-1], current[:, 1:]
        weight = self.backward[:, :-1].gather(2, before[..., None])[..., 0]
        pull = self.pulls[:, 1:].gather(2, after[..., None])[..., 0]
        link = self.moves[before, after] * pull / weight.clamp(min=_TINY)
        return torch.cat([first, link], 1).clamp(max=1.0)

    def pairs(self, mask: Tensor) -> Tensor:
        """(K, K): how often each tag is expected to follow each other one, over all rows.

        Args:
            mask: (B, T) of the real steps.
        """
        before = self.marginals[:, :-1] / self.backward[:, :-1].clamp(min=_TINY)
        after = self.pulls[:, 1:] * mask[:, 1:, None]
        return self.moves * torch.einsum("bti,btj->ij", before, after)


def posterior(emissions: Sequences, weights: ChainWeights) -> Posterior:
    """Marginals of each step and links between steps, without gradients, by one pass each way.

    A score of more than 300 below the best of its step counts as 300 below: its share is below 1e-130 either way.
    """
    with torch.no_grad():
        data, mask = _prepare(emissions, weights)
        data = data.double()
        data = torch.maximum(data, data.amax(2, keepdim=True) - 300)
        forward = _run_forward(data, mask, ChainWeights(*map(_narrowed, weights)), careful=False)
        assert forward is not None
        backward, pulls = _run_backward(forward, mask)
        marginals = (forward.alpha * backward).transpose(0, 1) * mask[..., None]
        num_steps = emissions.num_steps
        backward, pulls = backward.transpose(0, 1)[:, :num_steps], pulls.transpose(0, 1)[:, :num_steps]
        return Posterior(marginals[:, :num_steps], backward, pulls, forward.moves)


class _Forward(NamedTuple):
    """The scaled forward recursion, time first, float64.

    alpha (T, B, K) sums to one over K; norms (T, B, 1) are what each step was divided by; weights (T, B, K), moves
    (K, K) and end (K,) are exponentials of scores less their largest.
    """

    alpha: Tensor
    norms: Tensor
    weights: Tensor
    moves: Tensor
    end: Tensor
    log_z: Tensor


def _run_forward(data: Tensor, mask: Tensor, chain: ChainWeights, careful: bool = True) -> _Forward | None:
    """The recursion; None where scores lie so far apart that it might underflow, if it is to be careful."""
    scores = data.transpose(0, 1).double()
    moves, move_top = _exponentials(chain.transitions.reshape(-1))
    start, start_top = _exponentials(chain.start)
    end, end_top = _exponentials(chain.end)
    top = scores.amax(2, keepdim=True)
    if careful and _spread(scores, top, chain) > _LARGEST_SPREAD:
        return None
    weights = (scores - top).exp()
    moves = moves.reshape(chain.transitions.shape)
    alpha = torch.empty_like(weights)
    norms = torch.empty_like(top)
    torch.mul(weights[0], start, out=alpha[0])
    torch.sum(alpha[0], 1, keepdim=True, out=norms[0])
    norms[0].clamp_(min=_TINY)
    alpha[0] /= norms[0]
    num_full = int(mask.sum(1).min()) if len(mask) else data.shape[1]
    steps = list(zip(alpha.unbind(0), norms.unbind(0), weights.unbind(0), mask.T[..., None].unbind(0), strict=True))
    before = steps[0][0]
    for number, (row, norm, weight, real) in enumerate(steps[1:], start=1):
        torch.mm(before, moves, out=row)
        row.mul_(weight)
        torch.sum(row, 1, keepdim=True, out=norm)
        row.div_(norm.clamp_(min=_TINY))
        if number >= num_full:
            torch.where(real, row, before, out=row)
        before = row
    last = (before * end).sum(1)
    real_log = ((norms.log() + top)[..., 0] * mask.T).sum(0)
    log_z = real_log + start_top + end_top + move_top * (mask.sum(1) - 1) + last.log()
    log_z = torch.where(mask[:, 0], log_z, 0.0).to(data.dtype)
    return _Forward(alpha, norms, weights, moves, end / last.clamp(min=_TINY)[:, None], log_z)


def _run_backward(forward: _Forward, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The backward recursion: (T, B, K), scaled so that alpha times it sums to one; and its pulls, see `_Forward`.

    pulls[t, b, j] * moves[i, j] is what step t with tag j hands back to tag i of step t - 1; zero on padding.
    """
    scaled = forward.weights / forward.norms * mask.T[..., None]
    backward = torch.empty_like(scaled)
    pulls = torch.zeros_like(scaled)
    back = forward.moves.T.contiguous()
    backward[-1] = forward.end
    num_full = int(mask.sum(1).min()) if len(mask) else len(scaled)
    steps = list(zip(backward.unbind(0), pulls.unbind(0), scaled.unbind(0), mask.T[..., None].unbind(0), strict=True))
    for number in range(len(steps) - 1, 0, -1):
        after, pull, weight, real = steps[number]
        before = steps[number - 1][0]
        torch.mul(weight, after, out=pull)
        torch.mm(pull, back, out=before)
        if number >= num_full:
            torch.where(real, before, after, out=before)
    return backward, pulls


class _LogPartition(torch.autograd.Function):
    """log Z, whose gradient comes from the backward recursion instead of a graph of T steps."""

    @staticmethod
    def forward(
        ctx: Any, data: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor, forward: _Forward
    ) -> Tensor:
        ctx.save_for_backward(mask, *forward[:-1])
        ctx.dtypes = [part.dtype for part in (data, transitions, start, end)]
        return forward.log_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        mask, alpha, norms, scaled, moves, end = ctx.saved_tensors
        forward = _Forward(alpha, norms, scaled, moves, end, gradient)
        backward, pulls = _run_backward(forward, mask)
        share = gradient.double()[:, None] * mask[:, :1]
        marginals = forward.alpha * backward * mask.T[..., None] * share
        num_tags = marginals.shape[2]
        earlier = forward.alpha[:-1].reshape(-1, num_tags)
        moved = forward.moves * (earlier.T @ (pulls[1:] * share).reshape(-1, num_tags))
        ends = (forward.alpha[-1] * backward[-1] * share).sum(0)
        found = (marginals.transpose(0, 1), moved, marginals[0].sum(0), ends)
        data, *weights = (part.to(dtype) for part, dtype in zip(found, ctx.dtypes, strict=True))
        return (data, None, *weights, None)


def _prepare(emissions: Sequences, weights: ChainWeights) -> tuple[Tensor, Tensor]:
    """Emissions (B, T, K) in at least float32, zero on padding; mask (B, T). No steps become one of padding."""
    data = emissions.data
    num_tags = weights.start.shape[0]
    if data.dim() != 3 or data.shape[2] != num_tags:
        raise ShapeError(
            f"a chain of {num_tags} tags got emissions of shape {tuple(data.shape)}: (B, T, {num_tags}) is wanted."
        )
    if data.shape[1] == 0:
        blank = data.new_zeros(data.shape[0], 1, num_tags)
        return blank + data.sum(1, keepdim=True), torch.zeros(blank.shape[:2], dtype=torch.bool, device=data.device)
    if data.dtype in (torch.bfloat16, torch.float16):
        data = data.float()
    mask = emissions.mask
    return (data if emissions.lengths is None else torch.where(mask[..., None], data, data.new_zeros(()))), mask


def _narrowed(scores: Tensor) -> Tensor:
    """Scores raised to at most 300 below the largest; what is forbidden stays so."""
    return torch.where(scores > -torch.inf, torch.maximum(scores, scores.amax() - 300), scores)


def _exponentials(scores: Tensor) -> tuple[Tensor, Tensor]:
    """exp(scores - largest) and the largest; zeros where all are -inf."""
    scores = scores.double()
    top = scores.amax().clamp(min=torch.finfo(scores.dtype).min)
    return (scores - top).exp(), top


def _spread(scores: Tensor, top: Tensor, chain: ChainWeights) -> float:
    """How far apart the scores of one step and of one move can lie, forbidden ones aside."""
    if not scores.numel():
        return 0.0
    spread = float((top - scores.amin(2, keepdim=True)).amax())
    for part in chain:
        allowed = part[part > -torch.inf]
        spread += float(allowed.amax() - allowed.amin()) if len(allowed) else 0.0
    return spread


def _log_sum_exp(scores: Tensor, axis: int) -> Tensor:
    """logsumexp whose gradient is zero, not NaN, where all scores are -inf."""
    top = scores.detach().amax(axis, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    total = (scores - top).exp().sum(axis)
    dead = total == 0
    logged = total.masked_fill(dead, 1.0).log().masked_fill(dead, -torch.inf)
    return logged + top.squeeze(axis)
