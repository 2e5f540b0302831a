"""TokenStream: rows, windows, borders of documents."""

from __future__ import annotations

import time
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.core.errors import ConfigError, DataError
from recurra.data import TokenCorpus, TokenStream

EOS = 1


def corpus_of(num_tokens: int, starts: list[int] | None = None) -> TokenCorpus:
    return TokenCorpus(np.arange(2, 2 + num_tokens, dtype=np.int32), np.array(starts or [0]), EOS)


def rows_of(stream: TokenStream) -> tuple[list[list[int]], list[list[int]], list[list[bool]]]:
    """Inputs, targets and resets of an epoch, row by row."""
    inputs: list[list[int]] = []
    targets: list[list[int]] = []
    resets: list[list[bool]] = []
    while (batch := stream.next_batch()) is not None:
        lengths = batch.inputs.mask.sum(1).tolist()
        reset = batch.inputs.reset
        reset = torch.zeros_like(batch.inputs.mask) if reset is None else reset
        for row, length in enumerate(lengths):
            if len(inputs) <= row:
                inputs.append([])
                targets.append([])
                resets.append([])
            inputs[row] += batch.inputs.data[row, :length].tolist()
            targets[row] += batch.targets[row, :length].tolist()
            resets[row] += reset[row, :length].tolist()
            assert not reset[row, length:].any()
            assert not batch.inputs.data[row, length:].any()
    return inputs, targets, resets


def test_worked_example() -> None:
    inputs, targets, resets = rows_of(TokenStream(corpus_of(11, [0, 7]), 3, 2))
    assert targets == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12]]
    assert inputs == [[EOS, 2, 3, 4], [5, 6, 7, EOS], [9, 10, 11]]
    assert resets == [[True, False, False, False], [False, False, False, True], [False, False, False]]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_are_the_corpus_in_order(data: st.DataObject) -> None:
    num_tokens = data.draw(st.integers(1, 80))
    starts = sorted(data.draw(st.sets(st.integers(0, num_tokens - 1), max_size=6)) | {0})
    batch_size, length = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 20))
    jitter = data.draw(st.integers(0, length - 1))
    corpus = corpus_of(num_tokens, starts)
    inputs, targets, resets = rows_of(TokenStream(corpus, batch_size, length, jitter=jitter, seed=5))
    assert len(targets) == batch_size
    assert list(chain.from_iterable(targets)) == corpus.tokens.tolist()
    assert max(map(len, targets)) - min(map(len, targets)) <= 1
    shifted = [EOS, *corpus.tokens.tolist()[:-1]]
    expected = [EOS if place in starts else token for place, token in enumerate(shifted)]
    assert list(chain.from_iterable(inputs)) == expected
    assert [place for place, flag in enumerate(chain.from_iterable(resets)) if flag] == starts


def test_full_windows_have_no_lengths_and_no_resets() -> None:
    stream = TokenStream(corpus_of(64, [0]), 4, 4)
    batches = [stream.next_batch() for _ in range(4)]
    assert all(batch is not None and batch.inputs.lengths is None for batch in batches)
    assert [batch.inputs.reset is None for batch in batches if batch] == [False, True, True, True]


def test_ragged_end() -> None:
    stream = TokenStream(corpus_of(10), 4, 2)
    stream.next_batch()
    last = stream.next_batch()
    assert last is not None and last.inputs.lengths is not None
    assert last.inputs.lengths.tolist() == [1, 1, 0, 0]
    assert last.inputs.num_steps == 1


def test_more_rows_than_tokens() -> None:
    stream = TokenStream(corpus_of(2), 5, 8)
    batch = stream.next_batch()
    assert batch is not None and batch.inputs.lengths is not None
    assert batch.inputs.lengths.tolist() == [1, 1, 0, 0, 0]
    assert stream.next_batch() is None


def test_no_tokens() -> None:
    with pytest.raises(DataError, match="no tokens"):
        TokenStream(TokenCorpus(np.zeros(0, np.int32), np.zeros(0, np.int64)), 2, 2)


@pytest.mark.parametrize(("batch_size", "length", "jitter"), [(0, 5, 0), (2, 0, 0), (2, 5, 5), (2, 5, -1)])
def test_bad_sizes(batch_size: int, length: int, jitter: int) -> None:
    with pytest.raises(ConfigError):
        TokenStream(corpus_of(50), batch_size, length, jitter=jitter)


def test_a_start_that_is_not_listed_is_still_one() -> None:
    batch = TokenStream(TokenCorpus(np.array([7, 8, 9], np.int32), np.array([2])), 1, 3).next_batch()
    assert batch is not None
    assert batch.inputs.data.tolist() == [[EOS, 7, EOS]]


def test_jitter_differs_by_epoch_and_seed() -> None:
    def widths(stream: TokenStream) -> list[int]:
        found = []
        while (batch := stream.next_batch()) is not None:
            found.append(batch.inputs.num_steps)
        return found

    stream = TokenStream(corpus_of(4000), 2, 20, jitter=10, seed=1)
    first, second = widths(stream), widths(stream)
    other = widths(TokenStream(corpus_of(4000), 2, 20, jitter=10, seed=2))
    assert first != second and first != other
    assert sum(first) == sum(second) == 2000
    assert all(10 <= width <= 30 for width in first[:-1])


def test_next_batch_is_fast() -> None:
    corpus = TokenCorpus(np.zeros(500_000, np.int32), np.arange(0, 500_000, 400))
    stream = TokenStream(corpus, 32, 64)
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        stream.next_batch()
        times.append(time.perf_counter() - begin)
    assert float(np.median(times)) < 0.0003
