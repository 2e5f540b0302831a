"""Each number of the worked example by itself, in plain Python."""

from __future__ import annotations

from math import e, exp, log, tanh

import numpy as np
import pytest
import torch

from recurra.theory import Elman
from recurra.theory.elman import split
from recurra.theory.worked_example import GIVEN, compute, main

VALUES = compute()


def test_forward_by_hand() -> None:
    h_1 = (e**2 - 1) / (e**2 + 1)  # tanh 1; the article's 2 / (e^2 + 1) is 1 - tanh 1
    h_2 = tanh(1 + h_1)
    y = 1 / (1 + exp(-h_2))
    wanted = {"z_1": [0, 1, 0], "a_1": 1, "h_1": h_1, "z_2": [h_1, 0, 1], "a_2": 1 + h_1, "h_2": h_2, "s": h_2, "y": y}
    for name, value in (wanted | {"L": -log(y)}).items():
        np.testing.assert_allclose(VALUES[name].squeeze(), value, rtol=1e-14, err_msg=name)
    rounded = {"h_1": 0.761594, "a_2": 1.761594, "h_2": 0.942681, "y": 0.719641, "L": 0.329003}
    for name, value in rounded.items():
        assert VALUES[name].item() == pytest.approx(value, abs=5e-7), name


def test_backward_by_hand() -> None:
    h_1, h_2, y = (VALUES[name].item() for name in ("h_1", "h_2", "y"))
    da_2 = (y - 1) * (1 - h_2**2)
    da_1 = da_2 * (1 - h_1**2)
    wanted = {
        "ds": y - 1,
        "dW_y": (y - 1) * h_2,
        "db_y": y - 1,
        "dh_2": y - 1,
        "da_2": da_2,
        "dh_1": da_2,
        "da_1": da_1,
        "dW_h": [da_2 * h_1, da_1, da_2],
        "db_h": da_1 + da_2,
        "new_W_h": [1 - 0.1 * da_2 * h_1, 1 - 0.1 * da_1, 1 - 0.1 * da_2],
        "new_W_y": 1 - 0.1 * (y - 1) * h_2,
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(VALUES[name].squeeze(), value, rtol=1e-14, err_msg=name)
    np.testing.assert_allclose(VALUES["dW_h"], [-0.023776, -0.013111, -0.031219], atol=5e-7)
    assert set(VALUES) == {*GIVEN, *wanted, "z_1", "a_1", "h_1", "z_2", "a_2", "h_2", "s", "y", "L"}


def test_all_gradients_by_autograd() -> None:
    weight, bias, weight_y, bias_y = (
        torch.tensor(GIVEN[name], dtype=torch.float64).requires_grad_() for name in ("W_h", "b_h", "W_y", "b_y")
    )
    h = torch.zeros(1, dtype=torch.float64)
    for x in (GIVEN["x_1"], GIVEN["x_2"]):
        h = torch.tanh(weight @ torch.cat([h, torch.tensor(x)]) + bias)[None]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(weight_y * h + bias_y, torch.ones_like(h))
    found = torch.autograd.grad(loss, [weight, bias, weight_y, bias_y])
    for name, gradient in zip(("dW_h", "db_h", "dW_y", "db_y"), found, strict=True):
        np.testing.assert_allclose(VALUES[name].squeeze(), gradient, rtol=1e-12, err_msg=name)


def test_it_is_the_elman_network() -> None:
    w = split({"weight": np.asarray(GIVEN["W_h"])[None], "bias": np.zeros(1)})
    hs, _, tapes = Elman().forward(np.stack([GIVEN["x_1"], GIVEN["x_2"]])[None], w)
    np.testing.assert_allclose(hs.ravel(), [VALUES["h_1"].item(), VALUES["h_2"].item()], rtol=1e-14)
    dhs = np.array([0, VALUES["dh_2"].item()]).reshape(1, 2, 1)
    found = Elman().backward(dhs, tapes, w)
    gradient = np.hstack([found.weights["weight_hh"], found.weights["weight_ih"]])
    np.testing.assert_allclose(gradient[0], VALUES["dW_h"], rtol=1e-14)
    np.testing.assert_allclose(found.hs[0, 0, 0], VALUES["dh_1"].item(), rtol=1e-14)


def test_every_number_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    printed = capsys.readouterr().out
    for name in VALUES:
        assert f"{name} = " in printed
    assert "[-0.023776 -0.013111 -0.031219]" in printed
