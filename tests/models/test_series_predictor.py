"""What is special to the models of running series: state, causality, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recurra.core.batch import InputKind, Resolution, TaskSpec, WindowSpec
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.models import SeriesAutoencoder, SeriesAutoencoderConfig, SeriesPredictor, SeriesPredictorConfig

AHEAD = TaskSpec(InputKind.VECTORS, 3, 8, Resolution.STEP, window=WindowSpec(3, 16, target_size=2, num_parameters=2))
SAME = replace(AHEAD, output_size=4, window=WindowSpec(0, 16, target_size=2, num_parameters=2))
VALUES = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_predictor_goes_on_where_it_stopped(cell: str) -> None:
    model = SeriesPredictor(SeriesPredictorConfig.model_validate({"cell": cell, "num_layers": 2}), AHEAD).eval()
    whole = model(Sequences(VALUES)).prediction
    first, state, _ = model(Sequences(VALUES[:, :7]))
    parts = [first]
    for step in VALUES[:, 7:].unbind(1):
        forecast, state = model.step(step, state)
        parts.append(forecast)
    for place in range(3):
        torch.testing.assert_close(torch.cat([part[place] for part in parts], 1), whole[place], rtol=1e-5, atol=1e-6)


def test_a_predictor_starts_from_the_last_value() -> None:
    model = SeriesPredictor(SeriesPredictorConfig(), AHEAD).eval()
    with torch.no_grad():
        model.head.weight.zero_()
    forecast = model(Sequences(VALUES)).prediction
    found = forecast.shift + forecast.scale * forecast.parameters[..., 0]
    assert torch.equal(found, VALUES[..., [0, 0, 1, 1]])


def test_a_window_is_told_again_from_few_numbers() -> None:
    torch.manual_seed(0)
    model = SeriesAutoencoder(SeriesAutoencoderConfig(latent_size=2), SAME)
    time = torch.linspace(0, 6.28, 12)
    phases = torch.rand(64, 1, 1) * 6.28
    waves = torch.sin(time[None, :, None] + phases).expand(-1, -1, 3).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        forecast = model(Sequences(waves)).prediction
        loss = (forecast.parameters[..., 0] - waves[..., :2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * waves.var()


def test_tasks_and_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"task\.method=prediction"):
        SeriesPredictor(SeriesPredictorConfig(), SAME)
    with pytest.raises(ConfigError, match=r"task\.method=reconstruction"):
        SeriesAutoencoder(SeriesAutoencoderConfig(), AHEAD)
    with pytest.raises(ConfigError, match="bidirectional"):
        SeriesPredictor(SeriesPredictorConfig(bidirectional=True), AHEAD)
    with pytest.raises(ConfigError, match="bidirectional"):
        SeriesAutoencoder(SeriesAutoencoderConfig(bidirectional=True), SAME)
    with pytest.raises(ConfigError, match="can't go on from a state"):
        SeriesAutoencoder(SeriesAutoencoderConfig(), SAME)(Sequences(VALUES), (VALUES,))
