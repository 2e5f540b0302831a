"""Laws of every stream: nothing dropped, nothing twice, stop and go on anywhere, shares of several processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from recurra.core.batch import Batch, BatchStream
from recurra.core.errors import ConfigError
from recurra.data import BucketedBatches, Example, Shard, TokenCorpus, TokenStream
from recurra.data.sharding import ONE_PROCESS


def make_tokens(shard: Shard = ONE_PROCESS, **options: Any) -> TokenStream:
    corpus = TokenCorpus(np.arange(2, 333, dtype=np.int32), np.array([0, 7, 8, 100, 250]))
    return TokenStream(corpus, 4, 9, seed=3, shard=shard, **options)


def make_jittered(shard: Shard = ONE_PROCESS) -> TokenStream:
    return make_tokens(shard, jitter=4)


def make_examples() -> list[Example]:
    rng = np.random.default_rng(0)
    return [Example(np.full(rng.integers(0, 30), index + 1), index, str(index)) for index in range(203)]


def make_shuffled(shard: Shard = ONE_PROCESS) -> BucketedBatches:
    return BucketedBatches(make_examples(), 4, seed=3, shard=shard)


def make_sorted(shard: Shard = ONE_PROCESS) -> BucketedBatches:
    return BucketedBatches(make_examples(), 4, shuffle=False, shard=shard)


STREAMS: dict[str, Callable[..., BatchStream]] = {
    "tokens": make_tokens,
    "tokens-jittered": make_jittered,
    "bucketed": make_shuffled,
    "sorted": make_sorted,
}
every_stream = pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS)


def epoch(stream: BatchStream) -> list[Batch]:
    batches = []
    while (batch := stream.next_batch()) is not None:
        batches.append(batch)
    return batches


def assert_same(first: Batch | None, second: Batch | None) -> None:
    if first is None or second is None:
        assert first is second
        return
    assert first.ids == second.ids
    for name in ("data", "lengths", "reset"):
        a, b = getattr(first.inputs, name), getattr(second.inputs, name)
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)
    assert torch.equal(first.targets, second.targets)


def targets_of(batch: Batch) -> list[int]:
    """All real targets of a batch."""
    if batch.targets.dim() == 1:
        return batch.targets.tolist()
    return batch.targets[batch.inputs.mask].tolist()


@every_stream
def test_everything_comes_once_an_epoch(make: Callable[..., BatchStream]) -> None:
    stream = make()
    first = sorted(target for batch in epoch(stream) for target in targets_of(batch))
    second = sorted(target for batch in epoch(stream) for target in targets_of(batch))
    assert first == second == list(range(first[0], first[0] + len(first)))


@every_stream
def test_each_row_of_an_epoch_has_its_place(make: Callable[..., BatchStream]) -> None:
    stream = make()
    rows = []
    while (batch := stream.next_batch()) is not None:
        lengths = batch.inputs.lengths
        sizes = [batch.inputs.data.shape[1]] * len(batch.targets) if lengths is None else lengths.tolist()
        targets = [row[:size].tolist() if batch.targets.dim() > 1 else [int(row)]
                   for row, size in zip(batch.targets, sizes, strict=True)]  # fmt: skip
        rows += zip(stream.last_indices, targets, strict=True)
    places = [place for place, _ in rows]
    assert sorted(places) == list(range(len(rows)))
    ordered = [target for _, own in sorted(rows) for target in own]
    assert ordered == sorted(ordered), "these splits count up"


@every_stream
def test_number_of_batches(make: Callable[..., BatchStream]) -> None:
    stream = make()
    expected = stream.batches_per_epoch()
    assert len(epoch(stream)) == expected


@every_stream
@pytest.mark.parametrize("num_taken", [0, 1, 5, 9, 200])
def test_resumed_goes_on_identically(make: Callable[..., BatchStream], num_taken: int) -> None:
    stream = make()
    for _ in range(num_taken):
        stream.next_batch()
    position = json.loads(json.dumps(stream.state_dict()))
    resumed = make()
    resumed.next_batch()
    resumed.load_state_dict(position)
    for _ in range(120):
        assert_same(stream.next_batch(), resumed.next_batch())


@every_stream
@pytest.mark.parametrize("world_size", [2, 3])
def test_shares_of_processes_make_up_the_global_batch(make: Callable[..., BatchStream], world_size: int) -> None:
    whole = make()
    shares = [make(Shard(rank, world_size)) for rank in range(world_size)]
    for _ in range(2 * whole.batches_per_epoch() + 3):
        batch, parts = whole.next_batch(), [share.next_batch() for share in shares]
        if batch is None:
            assert parts == [None] * world_size
            continue
        masks = batch.inputs.mask
        for rank, part in enumerate(parts):
            assert part is not None
            assert torch.equal(part.targets, batch.targets[rank::world_size])
            assert part.ids == batch.ids[rank::world_size]
            rows = batch.inputs.data[rank::world_size][masks[rank::world_size]]
            assert torch.equal(part.inputs.data[part.inputs.mask], rows)
            if batch.inputs.reset is not None and part.inputs.reset is None:
                assert not batch.inputs.reset[rank::world_size].any()
        assert whole.state_dict() == shares[-1].state_dict()


@every_stream
def test_position_of_another_stream_is_refused(make: Callable[..., BatchStream]) -> None:
    position = make().state_dict() | {"batch_size": 5}
    with pytest.raises(ConfigError, match="batch_size 5 then, 4 now"):
        make().load_state_dict(position)


@every_stream
def test_more_processes_than_rows_are_refused(make: Callable[..., BatchStream]) -> None:
    with pytest.raises(ConfigError, match="less than the 5 processes"):
        make(Shard(0, 5))


@every_stream
def test_batches_do_not_share_memory(make: Callable[..., BatchStream]) -> None:
    stream = make()
    first = stream.next_batch()
    assert first is not None
    before = first.inputs.data.clone()
    first.targets.add_(1)
    stream.next_batch()
    assert torch.equal(first.inputs.data, before)
