"""Forecasting models: one observation at a time, long histories, paths, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import InputKind, Resolution, TaskSpec, WindowSpec
from recurra.core.errors import ConfigError, DataError, ShapeError
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.models import MODELS
from recurra.models.autoregressive_forecaster import AutoregressiveForecaster, AutoregressiveForecasterConfig
from recurra.models.forecast_decoder import ForecastDecoder, ForecastDecoderConfig
from recurra.models.forecaster import Forecaster, ForecasterConfig
from recurra.models.seasonal_forecaster import SeasonalForecasterConfig

SIZES = WindowSpec(
    horizon=4,
    context_length=6,
    target_size=2,
    num_parameters=2,
    known_size=2,
    static_size=1,
    num_series=3,
    periods=(3,),
)
B, T = 3, 15
CARRYING = {"carry": True, "normalisation": "running"}
STREAMS: list[tuple[str, dict[str, Any]]] = [
    ("forecaster", {"history": CARRYING, "num_layers": 2}),
    ("forecaster", {"history": {"carry": True, "normalisation": "none"}, "head": "segments", "cell": "lstm"}),
    ("forecaster", {"history": {"patch_length": 2, "normalisation": "window", "series_dim": 2}}),
    ("forecaster", {"head": {"kind": "direct", "linear": True}, "bidirectional": True}),
    ("forecast-decoder", {"history": CARRYING}),
    ("forecast-decoder", {"history": {"patch_length": 3, "patch_stride": 2, "normalisation": "mean"}}),
    ("seasonal-forecaster", {"dilations": [1, 2], "series_dim": 2}),
]


def spec_of(sizes: WindowSpec = SIZES) -> TaskSpec:
    return TaskSpec(InputKind.VECTORS, sizes.target_size, 1, Resolution.HORIZON, window=sizes)


def build(kind: str, options: dict[str, Any], sizes: WindowSpec = SIZES) -> Any:
    torch.manual_seed(1)
    cls = MODELS[kind]
    return cls(cls.Config.model_validate({"kind": kind, "hidden_size": 7, **options}), spec_of(sizes)).eval()


def window(steps: int = T, first: int = 0) -> Window:
    """Steps `first`.. of always the same series; a trend makes their level matter."""
    draw = torch.Generator().manual_seed(3)
    values = 5 + torch.randn(B, T + 4, 2, generator=draw).cumsum(1)
    known = torch.randn(B, T + 4, 2, generator=draw)
    observed = torch.rand(B, T, 2, generator=draw) > 0.2
    return Window(
        Sequences(values[:, first:steps]),
        observed=observed[:, first:steps],
        past_known=known[:, first:steps],
        future_known=known[:, steps : steps + 4],
        static=torch.arange(3.0)[:, None],
        series=torch.tensor([0, 2, -1]),
        shifted=values[:, steps - 1 : steps + 3],
    )


def single_steps(whole: Window) -> list[Window]:
    """The same history, one step at a time."""
    return [
        replace(
            whole,
            past=Sequences(whole.past.data[:, step : step + 1]),
            observed=whole.observed[:, step : step + 1] if whole.observed is not None else None,
            past_known=whole.past_known[:, step : step + 1] if whole.past_known is not None else None,
        )
        for step in range(whole.past.num_steps)
    ]


def close(one: Forecast, other: Forecast) -> None:
    for found, wanted in zip(one[:3], other[:3], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "options"), STREAMS)
@torch.no_grad()
def test_single_observations_give_the_forecast_of_the_whole_history(kind: str, options: dict[str, Any]) -> None:
    model, state = build(kind, options), None
    for step, one in enumerate(single_steps(window()), start=1):
        state = model.observe(one, state)
        if step in (1, 2, 5, 6, 7, T):
            whole = window(step)
            close(model.forecast(state, whole.future_known), model(whole).prediction)


@pytest.mark.parametrize(("kind", "options"), [*STREAMS, ("autoregressive-forecaster", {})])
@torch.no_grad()
def test_a_history_may_come_in_two_parts(kind: str, options: dict[str, Any]) -> None:
    model = build(kind, options)
    state = model(window(9)).state
    close(model(window(T, first=9), state).prediction, model(window()).prediction)


@pytest.mark.parametrize(("kind", "options"), [STREAMS[0], STREAMS[4]])
@torch.no_grad()
def test_what_carries_reads_all_and_what_does_not_the_last_steps(kind: str, options: dict[str, Any]) -> None:
    changed = window()
    changed.past.data[:, : T - SIZES.context_length] += 1
    carrying, other = build(kind, options), build(kind, {})
    assert not torch.allclose(carrying(changed).prediction.parameters, carrying(window()).prediction.parameters)
    assert torch.equal(other(changed).prediction.parameters, other(window()).prediction.parameters)


@torch.no_grad()
def test_multiplicative_seasons_know_no_unit() -> None:
    model, given = build("seasonal-forecaster", {"seasonality": "multiplicative"}), window()
    positive = replace(given, past=Sequences(given.past.data.abs() + 1))
    larger = replace(given, past=Sequences(1000 * positive.past.data))
    one, other = model(positive).prediction, model(larger).prediction
    torch.testing.assert_close(other.parameters, one.parameters, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.shift, 1000 * one.shift, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(other.scale, 1000 * one.scale, rtol=1e-4, atol=1e-3)
    with pytest.raises(DataError, match="seasonality=additive"):
        model(replace(given, past=Sequences(given.past.data - 100)))


def walk(model: AutoregressiveForecaster, given: Window) -> Tensor:
    """The parameters along the path of the true values."""
    assert given.shifted is not None and given.future_known is not None
    state, value, found = model.begin(given), None, []
    for step in range(SIZES.horizon):
        forecast, state = model.step(value, given.future_known[:, step], state)
        found.append(forecast.parameters)
        value = given.shifted[:, step + 1] if step + 1 < SIZES.horizon else None
    return torch.cat(found, 1)


@pytest.mark.parametrize("options", [{}, {"normalisation": "none", "carry": True}, {"normalisation": "window"}])
@torch.no_grad()
def test_the_path_of_the_true_values_has_the_parameters_of_training(options: dict[str, Any]) -> None:
    model = build("autoregressive-forecaster", options)
    torch.testing.assert_close(walk(model, window()), model(window()).prediction.parameters, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_carrying_walker_observes_single_steps() -> None:
    model, state = build("autoregressive-forecaster", {"normalisation": "none", "carry": True}), None
    for one in single_steps(window()):
        state = model.observe(one, state)
    begun = model._walker(state)
    for found, wanted in zip(begun[1:], model.begin(window())[1:], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_decoder_goes_on_as_far_as_covariates_are_known() -> None:
    model, given = build("forecast-decoder", {}), window()
    assert given.future_known is not None
    longer = replace(given, future_known=torch.cat([given.future_known, given.future_known], 1))
    parameters = model(longer).prediction.parameters
    assert parameters.shape[1] == 8
    torch.testing.assert_close(parameters[:, :4], model(given).prediction.parameters)
    bare = build("forecast-decoder", {}, replace(SIZES, known_size=0))
    state = bare.observe(replace(given, past_known=None, future_known=None))
    assert bare.forecast(state, horizon=9).parameters.shape == (B, 9, 2, 2)


def test_a_shorter_horizon_is_given_and_a_longer_one_refused() -> None:
    model, given = build("forecaster", {}), window()
    assert given.future_known is not None
    shorter = replace(given, future_known=given.future_known[:, :2])
    whole = model(given).prediction.parameters
    torch.testing.assert_close(model(shorter).prediction.parameters, whole[:, :2])
    longer = replace(given, future_known=torch.cat([given.future_known, given.future_known], 1))
    with pytest.raises(ShapeError, match=r"8 steps ahead .* gives all its 4 at once"):
        model(longer)


def test_the_linear_part_maps_the_history_alone() -> None:
    """With a silent recurrent part it is one matrix from the values after the last to the steps ahead."""
    sizes = WindowSpec(horizon=2, context_length=3, target_size=1, num_parameters=1)
    model = build("forecaster", {"head": {"kind": "direct", "linear": True}}, sizes)
    with torch.no_grad():
        nn.init.zeros_(model.head.steps.weight)
        nn.init.zeros_(model.head.steps.bias)
        model.linear.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]]))
    history = torch.tensor([[[9.0], [1.0], [2.0], [4.0]]])
    forecast = model(Window(Sequences(history))).prediction
    assert (forecast.shift + forecast.scale * forecast.parameters[..., 0]).flatten().tolist() == [1.0, -3.0]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (ForecasterConfig, {"history": {"carry": True}}),
        (ForecasterConfig, {"history": {"carry": True, "normalisation": "none", "patch_length": 2}}),
        (ForecasterConfig, {"history": {"patch_length": 2, "patch_stride": 3}}),
        (ForecasterConfig, {"history": CARRYING, "bidirectional": True}),
        (ForecasterConfig, {"history": CARRYING, "head": {"kind": "direct", "linear": True}}),
        (ForecasterConfig, {"history": {"normalisation": "running"}}),
        (ForecasterConfig, {"head": "segments", "bidirectional": True}),
        (ForecastDecoderConfig, {"bidirectional": True}),
        (SeasonalForecasterConfig, {"bidirectional": True}),
        (SeasonalForecasterConfig, {"dilations": [0]}),
        (AutoregressiveForecasterConfig, {"carry": True}),
        (AutoregressiveForecasterConfig, {"bidirectional": True}),
    ],
)
def test_options_that_do_not_fit_are_refused(config: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs? |is for history\.carry|are 1 or more"):
        config.model_validate(options)


def test_what_a_task_lacks_is_named() -> None:
    spec = TaskSpec(InputKind.VECTORS, 1, 1, Resolution.STEP)
    with pytest.raises(ConfigError, match="forecasting"):
        Forecaster(ForecasterConfig(), spec)
    with pytest.raises(ConfigError, match="end with the history"):
        AutoregressiveForecaster(AutoregressiveForecasterConfig(), spec_of(replace(SIZES, past_size=1)))
    decoder = ForecastDecoder(ForecastDecoderConfig(), spec_of())
    with pytest.raises(ShapeError, match="known ahead"):
        decoder(replace(window(), future_known=None))
    with pytest.raises(ShapeError, match="draw paths"):
        build("autoregressive-forecaster", {})(replace(window(), shifted=None))
