"""Likelihoods of forecasts against torch.distributions and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from recurra.core.config import parse
from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast
from recurra.losses import LIKELIHOODS, Likelihood, QuantileConfig
from recurra.losses.beta import incomplete_beta
from recurra.losses.distributions import student_t_quantile

B, H, C = 3, 4, 2
LEVELS = torch.tensor([0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.995], dtype=torch.float64)
DENSITIES = ("normal", "student-t", "negative-binomial")
SPREADS = (*DENSITIES, "quantile")


def made(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Likelihood, Forecast, Tensor]:
    """A likelihood, a forecast whose parameters want a gradient, and targets."""
    likelihood: Likelihood = LIKELIHOODS[kind]().build()
    source = torch.Generator().manual_seed(1)
    parameters = torch.randn(B, H, C, likelihood.num_parameters, generator=source, dtype=dtype).requires_grad_()
    shift = torch.randn(B, 1, C, generator=source, dtype=dtype)
    scale = torch.rand(B, H, C, generator=source, dtype=dtype) + 0.5
    targets = torch.randn(B, H, C, generator=source, dtype=dtype) * 3
    if likelihood.is_count:
        targets = targets.abs().round()
    return likelihood, Forecast(parameters, shift, scale), targets


def reference(kind: str, forecast: Forecast) -> torch.distributions.Distribution:
    """The same distribution of torch's, on the window's units."""
    first, second = forecast.parameters[..., 0], F.softplus(forecast.parameters[..., 1]) + 1e-4
    shift, scale = forecast.shift, forecast.scale
    if kind == "normal":
        return torch.distributions.Normal(shift + scale * first, scale * second)
    if kind == "student-t":
        freedom = 2 + F.softplus(forecast.parameters[..., 2])
        return torch.distributions.StudentT(freedom, shift + scale * first, scale * second)
    mean = scale * F.softplus(first + shift / scale) + 1e-4
    successes = 1 / (F.softplus(forecast.parameters[..., 1]) / scale.sqrt() + 1e-4)
    return torch.distributions.NegativeBinomial(successes, probs=mean / (mean + successes))


@pytest.mark.parametrize("kind", DENSITIES)
def test_density_and_its_gradient_are_torchs(kind: str) -> None:
    likelihood, forecast, targets = made(kind)
    found, wanted = likelihood.loss(forecast, targets), -reference(kind, forecast).log_prob(targets)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(loss.sum(), forecast.parameters, retain_graph=True)[0] for loss in (found, wanted)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(likelihood.mean(forecast), reference(kind, forecast).mean)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_gradients_are_those_of_small_differences(kind: str) -> None:
    likelihood, forecast, targets = made(kind)
    targets = targets + (0 if likelihood.is_count else 0.01)
    assert torch.autograd.gradcheck(
        lambda raw: likelihood.loss(forecast._replace(parameters=raw), targets), forecast.parameters
    )


@pytest.mark.parametrize(("kind", "error"), [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)])
def test_points_cost_torchs_errors_and_know_no_distribution(kind: str, error: object) -> None:
    likelihood, forecast, targets = made(kind)
    point = forecast.shift + forecast.scale * forecast.parameters[..., 0]
    torch.testing.assert_close(likelihood.loss(forecast, targets), error(point, targets, reduction="none"))  # type: ignore[operator]
    torch.testing.assert_close(likelihood.mean(forecast), point)
    assert not likelihood.is_distribution
    with pytest.raises(ConfigError, match=r"task\.likelihood=quantile"):
        likelihood.quantile(forecast, LEVELS)
    with pytest.raises(ConfigError, match="neither intervals"):
        likelihood.sample(forecast.parameters, forecast.shift, forecast.scale, None)


def test_quantiles_of_distributions_are_scipys() -> None:
    _, forecast, _ = made("normal")
    flat = {kind: [p.detach().numpy()[..., None] for p in forecast_numbers(kind)] for kind in DENSITIES}
    wanted = {
        "normal": stats.norm.ppf(LEVELS.numpy(), *flat["normal"]),
        "student-t": stats.t.ppf(LEVELS.numpy(), *flat["student-t"]),
        "negative-binomial": stats.nbinom.ppf(LEVELS.numpy(), *flat["negative-binomial"]),
    }
    for kind in DENSITIES:
        likelihood, forecast, _ = made(kind)
        found = likelihood.quantile(forecast, LEVELS).detach().numpy()
        np.testing.assert_allclose(found, wanted[kind], rtol=1e-5, atol=1e-5, err_msg=kind)


def forecast_numbers(kind: str) -> tuple[Tensor, ...]:
    """scipy's arguments of the distribution."""
    same = reference(kind, made(kind)[1])
    if isinstance(same, torch.distributions.NegativeBinomial):
        return same.total_count, 1 - same.probs
    if isinstance(same, torch.distributions.StudentT):
        return same.df, same.loc, same.scale
    assert isinstance(same, torch.distributions.Normal)
    return same.loc, same.scale


def test_counts_of_wide_range_have_scipys_quantiles() -> None:
    likelihood = LIKELIHOODS["negative-binomial"]().build()
    raw = torch.tensor([[-20.0, 0.0], [2.0, -12.0], [400.0, 3.0], [5000.0, -7.0], [0.5, 5.0]], dtype=torch.float64)
    zero, one = torch.zeros(5, 1, 1, dtype=torch.float64), torch.ones(5, 1, 1, dtype=torch.float64)
    found = likelihood.quantile(Forecast(raw[:, None, None], zero, one), LEVELS)[:, 0, 0]
    mean, dispersion = F.softplus(raw[:, 0]) + 1e-4, F.softplus(raw[:, 1]) + 1e-4
    wanted = stats.nbinom.ppf(LEVELS.numpy(), (1 / dispersion)[:, None], (1 / (1 + dispersion * mean))[:, None])
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("kind", SPREADS)
def test_draws_have_the_distributions_quantiles(kind: str) -> None:
    likelihood, forecast, _ = made(kind)
    forecast = Forecast(forecast.parameters[:1, :1, :1].detach(), forecast.shift[:1, :, :1], forecast.scale[:1, :1, :1])
    many = 40_000
    generator = torch.Generator().manual_seed(2)
    parameters = forecast.parameters.expand(many, 1, 1, -1)
    drawn = likelihood.sample(parameters, forecast.shift, forecast.scale, generator).flatten()
    assert drawn.shape == (many,)
    for level, value in zip(LEVELS[1:-1], likelihood.quantile(forecast, LEVELS[1:-1]).flatten(), strict=True):
        below, at_most = float((drawn < value).double().mean()), float((drawn <= value).double().mean())
        assert below - 0.01 <= level <= at_most + 0.01
    again = likelihood.sample(parameters, forecast.shift, forecast.scale, torch.Generator().manual_seed(2))
    torch.testing.assert_close(drawn, again.flatten())


@pytest.mark.parametrize("kind", SPREADS)
def test_quantiles_never_cross(kind: str) -> None:
    likelihood, forecast, _ = made(kind)
    wild = forecast._replace(parameters=forecast.parameters.detach() * 20)
    assert bool((likelihood.quantile(wild, LEVELS).diff(dim=-1) >= 0).all())


def test_trained_quantiles_come_back_and_those_between_lie_on_normal_paper() -> None:
    likelihood = QuantileConfig(quantiles=(0.1, 0.5, 0.9)).build()
    wanted = stats.norm.ppf([0.1, 0.5, 0.9])
    forecast = Forecast(torch.tensor(wanted).view(1, 1, 1, 3).flip(-1), torch.full((1, 1, 1), 7.0), torch.ones(1, 1, 1))
    np.testing.assert_allclose(likelihood.quantile(forecast, LEVELS).flatten(), 7 + stats.norm.ppf(LEVELS), atol=1e-6)
    assert likelihood.mean(forecast).item() == pytest.approx(7)


def test_pinball_loss_is_the_formula_and_its_median_the_absolute_error() -> None:
    likelihood, forecast, targets = made("quantile")
    levels = np.array(QuantileConfig().quantiles)
    found = (forecast.shift[..., None] + forecast.scale[..., None] * forecast.parameters).detach().numpy()
    error = targets.numpy()[..., None] - found
    wanted = 2 * np.where(error >= 0, levels * error, (levels - 1) * error).mean(-1)
    np.testing.assert_allclose(likelihood.loss(forecast, targets).detach(), wanted)
    median = QuantileConfig(quantiles=(0.5,)).build()
    one = forecast._replace(parameters=forecast.parameters[..., :1])
    torch.testing.assert_close(median.loss(one, targets), (targets - median.mean(one)).abs())


@pytest.mark.parametrize("quantiles", [[], [0.5, 0.5], [0.9, 0.1], [0.0, 0.5], [0.5, 1.0]])
def test_quantiles_that_do_not_rise_are_refused(quantiles: list[float]) -> None:
    with pytest.raises(ConfigError, match="quantiles"):
        parse(QuantileConfig, {"quantiles": quantiles})


@pytest.mark.parametrize("kind", SPREADS)
def test_sample_paths_count_before_parameters(kind: str) -> None:
    likelihood, forecast, _ = made(kind)
    paths = torch.randn(B, 11, H, C, dtype=torch.float64)
    drawn = forecast._replace(samples=paths)
    wanted = np.quantile(paths.numpy(), LEVELS.numpy(), axis=1)
    np.testing.assert_allclose(likelihood.quantile(drawn, LEVELS), np.moveaxis(wanted, 0, -1))
    if kind != "quantile":
        torch.testing.assert_close(likelihood.mean(drawn), paths.mean(1))


def test_incomplete_beta_is_scipys() -> None:
    a, b, x = np.meshgrid([0.01, 0.5, 2.0, 300.0, 1e4], [0.02, 0.5, 7.0, 5000.0], [0.0, 1e-6, 0.03, 0.5, 0.97, 1.0])
    found = incomplete_beta(torch.tensor(a), torch.tensor(b), torch.tensor(x))
    np.testing.assert_allclose(found.numpy(), stats.beta.cdf(x, a, b), atol=1e-9)


def test_quantiles_of_student_are_scipys_from_two_degrees_to_normal() -> None:
    freedom, levels = np.meshgrid([2.0, 2.1, 5.0, 1e3, 1e6], LEVELS)
    found = student_t_quantile(torch.tensor(freedom), torch.tensor(levels))
    np.testing.assert_allclose(found.numpy(), stats.t.ppf(levels, freedom), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", DENSITIES)
def test_a_far_value_keeps_loss_and_gradient_finite(kind: str) -> None:
    likelihood, forecast, targets = made(kind, torch.float32)
    loss = likelihood.loss(forecast, (targets + 1).abs() * 1e4).sum()
    (gradient,) = torch.autograd.grad(loss, forecast.parameters)
    assert math.isfinite(loss.item())
    assert bool(gradient.isfinite().all())
