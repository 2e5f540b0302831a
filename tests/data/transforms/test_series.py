"""Changes of training series: seeded, and no more than they say."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.collate import SeriesExample, collate_series
from recurra.data.sampling import BucketedBatches
from recurra.data.transforms import SeriesAugmentConfig, augment_series

RAMP = np.stack([np.arange(50.0), np.ones(50)], 1).astype(np.float32)


def changed(**options: float) -> np.ndarray:
    return augment_series(RAMP, SeriesAugmentConfig(**options), np.random.default_rng(0))  # type: ignore[arg-type]


def test_nothing_asked_nothing_changed() -> None:
    assert not SeriesAugmentConfig().is_active()
    assert not SeriesAugmentConfig(probability=0, jitter=1).is_active()
    np.testing.assert_array_equal(changed(), RAMP)
    np.testing.assert_array_equal(changed(probability=0, jitter=1, scaling=1, time_warp=1, window_slice=0.5), RAMP)


def test_jitter_has_the_asked_deviation() -> None:
    noise = changed(jitter=0.5) - RAMP
    assert noise.std() == pytest.approx(0.5, rel=0.2) and abs(noise.mean()) < 0.2


def test_scaling_is_one_factor_a_dimension() -> None:
    factors = changed(scaling=0.3)[1:] / RAMP[1:]
    np.testing.assert_allclose(factors, np.broadcast_to(factors[0], factors.shape), rtol=1e-5)
    assert factors[0, 0] != factors[0, 1] and (factors[0] != 1).all()


def test_a_time_warp_keeps_order_and_ends() -> None:
    found = changed(time_warp=0.5)
    assert found[0, 0] == 0 and found[-1, 0] == pytest.approx(49)
    assert (np.diff(found[:, 0]) > 0).all() and np.abs(found - RAMP).max() > 1
    np.testing.assert_allclose(found[:, 1], 1, rtol=1e-6)


def test_a_window_slice_is_a_part_stretched() -> None:
    found = changed(window_slice=0.5)
    steps = np.diff(found[:, 0])
    assert len(found) == 50 and found.min() >= 0 and found.max() <= 49
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    assert 0.5 <= steps[0] < 1


@pytest.mark.parametrize("num_steps", [0, 1, 2])
def test_short_series(num_steps: int) -> None:
    config = SeriesAugmentConfig(jitter=0.1, scaling=0.1, time_warp=0.3, window_slice=0.5)
    found = augment_series(RAMP[:num_steps], config, np.random.default_rng(0))
    assert found.shape == (num_steps, 2) and np.isfinite(found).all() and found.dtype == np.float32


def examples() -> list[SeriesExample]:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + index, 2)).astype(np.float32) for index in range(6)]
    return [SeriesExample(row, index % 3, str(index)) for index, row in enumerate(rows)]


def test_mixing_gives_shares_of_classes() -> None:
    mix = SeriesAugmentConfig(mixing=0.5).build(1, examples(), 3)
    for index, example in enumerate(examples()):
        found = mix(example, 0, index)
        assert found.steps.shape == example.steps.shape
        assert found.target.sum() == pytest.approx(1) and found.target[example.target] >= 0.5  # type: ignore[union-attr, index]
    targets = [mix(examples()[0], epoch, 0).target for epoch in range(20)]
    assert len({tuple(target) for target in targets}) > 5  # type: ignore[arg-type]


def test_mixed_numbers_are_means() -> None:
    rows = [SeriesExample(np.full((4, 1), value, np.float32), [value], "") for value in (0.0, 1.0)]
    mix = SeriesAugmentConfig(mixing=1.0).build(0, rows, None)
    for epoch in range(10):
        found = mix(rows[1], epoch, 1)
        np.testing.assert_allclose(found.steps[:, 0], found.target[0], rtol=1e-6)  # type: ignore[index]


def test_the_same_seed_epoch_and_index_give_the_same_change() -> None:
    config = SeriesAugmentConfig(probability=0.5, jitter=0.1, scaling=0.1, time_warp=0.1, window_slice=0.2, mixing=0.3)
    first, second = (config.build(3, examples(), 3) for _ in range(2))
    example = examples()[2]
    for epoch in range(3):
        one, other = first(example, epoch, 2), second(example, epoch, 2)
        np.testing.assert_array_equal(one.steps, other.steps)
    assert not np.array_equal(first(example, 0, 2).steps, first(example, 1, 2).steps)


def test_batches_of_series() -> None:
    stream = BucketedBatches(examples(), 4, collate_series, shuffle=False, length=lambda example: len(example.steps))
    batch = stream.next_batch()
    assert batch is not None and batch.inputs.lengths.tolist() == [10, 9, 8, 7]
    assert batch.inputs.data.shape == (4, 10, 2) and batch.targets.tolist() == [2, 1, 0, 2]
    assert (batch.inputs.data[1, 9] == 0).all() and batch.ids == ("5", "4", "3", "2")
    alone = collate_series(examples()[:1])
    assert alone.inputs.lengths is None
    empty = collate_series([SeriesExample(np.zeros((0, 2), np.float32), 0, "")])
    assert empty.inputs.data.shape == (1, 1, 2) and empty.inputs.lengths.tolist() == [0]
