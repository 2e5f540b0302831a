"""Histories: their last steps, patches and scales, beside the same in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.core.sequences import Sequences, pad
from recurra.layers.scaling import RunningScale, scale_window
from recurra.layers.windows import aligned_right, append, patches, recent

LENGTHS = (7, 0, 3, 1, 5)


def rows(seed: int = 1) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 2, generator=draw) for length in LENGTHS]


def same(found: Sequences, wanted: list[Tensor]) -> None:
    for one, other in zip(found.unpad(), wanted, strict=True):
        assert torch.equal(one, other)
    assert not found.data[~found.mask].any()


@pytest.mark.parametrize("count", [1, 3, 9])
def test_last_steps(count: int) -> None:
    same(recent(pad(rows(), torch.nan), count), [row[-count:] for row in rows()])


@pytest.mark.parametrize("count", [1, 4, 20])
def test_two_parts_make_one(count: int) -> None:
    found = append(pad(rows(), torch.nan), pad(rows(2)[::-1], torch.nan), count)
    same(found, [torch.cat([a, b])[-count:] for a, b in zip(rows(), rows(2)[::-1], strict=True)])


def test_aligned_right() -> None:
    found = aligned_right(pad(rows(), torch.nan), 4)
    for one, row in zip(found, rows(), strict=True):
        assert torch.equal(one, torch.cat([torch.zeros(4, 2), row])[-4:])


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (2, 2), (3, 2), (4, 1), (3, 3)])
@pytest.mark.parametrize("full", [False, True])
def test_patches_end_with_the_row(length: int, stride: int, full: bool) -> None:
    given = [torch.randn(9, 2) for _ in range(3)] if full else rows()
    wanted = []
    for row in given:
        ends = list(range(len(row), 0, -stride))
        while len(ends) > 1 and ends[-2] - length <= 0:
            ends.pop()
        padded = torch.cat([torch.zeros(length, 2), row])
        cut = [padded[end : end + length].flatten() for end in reversed(ends)]
        wanted.append(torch.stack(cut) if cut else torch.zeros(0, 2 * length))
    same(patches(Sequences(torch.stack(given)) if full else pad(given, torch.nan), length, stride), wanted)


@pytest.mark.parametrize("kind", ["none", "last", "window", "scaled-last", "mean"])
def test_scales_are_those_of_the_observed_values(kind: str) -> None:
    given = pad(rows(), torch.nan)
    observed = (torch.rand(given.data.shape, generator=torch.Generator().manual_seed(4)) > 0.3).float()
    found = scale_window(kind, given.data, observed, given)  # type: ignore[arg-type]
    for number, row in enumerate(rows()):
        for channel in range(2):
            values, seen = row[:, channel].numpy(), observed[number, : len(row), channel].numpy() > 0
            shift, scale = 0.0, 1.0
            if kind in ("last", "scaled-last") and len(values):
                shift = values[-1]
            if kind in ("window", "scaled-last") and seen.sum() > 1:
                scale = np.sqrt(values[seen].var() + 1e-5)
            if kind == "window" and seen.any():
                shift = values[seen].mean()
            if kind == "mean" and seen.any():
                scale = np.abs(values[seen]).mean()
            assert found.shift[number, 0, channel].item() == pytest.approx(shift, abs=1e-5)
            assert found.scale[number, 0, channel].item() == pytest.approx(scale, rel=1e-5)
            wanted = torch.tensor((values - shift) / scale)
            torch.testing.assert_close(found.values[number, : len(row), channel], wanted, rtol=1e-4, atol=1e-5)


def test_the_running_scale_is_a_discounted_mean_and_spread() -> None:
    memory, steps = 20, 700
    draw = torch.Generator().manual_seed(5)
    values = 1000 + torch.randn(1, steps, 1, generator=draw).cumsum(1)
    observed = (torch.rand(1, steps, 1, generator=draw) > 0.2).float()
    scaled, carried = RunningScale(memory)(values, observed, Sequences(values), torch.zeros(1, 4, 1))
    seen, numbers = observed.flatten().numpy() > 0, values.flatten().double().numpy()
    for step in (5, 100, 255, 256, steps - 1):
        past = np.flatnonzero(seen[: step + 1])
        weights = np.exp(-(step - past) / memory)
        mean = np.average(numbers[past], weights=weights)
        spread = np.sqrt(np.average((numbers[past] - mean) ** 2, weights=weights) + 1e-5)
        assert scaled.values[0, step, 0].item() == pytest.approx((numbers[step] - mean) / spread, abs=2e-3)
    shift, scale = RunningScale(memory).level(carried)
    assert shift.item() == pytest.approx(mean, rel=1e-6)
    assert scale.item() == pytest.approx(spread, rel=1e-3)
