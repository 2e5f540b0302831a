"""Streams of drawn examples: never the same twice, the same at every start, shared out between processes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError
from recurra.data import Example, FreshBatches, Shard, collate_tokens, drawn_by
from recurra.data.sharding import ONE_PROCESS


def draw(rng: np.random.Generator, num_examples: int) -> list[Example]:
    return [
        Example(rng.integers(0, 9, rng.integers(1, 6)), int(rng.integers(2**40)), str(n)) for n in range(num_examples)
    ]


def stream(shard: Shard = ONE_PROCESS, seed: int = 3) -> FreshBatches:
    return FreshBatches(draw, collate_tokens, 22, 5, seed=seed, shard=shard)


def epoch(found: FreshBatches) -> list[Batch]:
    return list(iter(found.next_batch, None))


def test_no_example_comes_twice() -> None:
    found = stream()
    batches = [*epoch(found), *epoch(found)]
    assert [len(batch.targets) for batch in batches] == [5, 5, 5, 5, 2] * 2
    targets = torch.cat([batch.targets for batch in batches]).tolist()
    assert len(set(targets)) == 44
    assert not set(targets) & set(torch.cat([batch.targets for batch in epoch(stream(seed=4))]).tolist())


@pytest.mark.parametrize("num_taken", [0, 1, 5, 7])
def test_resumed_goes_on_identically(num_taken: int) -> None:
    whole, resumed = stream(), stream()
    for _ in range(num_taken):
        whole.next_batch()
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for _ in range(9):
        first, second = whole.next_batch(), resumed.next_batch()
        assert (first is None) == (second is None)
        assert first is None or second is None or torch.equal(first.targets, second.targets)


def test_shares_of_processes_make_up_the_global_batch() -> None:
    shares = [stream(Shard(rank, 2)) for rank in range(2)]
    for batch in epoch(stream()):
        for rank, share in enumerate(shares):
            part = share.next_batch()
            assert part is not None and torch.equal(part.targets, batch.targets[rank::2])


def test_position_of_another_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match="drawn 23 then, 22 now"):
        stream().load_state_dict(stream().state_dict() | {"drawn": 23})


def test_places_share_no_numbers() -> None:
    places = ((0,), (1,), (0, 0), (0, 1), (1, 0))
    found = [example.target for place in places for example in drawn_by(draw, 9, 0, *place)]
    assert len(set(found)) == 45
