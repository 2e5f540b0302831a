"""What a step is cut into."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from recurra.kernels.rows_product import OPERATOR
from recurra.kernels.stages import CannotTrace, Stages, Value, cut

I, H = 3, 4  # noqa: E741 (the axes' names)
WEIGHTS = [torch.randn(4 * H, I), torch.randn(4 * H, H), torch.randn(4 * H), torch.randn(2, H)]


def lstm(weights: Sequence[Tensor], inputs: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """An LSTM with a product of the output's own."""
    weight_ih, weight_hh, bias, weight_out = weights
    h, c = state
    i, f, g, o = (inputs[0] @ weight_ih.T + h @ weight_hh.T + bias).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h @ weight_out.T, [h, c]


def cut_lstm(wanted: Sequence[bool] | None) -> Stages:
    return cut(lstm, WEIGHTS, [torch.randn(2, I)], [torch.randn(2, H), torch.randn(2, H)], wanted)


def products(stages: Stages) -> dict[str, int]:
    kinds = (OPERATOR, torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
    return {
        name: sum(node.target in kinds for node in stage.module.graph.nodes) for name, stage in stages.stages.items()
    }


def test_one_product_a_step_is_left_in_each_loop() -> None:
    stages = cut_lstm([True] * 5)
    # after_back: the gradients of three weights and of the inputs
    assert products(stages) == {
        "before": 1,
        "loop": 1,
        "after": 1,
        "before_back": 1,
        "loop_back": 1,
        "after_back": 4,
    }
    assert all(None not in group for group in (stages.grad_weights, stages.grad_inputs, stages.grad_state))


def test_what_is_not_wanted_is_not_computed() -> None:
    assert products(cut_lstm(None)) == {"before": 1, "loop": 1, "after": 1}
    stages = cut_lstm([False, True, False, False, False])
    assert products(stages)["after_back"] == 1
    assert [value is None for value in (*stages.grad_weights, *stages.grad_inputs)] == [True, False, True, True, True]


def test_values_pass_by_their_batch_axis() -> None:
    (before,) = cut_lstm(None).stages["before"].outputs
    assert before.axis == 0

    def columns(
        weights: Sequence[Tensor], inputs: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        new = torch.tanh(weights[0] @ inputs[0].T + weights[1] @ state[0].T).T
        return new, [new]

    weights = [torch.randn(H, I), torch.randn(H, H)]
    stages = cut(columns, weights, [torch.randn(2, I)], [torch.randn(2, H)], None)
    assert [value.axis for value in stages.stages["before"].outputs] == [1]
    assert Value(stages.inputs[0], 0) in stages.stages["before"].inputs


def test_errors_of_the_step_are_told_in_one_line() -> None:
    def fail(*groups: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        raise ValueError("no\n  second line")

    with pytest.raises(CannotTrace, match=r"^it can't be traced: ValueError: no$"):
        cut(fail, [], [torch.randn(2, I)], [torch.randn(2, H)], None)
