"""Exponential smoothing with several seasons, as a layer: level and seasons of each series, learned with the rest.

References: Winters (1960), https://doi.org/10.1287/mnsc.6.3.324; Taylor (2003), two seasons,
https://doi.org/10.1057/palgrave.jors.2601589; Smyl (2020), smoothing and network trained together,
https://doi.org/10.1016/j.ijforecast.2019.03.017.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.core.batch import WindowSpec

EPSILON = 1e-4
"""Added to the mean squared error of a window, in squared units of its values: in log space 1 per cent."""


class Smoothed(NamedTuple):
    """A history taken apart.

    Attributes:
        residual: (B, T, C) what is left of each value after its season and the last level; 0 where not observed.
        level: (B, C) at the end.
        seasons: for each period (B, period, C), the coming step's first.
        spread: (B, 1, C) root of the mean squared error of the one-season-ahead forecasts.
    """

    residual: Tensor
    level: Tensor
    seasons: list[Tensor]
    spread: Tensor


class SeasonalSmoothing(nn.Module):
    """Level and seasons of series, by smoothing whose factors are learned: common ones, and each series' own.

    The seasons start as means over the whole history, shorter periods first; then, step by step,

        level <- level + alpha (y - seasons - level),  season_p <- season_p + gamma_p (y - seasons - level).

    The steps of one shortest period go at once, as none of its seasons changes within it.

    Args:
        spec: its periods and number of series.
    """

    def __init__(self, spec: WindowSpec) -> None:
        super().__init__()
        self.periods = tuple(period for period in spec.periods if 2 * period <= spec.context_length)
        self.chunk = min(self.periods, default=min(24, spec.context_length))
        self.common = nn.Parameter(torch.tensor([0.0, *[-2.0] * len(self.periods)]))
        self.own = nn.Embedding(spec.num_series, len(self.common)) if spec.num_series else None
        if self.own is not None:
            nn.init.zeros_(self.own.weight)

    def forward(self, values: Tensor, weight: Tensor, series: Tensor | None) -> Smoothed:
        """Take histories apart.

        Args:
            values: (B, T, C), T at least `chunk`; numbers where not observed, too.
            weight: (B, T, C), 1 where observed, else 0.
            series: (B,) number of each row's series, -1 for a new one; None: all are new.
        """
        whole = values.shape[1] // self.chunk * self.chunk
        values, weight = values[:, values.shape[1] - whole :], weight[:, weight.shape[1] - whole :]
        factors = self.factors(series, len(values))
        seasons = self._first_seasons(values, weight)
        level = weighted_mean(values, weight, 1)
        residuals, errors = [], []
        for part, real in zip(torch.split(values, self.chunk, 1), torch.split(weight, self.chunk, 1), strict=True):
            season = (
                torch.stack([one[:, : self.chunk] for one in seasons]).sum(0) if seasons else torch.zeros_like(part)
            )
            adjusted = part - season
            levels = smooth(adjusted, real, factors[:, :1], level)
            before, level = level, levels[:, -1]
            apart = (adjusted - levels) * real
            seasons = [
                torch.cat([one[:, self.chunk :], one[:, : self.chunk] + factors[:, number, None, None] * apart], 1)
                for number, one in enumerate(seasons, start=1)
            ]
            residuals.append(adjusted)
            errors.append((adjusted - before[:, None]) * real)
        error = torch.cat(errors, 1).square().sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        residual = (torch.cat(residuals, 1) - level[:, None]) * weight
        return Smoothed(residual, level, seasons, (error + EPSILON).sqrt())

    def factors(self, series: Tensor | None, count: int) -> Tensor:
        """(B, 1 + periods) smoothing factors of level and seasons, 0..1."""
        logits = self.common.expand(count, -1)
        if self.own is not None and series is not None:
            known = (series >= 0) & (series < self.own.num_embeddings)
            logits = logits + self.own(torch.where(known, series, 0)) * known[:, None]
        return logits.sigmoid()

    def ahead(self, smoothed: Smoothed, horizon: int) -> Tensor:
        """Level and seasons of the steps ahead: (B, H, C)."""
        found = smoothed.level[:, None].expand(-1, horizon, -1)
        for season in smoothed.seasons:
            found = found + season.repeat(1, -(-horizon // season.shape[1]), 1)[:, :horizon]
        return found

    def _first_seasons(self, values: Tensor, weight: Tensor) -> list[Tensor]:
        """Mean deviation from the mean of its period, of each place in a period: (B, period, C) for the first step."""
        seasons: list[Tensor] = []
        steps = values.shape[1]
        for period in self.periods:
            count = steps // period
            first, shape = steps - count * period, (len(values), count, period, values.shape[-1])
            cycles, weights = values[:, first:].reshape(shape), weight[:, first:].reshape(shape)
            apart = cycles - weighted_mean(cycles, weights, 2)[:, :, None]
            # The last cycle ends with the history; the first step may stand anywhere in its period.
            season = weighted_mean(apart, weights, 1).roll(first, 1)
            seasons.append(season)
            values = values - season.repeat(1, count + 1, 1)[:, :steps]
        return seasons


def weighted_mean(values: Tensor, weight: Tensor, axis: int) -> Tensor:
    """The mean along an axis, which goes; 0 where nothing was observed."""
    return (values * weight).sum(axis) / weight.sum(axis).clamp(min=1)


def smooth(values: Tensor, weight: Tensor, factor: Tensor, before: Tensor) -> Tensor:
    """Levels (B, T, C) of level <- level + factor weight (value - level), all steps at once.

    Args:
        values: (B, T, C).
        weight: (B, T, C).
        factor: (B, 1), below 1.
        before: (B, C) level before the first step.
    """
    gain = factor[..., None] * weight
    kept = torch.log1p(-gain.clamp(max=0.999)).cumsum(1)
    steps = values.shape[1]
    apart = kept[:, :, None] - kept[:, None]
    causal = torch.ones(steps, steps, dtype=torch.bool, device=values.device).tril()[None, :, :, None]
    weights = apart.masked_fill(~causal, -torch.inf).exp()
    return torch.einsum("btsc,bsc->btc", weights, gain * values) + kept.exp() * before[:, None]
