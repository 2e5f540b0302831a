"""Masks that stay the same over time."""

from __future__ import annotations

import pytest
import torch

from recurra.core.errors import ConfigError
from recurra.core.seeding import load_rng_state, rng_state
from recurra.layers.dropout import EmbeddingDropout, LockedDropout, drop_rows, locked_dropout


def test_locked_dropout_drops_the_same_features_at_every_step_and_others_in_each_row() -> None:
    layer = LockedDropout(0.4)
    ys = layer(torch.ones(50, 6, 40))
    assert torch.equal(ys, ys[:, :1].expand_as(ys))
    assert len({tuple(row.tolist()) for row in ys[:, 0]}) == 50
    assert ys.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert abs((ys == 0).float().mean() - 0.4) < 0.03


def test_embedding_dropout_drops_whole_rows() -> None:
    weight = EmbeddingDropout(0.25)(torch.ones(1000, 3))
    assert torch.equal(weight, weight[:, :1].expand_as(weight))
    assert weight.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert abs((weight == 0).float().mean() - 0.25) < 0.05


@pytest.mark.parametrize("kind", [LockedDropout, EmbeddingDropout])
def test_off_in_eval_mode_and_at_zero(kind: type[LockedDropout | EmbeddingDropout]) -> None:
    xs = torch.randn(4, 5, 6)
    assert kind(0.5).eval()(xs) is xs
    assert kind(0.0)(xs) is xs
    assert repr(kind(0.5)) == f"{kind.__name__}(0.5)"
    for wrong in (-0.1, 1.1):
        with pytest.raises(
            ConfigError, match=rf"{kind.__name__}\(probability={wrong}\): a probability is wanted, 0..1"
        ):
            kind(wrong)


def test_probability_one_gives_zeros_without_nan() -> None:
    assert (locked_dropout(torch.ones(2, 3, 4), 1.0, True) == 0).all()
    assert (drop_rows(torch.ones(2, 3), 1.0, True) == 0).all()


def test_masks_come_from_torchs_default_generator() -> None:
    xs, before = torch.ones(4, 5, 60), rng_state()
    first = locked_dropout(xs, 0.5, True)
    assert not torch.equal(locked_dropout(xs, 0.5, True), first)
    load_rng_state(before)
    assert torch.equal(locked_dropout(xs, 0.5, True), first)
