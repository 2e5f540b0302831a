"""Additive scores: the formula's values, first and second gradients, and less memory for them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.kernels import dispatch
from recurra.kernels.additive import additive_scores


def formula(queries: Tensor, keys: Tensor, value: Tensor) -> Tensor:
    return torch.tanh(queries[:, :, None] + keys[:, None]) @ value


def arguments(rows: int, steps: int, keys: int, size: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    shapes = ((rows, steps, size), (rows, keys, size), (size,))
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("sizes", [(3, 4, 5, 6), (2, 1, 7, 3), (2, 3, 0, 4), (0, 2, 3, 4), (2, 0, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients(sizes: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    given = arguments(*sizes, dtype=dtype)
    weights = torch.randn(sizes[0], sizes[1], sizes[2], dtype=dtype)
    both = []
    for function in (additive_scores, formula):
        scores = function(*given)
        plain = torch.autograd.grad((scores * weights).sum(), given, retain_graph=True)
        first = torch.autograd.grad((scores * weights).sum(), given, create_graph=True)
        second = torch.autograd.grad(torch.stack([part.square().sum() for part in first]).sum(), given)
        both.append([scores, *plain, *first, *second])
    for found, wanted in zip(*both, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    queries, keys, value = arguments(2, 3, 4, 5)
    (found,) = torch.autograd.grad(additive_scores(queries.detach(), keys, value.detach()).sum(), keys)
    (wanted,) = torch.autograd.grad(formula(queries.detach(), keys, value.detach()).sum(), keys)
    torch.testing.assert_close(found, wanted)


def test_transforms_go_by_the_formula() -> None:
    queries, keys, value = (part.detach() for part in arguments(2, 3, 4, 5))
    slope = torch.func.grad(lambda asked: additive_scores(asked, keys, value).sum())(queries)
    torch.testing.assert_close(slope, torch.func.grad(lambda asked: formula(asked, keys, value).sum())(queries))
    with dispatch.use("reference"):
        assert torch.equal(additive_scores(queries, keys, value), formula(queries, keys, value))


def test_the_hidden_units_of_all_pairs_are_not_kept() -> None:
    queries, keys, value = arguments(4, 50, 40, 32)
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        additive_scores(queries, keys, value).sum().backward()
    assert sum(kept) < 4 * 50 * 40 * 32 / 4
