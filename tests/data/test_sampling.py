"""BucketedBatches: shuffling, buckets, order, augmentation."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.core.errors import ConfigError, DataError
from recurra.data import BucketedBatches, Example, Shard, TextAugmentConfig


def examples_of(lengths: list[int]) -> list[Example]:
    return [Example([7] * length, 0, str(index)) for index, length in enumerate(lengths)]


def orders(stream: BucketedBatches) -> list[tuple[int, ...]]:
    found = []
    while stream.next_batch() is not None:
        found.append(stream.last_indices)
    return found


RANDOM = examples_of(np.random.default_rng(0).integers(1, 200, size=1000).tolist())


def test_order_depends_on_seed_and_epoch() -> None:
    stream = BucketedBatches(RANDOM, 8, seed=1)
    first, second = orders(stream), orders(stream)
    again = BucketedBatches(RANDOM, 8, seed=1)
    assert (orders(again), orders(again)) == (first, second)
    assert first != second
    assert orders(BucketedBatches(RANDOM, 8, seed=2)) != first


def test_little_padding_yet_shuffled() -> None:
    stream = BucketedBatches(RANDOM, 8, seed=1)
    cells = real = 0
    means = []
    while (batch := stream.next_batch()) is not None:
        cells += batch.inputs.data.numel()
        real += batch.inputs.num_real_steps()
        means.append(batch.inputs.num_real_steps() / batch.inputs.batch_size)
    assert real / cells > 0.95
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_evaluation_is_sorted_and_the_order_can_be_restored() -> None:
    stream = BucketedBatches(examples_of([3, 9, 1, 9, 5]), 2, shuffle=False)
    assert orders(stream) == [(1, 3), (4, 0), (2,)]
    batch = stream.next_batch()
    assert batch is not None and batch.ids == ("1", "3")


def test_a_process_without_rows_gets_a_blank_batch() -> None:
    stream = BucketedBatches(examples_of([3, 2, 1]), 2, shuffle=False, shard=Shard(1, 2))
    first, last = stream.next_batch(), stream.next_batch()
    assert first is not None and first.ids == ("1",)
    assert last is not None and last.blank and not first.blank
    assert stream.last_indices == ()


def test_augmentation_depends_on_example_and_epoch_only() -> None:
    config = TextAugmentConfig(deletion=0.3)
    examples = [Example(list(range(2, 30)), 0, str(n)) for n in range(20)]

    def drawn(stream: BucketedBatches) -> dict[str, list[int]]:
        rows = {}
        while (batch := stream.next_batch()) is not None:
            rows |= dict(zip(batch.ids, [row.tolist() for row in batch.inputs.unpad()], strict=True))
        return rows

    def make(batch_size: int, shard: Shard) -> BucketedBatches:
        return BucketedBatches(examples, batch_size, augment=config.build(5, unk_index=0), shard=shard)

    stream = make(4, Shard())
    first, second = drawn(stream), drawn(stream)
    assert first != second
    assert drawn(make(7, Shard())) == first
    assert drawn(make(4, Shard(0, 2))) | drawn(make(4, Shard(1, 2))) == first
    resumed = make(4, Shard())
    resumed.load_state_dict(stream.state_dict() | {"epoch": 1, "batch": 2})
    later = drawn(resumed)
    assert len(later) == 12 and later.items() <= second.items()


def test_bad_arguments() -> None:
    with pytest.raises(DataError, match="no examples"):
        BucketedBatches([], 4)
    with pytest.raises(ConfigError, match="at least 1"):
        BucketedBatches(examples_of([1]), 0)
