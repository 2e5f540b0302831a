"""Windows against a plain loop; nothing of the future; streams that resume and are shared out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.core.errors import ConfigError, DataError
from recurra.data import Shard, WindowBatches, WindowSeries, WindowSource, window_origins

HORIZON = 5


def series_of(seed: int, holes: float = 0.1, lengths: tuple[int, ...] = (50, 7, 30)) -> list[WindowSeries]:
    rng = np.random.default_rng(seed)
    made = []
    for number, length in enumerate(lengths):
        values = rng.normal(size=(length, 2))
        values[rng.random(values.shape) < holes] = np.nan
        past, known = rng.normal(size=(length, 1)), rng.normal(size=(length + HORIZON, 3))
        made.append(WindowSeries(values, past, known, rng.normal(size=2), number, f"s{number}", 1.0 + number))
    return made


def filled(values: np.ndarray) -> np.ndarray:
    result = values.copy()
    for step in range(len(values)):
        for column in range(values.shape[1]):
            if np.isnan(result[step, column]):
                result[step, column] = result[step - 1, column] if step else 0.0
    return result


@pytest.mark.parametrize("context", [10, None])
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_as_a_plain_loop_cuts_them(context: int | None, holes: float) -> None:
    series = series_of(1, holes)
    source = WindowSource(series, context, HORIZON, indexed=True, teacher_forced=True)
    every = [(which, origin) for which, one in enumerate(series) for origin in range(1, len(one.values) + 1)]
    indices = np.random.default_rng(0).permutation(np.array(every))[:40]
    batch = source.collate(indices)
    window = batch.inputs
    assert (window.observed is None) == (holes == 0)
    assert window.past.data.shape[1] == (context or indices[:, 1].max())
    for row, (which, origin) in enumerate(indices.tolist()):
        one = series[which]
        length = min(origin, context or origin)
        history = slice(origin - length, origin)
        whole = filled(one.values)
        assert window.past.lengths is None or window.past.lengths[row] == length
        for found, expected in (
            (window.past.data, whole[history]),
            (window.past_covariates, one.past[history]),
            (window.past_known, one.known[history]),
        ):
            np.testing.assert_allclose(found[row, :length], expected, rtol=1e-6)
            assert not found[row, length:].any()
        if window.observed is not None:
            np.testing.assert_array_equal(window.observed[row, :length], ~np.isnan(one.values[history]))
            assert not window.observed[row, length:].any()
        np.testing.assert_allclose(window.future_known[row], one.known[origin : origin + HORIZON], rtol=1e-6)
        targets = np.full((HORIZON, 2), np.nan)
        ahead = one.values[origin : origin + HORIZON]
        targets[: len(ahead)] = ahead
        np.testing.assert_allclose(batch.targets[row], targets, rtol=1e-6)
        known = whole[origin - 1 : origin - 1 + HORIZON]
        np.testing.assert_allclose(window.shifted[row, : len(known)], known, rtol=1e-6)
        np.testing.assert_allclose(window.static[row], one.static, rtol=1e-6)
        assert window.series[row] == one.index and batch.ids[row] == f"s{which}@{origin}"
        assert batch.weights[row] == one.weight
    assert torch.isfinite(window.past.data).all() and torch.isfinite(window.shifted).all()


def test_nothing_of_the_future() -> None:
    """What lies at or after an origin may change as it likes: the history stays the same."""
    origin = 20
    plain, planted = series_of(3)[0], series_of(3)[0]
    planted.values[origin:] = 1e6
    planted.past[origin:] = 1e6
    windows = [
        WindowSource([one], context, HORIZON).collate(np.array([[0, origin], [0, 4]])).inputs
        for context in (10, 30, None)
        for one in (plain, planted)
    ]
    for before, after in zip(windows[::2], windows[1::2], strict=True):
        assert torch.equal(before.past.data, after.past.data)
        assert torch.equal(before.observed, after.observed)
        assert torch.equal(before.past_covariates, after.past_covariates)


def test_windows_of_one_series_hold_nothing_of_its_neighbours() -> None:
    first, second, third = series_of(4, holes=0)
    changed = [WindowSeries(np.full_like(one.values, 1e6), one.past, one.known, one.static) for one in (first, third)]
    indices = np.array([[1, 1], [1, 7], [1, 4]])
    batches = [
        WindowSource(series, 10, HORIZON).collate(indices)
        for series in ([first, second, third], [changed[0], second, changed[1]])
    ]
    assert torch.equal(batches[0].inputs.past.data, batches[1].inputs.past.data)
    assert torch.equal(batches[0].targets.nan_to_num(7), batches[1].targets.nan_to_num(7))


def test_bare_values_give_nothing_else() -> None:
    batch = WindowSource([WindowSeries(np.arange(9.0)[:, None])], 3, 2).collate(np.array([[0, 5]]))
    window = batch.inputs
    assert window.past.data[0, :, 0].tolist() == [2, 3, 4] and batch.targets[0, :, 0].tolist() == [5, 6]
    assert (window.observed, window.past_covariates, window.past_known, window.future_known) == (None,) * 4
    assert (window.static, window.series, window.shifted, window.past.lengths, batch.weights) == (None,) * 5


def test_origins() -> None:
    found = window_origins([0, 6, 3], [10, 8, 10], 4, stride=2)
    assert found.tolist() == [[0, 1], [0, 3], [0, 5], [2, 3], [2, 5]]
    assert window_origins([5], [6], 4).shape == (0, 2)


def test_covariates_that_end_too_early() -> None:
    series = WindowSeries(np.zeros((20, 1)), known=np.zeros((22, 1)), name="shop")
    source = WindowSource([series], 4, HORIZON)
    source.require_known(np.array([[0, 17]]))
    with pytest.raises(DataError, match=r"series 'shop': .* end too early: 5 steps .* given for 2"):
        WindowBatches(source, np.array([[0, 17], [0, 20]]), 2)


def ids_of(stream: WindowBatches) -> list[tuple[str, ...]]:
    found = []
    while (batch := stream.next_batch()) is not None:
        found.append(() if batch.blank else batch.ids)
    return found


SOURCE = WindowSource(series_of(5), 8, HORIZON)
ORIGINS = window_origins([0, 0, 0], [50, 7, 30], HORIZON)


def test_evaluation_keeps_the_order() -> None:
    stream = WindowBatches(SOURCE, ORIGINS, 16, shuffle=False, samples_per_epoch=3)
    names = [name for batch in ids_of(stream) for name in batch]
    assert names == [f"s{which}@{origin}" for which, origin in ORIGINS.tolist()]
    assert stream.batches_per_epoch() == -(-len(ORIGINS) // 16)


def test_shuffled_by_seed_and_epoch() -> None:
    stream = WindowBatches(SOURCE, ORIGINS, 16, seed=1)
    first, second = ids_of(stream), ids_of(stream)
    again = WindowBatches(SOURCE, ORIGINS, 16, seed=1)
    assert [ids_of(again), ids_of(again)] == [first, second] and first != second
    assert sorted(name for batch in first for name in batch) == sorted(name for batch in second for name in batch)
    assert ids_of(WindowBatches(SOURCE, ORIGINS, 16, seed=2)) != first


def test_an_epoch_of_some_of_the_windows() -> None:
    stream = WindowBatches(SOURCE, ORIGINS, 8, samples_per_epoch=20)
    first, second = ([name for batch in ids_of(stream) for name in batch] for _ in range(2))
    assert len(first) == len(set(first)) == 20 and set(first) != set(second)
    assert stream.batches_per_epoch() == 3


def test_resumed_and_shared_out() -> None:
    whole = WindowBatches(SOURCE, ORIGINS, 6, seed=3, samples_per_epoch=31)
    expected = [*ids_of(whole), *ids_of(whole)]
    stopped = WindowBatches(SOURCE, ORIGINS, 6, seed=3, samples_per_epoch=31)
    for _ in range(8):
        stopped.next_batch()
    resumed = WindowBatches(SOURCE, ORIGINS, 6, seed=3, samples_per_epoch=31)
    resumed.load_state_dict(stopped.state_dict())
    assert ids_of(resumed) == expected[7:]
    parts = [
        ids_of(WindowBatches(SOURCE, ORIGINS, 6, seed=3, samples_per_epoch=31, shard=Shard(rank, 2))) for rank in (0, 1)
    ]
    assert parts[1][-1] == ()
    for batch, *shares in zip(expected, *parts, strict=False):
        assert sorted(batch) == sorted((*shares[0], *shares[1]))
    with pytest.raises(ConfigError, match="another data stream"):
        WindowBatches(SOURCE, ORIGINS, 7, seed=3).load_state_dict(stopped.state_dict())


def test_refused() -> None:
    with pytest.raises(DataError, match="no window of 5 steps"):
        WindowBatches(SOURCE, ORIGINS[:0], 4)
    with pytest.raises(ConfigError, match="at least 1"):
        WindowBatches(SOURCE, ORIGINS, 0)
    with pytest.raises(DataError, match="no series"):
        WindowSource([], 4, 1)
