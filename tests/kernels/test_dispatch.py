"""Which kernel runs, and what it says of itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell, Noise
from recurra.core.errors import ConfigError
from recurra.core.state import State
from recurra.kernels import dispatch, extension

XS = torch.linspace(-1, 1, 2 * 5 * 3).reshape(2, 5, 3)


FAST = "fused" if extension.MISSING else "native"
needs_native = pytest.mark.skipif(bool(extension.MISSING), reason=extension.MISSING)


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "MISSING", "recurra's own kernels are not installed")


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
        (LSTMCell(3, 4, cell_clip=1.0), "torch's fused LSTM has no cell clip option"),
        (GRUCell(3, 4, reset_after=False), "torch's fused GRU resets after the recurrent product, this cell before it"),
        (GRUCell(3, 4, layer_norm=True), "torch's fused GRU has no layer norm option"),
        (ElmanCell(3, 4, activation="sigmoid"), "torch's fused RNN has no activation sigmoid"),
        (ElmanCell(3, 4, activation=torch.sin), "torch's fused RNN has no activation of your own"),
    ],
)
def test_a_cell_says_which_kernel_ran_and_why(cell: Cell, reason: str, without_native: None) -> None:
    assert cell.last_path == dispatch.NOT_RUN
    cell.scan(XS)
    assert cell.last_path.name == ("fused" if "exactly" in reason else "reference")
    if cell.native_kernel() == "recurra's own kernel can't do an activation of your own":
        assert cell.last_path.reason == f"{reason}; recurra's own kernel can't do an activation of your own"
    else:
        assert cell.last_path.reason == f"{reason}; recurra's own kernels are not installed"


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
def test_noise_inside_the_step_is_not_for_torchs_kernel(noise: Noise, reason: str) -> None:
    cell = LSTMCell(3, 4)
    with dispatch.use("fused"):
        cell.scan(XS, noise=noise)
    assert cell.last_path.reason == f"{reason}; asked for by recurra.kernels.dispatch.use('fused')"


@needs_native
@pytest.mark.parametrize(
    "cell",
    [
        LSTMCell(3, 4, peephole=True, coupled=True, layer_norm=True, proj_size=2, cell_clip=1.0),
        GRUCell(3, 4, layer_norm=True, reset_after=False),
        ElmanCell(3, 4, activation="sigmoid"),
    ],
)
def test_recurras_kernel_does_all_of_it(cell: Cell) -> None:
    mask = torch.ones(2, cell.output_size)
    cell.scan(XS, None, torch.tensor([5, 3]), noise=Noise(mask, 0.5, training=True), reverse=True)
    assert cell.last_path == dispatch.NATIVE


@needs_native
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_recurras_kernel_says_what_it_cannot_do() -> None:
    assert dispatch.native_obstacle(XS, torch.float64) == ""
    assert dispatch.native_obstacle(XS, torch.bfloat16) == "recurra's own kernels have no torch.bfloat16"
    assert "run on a CPU, not on meta" in dispatch.native_obstacle(XS.to("meta"), torch.float32)
    with torch.autocast("cpu"):
        assert "autocast is on" in dispatch.native_obstacle(XS, torch.float32)
    with torch.autograd.forward_ad.dual_level():
        assert "forward-mode differentiation" in dispatch.native_obstacle(XS, torch.float32)
    cell = GRUCell(3, 4).requires_grad_(False)
    torch.jit.trace(lambda xs: cell.scan(xs)[0], XS, check_trace=False)
    assert "torch.jit.trace" in cell.last_path.reason


@needs_native
def test_weights_of_several_types_are_not_for_recurras_kernel() -> None:
    cell = GRUCell(3, 4)
    cell.bias_hh = torch.nn.Parameter(torch.zeros(12, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="dtype"):
        cell.scan(XS)
    assert "all weights in one precision" in cell.last_path.reason


@needs_native
def test_a_mask_that_asks_for_a_gradient_gets_it() -> None:
    cell, mask = GRUCell(3, 4), torch.ones(2, 4, requires_grad=True)
    ys, _ = cell.scan(XS, noise=Noise(mask, training=True))
    assert "want the mask of recurrent dropout on the CPU, and give it no gradient" in cell.last_path.reason
    assert torch.autograd.grad(ys.sum(), mask)[0].abs().max() > 0


class DoublingGRU(GRUCell):
    """A cell with another step than the kernels'."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().step(2 * x, state)

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        return super().recur(2 * projected, state, noise)


def test_a_step_of_ones_own_inherits_no_kernel() -> None:
    cell = DoublingGRU(3, 4)
    plain = GRUCell(3, 4)
    plain.load_state_dict(cell.state_dict())
    assert not torch.allclose(cell.scan(XS)[0], plain.scan(XS)[0])
    assert cell.last_path == (
        "reference",
        "torch has no fused kernel for DoublingGRU; recurra has no kernel of its own for DoublingGRU",
    )


@pytest.mark.parametrize("kernel", ["reference", "fused", pytest.param("native", marks=needs_native)])
def test_a_kernel_can_be_forced_in_a_block(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = GRUCell(3, 4)
    with dispatch.use(kernel):  # type: ignore[arg-type]
        cell.scan(XS)
        assert cell.last_path.name == kernel
    cell.scan(XS)
    assert cell.last_path.name == FAST
    with (
        pytest.raises(ConfigError, match=r"use\('fsued'\): no such kernel. Did you mean `fused`"),
        dispatch.use("fsued"),
    ):  # type: ignore[arg-type]
        pass


@needs_native
def test_torchs_kernel_runs_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = GRUCell(3, 4)
    monkeypatch.setattr(dispatch, "torch_is_faster", lambda shape: shape == (extension.KINDS["gru"], 5, 2, 3, 4))
    cell.scan(XS)
    assert cell.last_path == ("fused", "exactly what torch's fused gru does; faster for these sizes")
    cell.scan(XS, noise=Noise(zoneout=0.5))
    assert cell.last_path == dispatch.NATIVE
    with dispatch.use("native"):
        cell.scan(XS)
    assert cell.last_path == dispatch.NATIVE


def test_the_environment_can_switch_the_fast_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = GRUCell(3, 4)
    monkeypatch.setenv("RECURRA_KERNELS", "off")
    cell.scan(XS)
    assert cell.last_path == ("reference", "asked for by RECURRA_KERNELS=off")
    monkeypatch.setenv("RECURRA_KERNELS", "torch")
    cell.scan(XS)
    assert cell.last_path == ("fused", "exactly what torch's fused gru does; asked for by RECURRA_KERNELS=torch")
    monkeypatch.setenv("RECURRA_KERNELS", "of")
    with pytest.raises(ConfigError, match=r"RECURRA_KERNELS=of: no such choice\. Set it to one of: auto, torch, off"):
        cell.scan(XS)


def test_transforms_of_torch_func_other_than_vmap_need_the_reference() -> None:
    cell = LSTMCell(3, 4)
    torch.func.vmap(lambda xs: cell.scan(xs[None])[0])(XS)
    assert cell.last_path.name == ("reference" if extension.MISSING else "native")
    torch.func.vmap(torch.func.grad(lambda xs: cell.scan(xs[None])[0].sum()))(XS)
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
        assert cell.last_path.name == "reference"
        assert "this CPU has no units for torch.bfloat16" in cell.last_path.reason
