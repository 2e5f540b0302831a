from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.layers.pooling import Pooling, PoolingKind

KINDS = get_args(PoolingKind)
LENGTHS = torch.tensor([3, 0, 5, 1])


def filled(padding: float) -> Sequences:
    """Four rows of up to five steps, with `padding` behind their ends."""
    data = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(5) < LENGTHS[:, None]
    return Sequences(torch.where(mask[..., None], data, padding).requires_grad_(), LENGTHS)


def results(pooling: Pooling, inputs: Sequences) -> tuple[Tensor, ...]:
    pooled = pooling(inputs)
    return pooled, *torch.autograd.grad(pooled.square().sum(), [inputs.data, *pooling.parameters()])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_never_read(kind: PoolingKind, bidirectional: bool) -> None:
    pooling = Pooling(kind, 6, bidirectional)
    zeros, nans = (results(pooling, filled(padding)) for padding in (0.0, float("nan")))
    for first, second in zip(zeros, nans, strict=True):
        assert second.isfinite().all()
        assert torch.equal(first, second)
    assert not zeros[1][torch.arange(5) >= LENGTHS[:, None]].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_equals_the_row_in_a_batch(kind: PoolingKind) -> None:
    pooling = Pooling(kind, 6, bidirectional=True)
    inputs = filled(7.0)
    pooled = pooling(inputs)
    assert pooled.shape == (4, pooling.output_size)
    for row, alone in zip(pooled, inputs.unpad(), strict=True):
        if len(alone):
            torch.testing.assert_close(row, pooling(Sequences(alone[None]))[0])
        else:
            assert not row.any()


def test_values() -> None:
    data = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [99.0, 99.0]]])
    inputs = Sequences(data, torch.tensor([2]))
    assert Pooling("last", 2)(inputs).tolist() == [[3, 2]]
    assert Pooling("last", 2, bidirectional=True)(inputs).tolist() == [[3, 8]]
    assert Pooling("mean", 2)(inputs).tolist() == [[2, 5]]
    assert Pooling("max", 2)(inputs).tolist() == [[3, 8]]
    assert Pooling("concat", 2)(inputs).tolist() == [[3, 2, 3, 8, 2, 5]]
    pooled = Pooling("attention", 2)(inputs)
    assert 1 <= pooled[0, 0].item() <= 3


def test_negative_rows_have_a_negative_maximum() -> None:
    assert Pooling("max", 1)(Sequences(torch.full((1, 3, 1), -2.0), torch.tensor([2]))).item() == -2


@pytest.mark.parametrize("kind", KINDS)
def test_no_steps_give_zeros(kind: PoolingKind) -> None:
    pooling = Pooling(kind, 6)
    pooled = pooling(Sequences(torch.zeros(3, 0, 6), torch.zeros(3, dtype=torch.int64)))
    assert pooled.shape == (3, pooling.output_size)
    assert not pooled.any()


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"no pooling `maxx`. Did you mean `max`"):
        Pooling("maxx", 6)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="even"):
        Pooling("last", 5, bidirectional=True)
    with pytest.raises(ShapeError, match=r"\(B, T, 6\) is wanted"):
        Pooling("last", 6)(Sequences(torch.zeros(2, 3, 5)))
