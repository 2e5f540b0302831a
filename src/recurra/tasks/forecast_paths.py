"""From a fitted model to the steps ahead: all at once, as many as are asked for, or by drawn paths."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from recurra.core import state as states
from recurra.core.batch import Pooling
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast, Foreseen
from recurra.core.state import State
from recurra.losses import Likelihood


@runtime_checkable
class StepwiseForecaster(Protocol):
    """A model that gives the distribution of one step, and reads what it was to go on."""

    def begin(self, window: Window, state: State | None = None) -> State:
        """Where `step` starts: at the end of the window's history."""

    def step(self, values: Tensor | None, known: Tensor | None, state: State) -> tuple[Forecast, State]:
        """The next step (B, 1, C, K) after `values` (B, C), and the state to go on from."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How the steps ahead are walked.

    Attributes:
        likelihood: draws values.
        horizon: H.
        num_paths: N, of models that go step by step.
        seed: of random numbers.
    """

    likelihood: Likelihood
    horizon: int
    num_paths: int
    seed: int


def forecast_window(model: Any, window: Window, walk: Walk) -> Foreseen:
    """The model's forecast of `walk.horizon` steps after a window, or of all those that it gives at once."""
    if _is_pooling(model.__class__):
        return cast(Foreseen, model.pool([forecast_window(part, window, walk) for part in model.parts()]))
    if _is_stepwise(model.__class__):
        return _paths(model, model.begin(window), window.future_known, walk)
    if not hasattr(model, "observe"):
        found: Forecast = model(window).prediction
        return found
    return forecast_onward(model, model.observe(window), window, walk)


def forecast_onward(model: Any, state: State, ahead: Window, walk: Walk) -> Foreseen:
    """The same from the state of `observe`; `ahead` has no steps of history, but what is known of those to come."""
    if _is_pooling(model.__class__):
        parts = zip(model.parts(), state, strict=True)
        return cast(Foreseen, model.pool([forecast_onward(part, own, ahead, walk) for part, own in parts]))
    if _is_stepwise(model.__class__):
        return _paths(model, model.begin(ahead, state), ahead.future_known, walk)
    if _takes_horizon(model.__class__):
        found: Forecast = model.forecast(state, ahead.future_known, horizon=walk.horizon)
        return found
    found = model.forecast(state, ahead.future_known)
    return found


# to ask each time would take longer than some of the arithmetic of a single forecast
@cache
def _is_stepwise(kind: Any) -> bool:
    return issubclass(kind, StepwiseForecaster)


@cache
def _is_pooling(kind: Any) -> bool:
    return issubclass(kind, Pooling)


@cache
def _takes_horizon(kind: Any) -> bool:
    return "horizon" in inspect.signature(kind.forecast).parameters


def _paths(model: StepwiseForecaster, state: State, known: Tensor | None, walk: Walk) -> Forecast:
    """Sample paths; of points, which can't be drawn, the one path that reads its own forecasts."""
    likelihood = walk.likelihood
    count, device = len(next(states.leaves(state))), next(states.leaves(state)).device
    generator = torch.Generator(device=device).manual_seed(walk.seed)
    copies = walk.num_paths if likelihood.is_distribution else 1
    rows = torch.arange(count, device=device).repeat_interleave(copies)
    state = states.select(state, rows)
    values: Tensor | None = None
    drawn = []
    for step in range(walk.horizon):
        forecast, state = model.step(values, None if known is None else known[rows, step], state)
        if likelihood.is_distribution:
            shift, scale = forecast.shift[:, 0], forecast.scale[:, 0]
            values = likelihood.sample(forecast.parameters[:, 0], shift, scale, generator)
        else:
            values = likelihood.mean(forecast)[:, 0]
        drawn.append(values)
    samples = torch.stack(drawn, 1).unflatten(0, (count, copies))
    return Forecast(forecast.parameters.new_zeros(0), forecast.shift[:0], forecast.scale[:0], samples)
