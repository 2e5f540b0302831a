"""Optimizers: groups, clipping, penalties."""

import pytest
import torch
from torch import nn

from recurra.training.optimizer import OPTIMIZERS, AdamWConfig, SGDConfig, clip, penalise, set_rates


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor([list(values)]))


def test_discriminative_rates_fall_from_top_to_bottom():
    groups = [[parameter(1.0)], [parameter(1.0)], [parameter(1.0)]]
    optimizer = SGDConfig(learning_rate=2.6**2, discriminative=2.6).build(groups)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 2.6, 2.6**2])
    set_rates(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 1.3, 2.6**2 / 2])


def test_clipping_by_norm_keeps_the_direction_and_reports_the_norm_before():
    weight = parameter(0.0, 0.0)
    weight.grad = torch.tensor([[30.0, 40.0]])
    norm = clip([weight], SGDConfig(clip_norm=1.0))
    assert norm.item() == pytest.approx(50.0)
    assert weight.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    assert weight.grad[0, 1] / weight.grad[0, 0] == pytest.approx(4 / 3)


def test_clipping_by_value_clamps_each_entry():
    weight = parameter(0.0, 0.0)
    weight.grad = torch.tensor([[-30.0, 0.5]])
    clip([weight], SGDConfig(clip_value=1.0))
    assert weight.grad.tolist() == [[-1.0, 0.5]]


def test_penalties_fall_on_matrices_only():
    weight, bias = parameter(2.0, -3.0), nn.Parameter(torch.tensor([5.0]))
    config = SGDConfig(learning_rate=0.1, l1=0.5, l2=0.25, weight_decay=0.1)
    optimizer = config.build([[weight, bias]])
    weight.grad, bias.grad = torch.zeros_like(weight), torch.zeros_like(bias)
    penalise(optimizer, config)
    assert weight.grad.tolist() == [[0.5 + 0.5, -0.5 - 0.75]]
    assert bias.grad.tolist() == [0.0]
    assert weight.tolist()[0] == pytest.approx([2 * 0.99, -3 * 0.99])
    assert bias.item() == 5.0


def test_adamw_equals_torch_with_the_same_decay():
    ours, theirs = parameter(1.0, 2.0), parameter(1.0, 2.0)
    config = AdamWConfig(learning_rate=0.1, weight_decay=0.2)
    optimizer, reference = config.build([[ours]]), torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.2)
    for _ in range(5):
        for weight, optim in ((ours, optimizer), (theirs, reference)):
            weight.grad = weight.detach() * 0.3 + 0.1
            if optim is optimizer:
                penalise(optimizer, config)
            optim.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_lowers_a_quadratic(kind):
    weight = parameter(3.0, -2.0)
    optimizer = OPTIMIZERS[kind](learning_rate=0.05).build([[weight]])
    start = weight.square().sum().item()
    for _ in range(50):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.square().sum().item() < 0.9 * start


def test_nesterov_and_momentum_are_read():
    ends = []
    for config in (SGDConfig(momentum=0.0), SGDConfig(momentum=0.9), SGDConfig(momentum=0.9, nesterov=True)):
        weight = parameter(1.0, 1.0)
        optimizer = config.build([[weight]])
        for _ in range(3):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
        ends.append(weight[0, 0].item())
    assert len({round(end, 8) for end in ends}) == 3
