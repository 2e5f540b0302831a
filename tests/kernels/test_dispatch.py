"""Which kernel runs, and what it says of itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell, Noise
from recurra.core.errors import ConfigError
from recurra.kernels import dispatch

XS = torch.linspace(-1, 1, 2 * 5 * 3).reshape(2, 5, 3)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (LSTMCell(3, 4), "exactly what torch's fused lstm does"),
        (LSTMCell(3, 4, proj_size=2), "exactly what torch's fused lstm does"),
        (GRUCell(3, 4), "exactly what torch's fused gru does"),
        (ElmanCell(3, 4, activation="relu"), "exactly what torch's fused rnn_relu does"),
        (LSTMCell(3, 4, peephole=True), "torch's fused LSTM has no peephole option"),
        (LSTMCell(3, 4, coupled=True), "torch's fused LSTM has no coupled option"),
        (LSTMCell(3, 4, layer_norm=True), "torch's fused LSTM has no layer norm option"),
        (GRUCell(3, 4, reset_after=False), "torch's fused GRU resets after the recurrent product, this cell before it"),
        (GRUCell(3, 4, layer_norm=True), "torch's fused GRU has no layer norm option"),
        (ElmanCell(3, 4, activation="sigmoid"), "torch's fused RNN has no activation sigmoid"),
        (ElmanCell(3, 4, activation=torch.sin), "torch's fused RNN has no activation of your own"),
    ],
)
def test_a_cell_says_which_kernel_ran_and_why(cell: Cell, reason: str) -> None:
    assert cell.last_path == dispatch.NOT_RUN
    cell.scan(XS)
    assert cell.last_path == ("fused" if "exactly" in reason else "reference", reason)


@pytest.mark.parametrize(
    ("noise", "reason"),
    [
        (Noise(hidden_mask=torch.ones(2, 4)), "recurrent dropout acts on h inside each step"),
        (Noise(zoneout=0.1), "zoneout acts on the state inside each step"),
        (Noise(zoneout=(0.0, 0.1), training=True), "zoneout acts on the state inside each step"),
        (Noise(zoneout=(0.0, 0.0)), "exactly what torch's fused lstm does"),
        (Noise(weight_mask={"weight_hh": torch.ones(16, 4)}), "exactly what torch's fused lstm does"),
    ],
)
def test_noise_inside_the_step_needs_the_reference(noise: Noise, reason: str) -> None:
    cell = LSTMCell(3, 4)
    cell.scan(XS, noise=noise)
    assert cell.last_path.reason == reason


def test_the_reference_can_be_forced_in_a_block() -> None:
    cell = GRUCell(3, 4)
    with dispatch.use("reference"):
        cell.scan(XS)
        assert cell.last_path == ("reference", "asked for by recurra.kernels.dispatch.use('reference')")
    cell.scan(XS)
    assert cell.last_path.name == "fused"
    with pytest.raises(ConfigError, match=r"use\('fused'\): only 'reference' can be forced"), dispatch.use("fused"):  # type: ignore[arg-type]
        pass


def test_the_environment_can_switch_the_fast_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = GRUCell(3, 4)
    monkeypatch.setenv("RECURRA_KERNELS", "off")
    cell.scan(XS)
    assert cell.last_path == ("reference", "asked for by RECURRA_KERNELS=off")
    monkeypatch.setenv("RECURRA_KERNELS", "of")
    with pytest.raises(ConfigError, match=r"RECURRA_KERNELS=of: no such choice\. Set it to one of: auto, off"):
        cell.scan(XS)


def test_transforms_of_torch_func_need_the_reference() -> None:
    cell = LSTMCell(3, 4)
    torch.func.vmap(lambda xs: cell.scan(xs[None])[0])(XS)
    assert cell.last_path.name == "reference"
    assert "torch.func transform" in cell.last_path.reason


@pytest.mark.parametrize("cell", [LSTMCell(3, 4), GRUCell(3, 4), ElmanCell(3, 4), LSTMCell(3, 4, coupled=True)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_by_autocast_gives_near_numbers_and_full_precision_states(
    cell: Cell, dtype: torch.dtype
) -> None:
    wanted, _ = cell.scan(XS)
    with torch.autocast("cpu", dtype):
        ys, state = cell.scan(XS, None, torch.tensor([5, 3]))
        ys.float().sum().backward()
        cell.scan(ys[..., :3], state)
    torch.testing.assert_close(ys[0].float(), wanted[0], rtol=0.05, atol=0.05)
    leaf = state[0] if isinstance(state, tuple) else state
    assert isinstance(leaf, Tensor)
    assert leaf.dtype == torch.float32


@pytest.mark.parametrize("kind", [LSTMCell, GRUCell, ElmanCell])
def test_half_precision_weights_run_on_any_cpu(kind: type[LSTMCell | GRUCell | ElmanCell]) -> None:
    cell = kind(3, 4)
    wanted, _ = cell.scan(XS)
    ys, _ = cell.to(torch.bfloat16).scan(XS.bfloat16())
    assert ys.dtype == torch.bfloat16
    torch.testing.assert_close(ys.float(), wanted, rtol=0.05, atol=0.05)
    if kind is LSTMCell and not dispatch.takes("lstm", torch.bfloat16, torch.device("cpu")):
        assert cell.last_path == (
            "reference", "this CPU has no units for torch.bfloat16, which torch's fused lstm needs there",
        )  # fmt: skip
