"""Padding."""

from __future__ import annotations

import numpy as np
import torch

from recurra.data import Example, collate_tokens


def test_ragged_rows() -> None:
    batch = collate_tokens([Example([5, 6, 7], 1, "a"), Example(np.array([8]), 0, "b"), Example([], 2, "c")])
    assert batch.inputs.data.tolist() == [[5, 6, 7], [8, 0, 0], [0, 0, 0]]
    assert batch.inputs.data.dtype == torch.int64
    assert batch.inputs.lengths is not None and batch.inputs.lengths.tolist() == [3, 1, 0]
    assert batch.targets.tolist() == [1, 0, 2] and batch.targets.dtype == torch.int64
    assert batch.ids == ("a", "b", "c")


def test_rows_of_one_length_need_no_lengths() -> None:
    batch = collate_tokens([Example([5, 6], 1, "a"), Example([8, 9], 0, "b")])
    assert batch.inputs.lengths is None


def test_empty_rows_only() -> None:
    batch = collate_tokens([Example([], 1, "a"), Example([], 0, "b")])
    assert batch.inputs.data.shape == (2, 1)
    assert batch.inputs.lengths is not None and batch.inputs.lengths.tolist() == [0, 0]


def test_targets_of_several_labels() -> None:
    batch = collate_tokens([Example([5], [1, 0, 1], "a"), Example([6], np.zeros(3), "b")])
    assert batch.targets.dtype == torch.float32
    assert batch.targets.tolist() == [[1, 0, 1], [0, 0, 0]]
