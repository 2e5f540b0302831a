"""Convolutions over padded rows: as torch's own on each row alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recurra.core.config import parse
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences, pad
from recurra.layers import ConvolutionConfig, Convolutions, StepNorm


def test_normalisation_is_that_of_the_real_steps() -> None:
    rows = [torch.randn(4, length) * 3 + 1 for length in (5, 2, 7)]
    own, other = StepNorm(4).train(), nn.BatchNorm1d(4, momentum=None).train()
    nn.init.normal_(own.weight)
    nn.init.normal_(own.bias)
    other.load_state_dict(dict(own.named_parameters()), strict=False)
    for _ in range(3):
        values = torch.randn(2, 4, 5)
        torch.testing.assert_close(own(values, None), other(values))
    padded = pad([row.T for row in rows], torch.nan)
    found = own(padded.data.transpose(1, 2), padded.lengths)
    wanted = other(torch.cat(rows, dim=1)[None])[0]
    torch.testing.assert_close(torch.cat([row[:, :n] for row, n in zip(found, (5, 2, 7), strict=True)], 1), wanted)
    assert (found[1, :, 2:] == 0).all()
    torch.testing.assert_close(own.running_mean, other.running_mean)
    torch.testing.assert_close(own.running_var, other.running_var)
    full = torch.randn(3, 4, 6)
    torch.testing.assert_close(own.eval()(full, None), other.eval()(full))
    torch.testing.assert_close(own.eval()(full, torch.tensor([6, 6, 6])), other.eval()(full))


def test_later_batches_have_the_least_weight() -> None:
    norm = StepNorm(1, momentum=0.25).train()
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        norm(torch.full((2, 1, 3), value), None)
    assert norm.running_mean.item() == pytest.approx((1 + 2 + 3 + 4) / 4 * 0.75 + 5 * 0.25)


@pytest.mark.parametrize("lengths", [[0, 0], [1, 0], []])
def test_too_few_steps_for_a_variance_leave_the_running_one(lengths: list[int]) -> None:
    norm = StepNorm(2).train()
    found = norm(torch.ones(len(lengths), 2, 3), torch.tensor(lengths, dtype=torch.int64))
    assert torch.isfinite(found).all() and (norm.running_mean == 0).all() and (norm.running_var == 1).all()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 1), (5, 2), (2, 3)])
def test_each_row_as_by_itself(kernel: int, stride: int) -> None:
    config = ConvolutionConfig(filters=(6,), kernel_sizes=(kernel,), strides=(stride,))
    layer = Convolutions(3, config).eval()
    rows = [torch.randn(length, 3) for length in (1, 8, 5)]
    found = layer(pad(rows, torch.nan))
    assert found.lengths is not None and found.lengths.tolist() == [-(-len(row) // stride) for row in rows]
    before = (kernel - 1) // 2
    for row, given in zip(rows, found.unpad(), strict=True):
        padded = F.pad(row.T[None], (before, kernel - 1 - before))
        wanted = torch.relu(layer.blocks[0].norm(F.conv1d(padded, layer.blocks[0].weight, stride=stride), None))
        torch.testing.assert_close(given, wanted[0].T)


def test_dropout_takes_whole_channels_in_training_only() -> None:
    layer = Convolutions(3, ConvolutionConfig(filters=(40,), kernel_sizes=(3,), dropout=0.5)).train()
    found = layer(Sequences(torch.randn(2, 30, 3))).data
    silent = (found == 0).all(dim=1)
    assert 0.2 < silent.float().mean() < 0.8
    assert not (layer.eval()(Sequences(torch.randn(2, 30, 3))).data == 0).all(dim=1).any()


def test_faults() -> None:
    with pytest.raises(ConfigError, match="as many entries each"):
        parse(ConvolutionConfig, {"filters": [4, 4], "kernel_sizes": [3]})
    with pytest.raises(ConfigError, match="1 or more"):
        parse(ConvolutionConfig, {"filters": [4], "kernel_sizes": [0]})
    with pytest.raises(ShapeError, match=r"\(B, T, 3\) is wanted"):
        Convolutions(3)(Sequences(torch.zeros(2, 5, 4)))
