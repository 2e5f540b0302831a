"""Moving steps inside padded rows."""

from __future__ import annotations

import torch

from recurra.kernels import rows

XS = torch.arange(1.0, 9.0).reshape(2, 4, 1)
LENGTHS = torch.tensor([4, 3])


def test_flip_turns_each_row_inside_its_own_length() -> None:
    assert rows.flip(XS, LENGTHS)[..., 0].tolist() == [[4, 3, 2, 1], [7, 6, 5, 8]]
    assert torch.equal(rows.flip(rows.flip(XS, LENGTHS), LENGTHS), XS)
    assert rows.flip(XS, None)[..., 0].tolist() == [[4, 3, 2, 1], [8, 7, 6, 5]]


def test_flip_reset_keeps_each_border_between_the_same_two_steps() -> None:
    # borders before step 1 (between steps 0 and 1) of both rows; those at the start and on padding part nothing
    reset = torch.tensor([[True, True, False, False], [False, True, False, True]])
    wanted = [[False, False, False, True], [False, False, True, False]]
    assert rows.flip_reset(reset, LENGTHS).tolist() == wanted
    assert rows.flip_reset(reset[:1], None).tolist() == wanted[:1]


def test_last_step_is_each_rows_own() -> None:
    before = torch.full((2, 1), -1.0)
    assert rows.last_step(XS, LENGTHS, before).tolist() == [[4], [7]]
    assert rows.last_step(XS, torch.tensor([0, 1]), before).tolist() == [[-1], [5]]
    assert rows.last_step(XS, None, before).tolist() == [[4], [8]]


def test_simplify_drops_what_asks_for_nothing() -> None:
    none = torch.zeros(2, 4, dtype=torch.bool)
    assert rows.simplify(torch.tensor([4, 4]), none, XS.shape, XS.device) == (None, None)
    lengths, reset = rows.simplify(LENGTHS.int(), ~none, XS.shape, XS.device)
    assert lengths is not None
    assert lengths.dtype == torch.int64
    assert reset is not None


def test_clear_padding_keeps_nan_out_of_values_and_gradients() -> None:
    xs = XS.clone()
    xs[1, 3] = torch.nan
    xs.requires_grad_()
    cleared = rows.clear_padding(xs, LENGTHS)
    assert cleared[..., 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]
    (found,) = torch.autograd.grad((cleared**2).sum(), [xs])
    assert found[1, 3] == 0
