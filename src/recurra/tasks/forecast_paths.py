"""From a fitted model to the steps ahead: all at once, as many as are asked for, or by drawn paths."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from recurra.core import state as states
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.state import State
from recurra.losses import Likelihood


@runtime_checkable
class StepwiseForecaster(Protocol):
    """A model that gives the distribution of one step, and reads what it was to go on."""

    def begin(self, window: Window, state: State | None = None) -> State:
        """Where `step` starts: at the end of the window's history."""

    def step(self, values: Tensor | None, known: Tensor | None, state: State) -> tuple[Forecast, State]:
        """The next step (B, 1, C, K) after `values` (B, C), and the state to go on from."""


def forecast_ahead(
    model: Any,
    window: Window,
    likelihood: Likelihood,
    horizon: int,
    num_paths: int,
    generator: torch.Generator,
    state: State | None = None,
) -> Forecast:
    """The model's forecast of `horizon` steps, or of all those that it gives at once.

    Args:
        model: any forecasting model.
        window: the history, and what is known ahead.
        likelihood: draws values.
        horizon: H.
        num_paths: N, of models that go step by step.
        generator: of random numbers.
        state: of `observe`, after which the window goes on; None: the window is the whole history.
    """
    if isinstance(model, StepwiseForecaster):
        return _paths(model, model.begin(window, state), window, likelihood, horizon, num_paths, generator)
    if not hasattr(model, "observe"):
        found: Forecast = model(window, state).prediction
        return found
    seen = model.observe(window, state)
    if "horizon" in inspect.signature(model.forecast).parameters:
        found = model.forecast(seen, window.future_known, horizon=horizon)
        return found
    found = model.forecast(seen, window.future_known)
    return found


def _paths(
    model: StepwiseForecaster,
    state: State,
    window: Window,
    likelihood: Likelihood,
    horizon: int,
    num_paths: int,
    generator: torch.Generator,
) -> Forecast:
    """Sample paths; of points, which can't be drawn, the one path that reads its own forecasts."""
    count, known = window.past.batch_size, window.future_known
    copies = num_paths if likelihood.is_distribution else 1
    rows = torch.arange(count, device=window.past.data.device).repeat_interleave(copies)
    state = states.select(state, rows)
    values: Tensor | None = None
    drawn = []
    for step in range(horizon):
        forecast, state = model.step(values, None if known is None else known[rows, step], state)
        if likelihood.is_distribution:
            shift, scale = forecast.shift[:, 0], forecast.scale[:, 0]
            values = likelihood.sample(forecast.parameters[:, 0], shift, scale, generator)
        else:
            values = likelihood.mean(forecast)[:, 0]
        drawn.append(values)
    samples = torch.stack(drawn, 1).unflatten(0, (count, copies))
    return Forecast(forecast.parameters.new_zeros(0), forecast.shift[:0], forecast.scale[:0], samples)
