"""Which kernel runs a scan, and why not a faster one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.core.errors import ConfigError, did_you_mean
from recurra.kernels import extension

Kernel = Literal["native", "fused", "compiled", "reference", "none"]


class Path(NamedTuple):
    """The kernel that ran last, and the reason in a sentence.

    Attributes:
        name: "native" (recurra's own, in C++), "fused" (torch's own LSTM/GRU/RNN), "compiled" (the cell's step, where
            `Cell.compile_step` was called), "reference" (a loop over the steps in plain torch; under torch.compile it
            is unrolled, so that each T is compiled anew), or "none" before the first scan.
        reason: why this one, and why not a faster one.
    """

    name: Kernel
    reason: str


NOT_RUN = Path("none", "no scan has run yet")
NATIVE = Path("native", "recurra's own kernel does exactly this")
COMPILED = Path("compiled", "the step as torch compiled it")
_ENVIRONMENT = "RECURRA_KERNELS"
_SETTINGS: dict[str, Kernel | None] = {"auto": None, "torch": "fused", "off": "reference"}
_KERNELS = ("native", "fused", "reference")
_forced: list[Kernel] = []


class Shape(NamedTuple):
    """What the choice between two kernels that can do a scan hangs on: `extension.KINDS`, T, B, I, H."""

    kind: int
    num_steps: int
    batch_size: int
    input_size: int
    hidden_size: int


@contextmanager
def use(kernel: Literal["native", "fused", "reference"]) -> Iterator[None]:
    """Run the scans inside the `with` block, in all threads, by a kernel of your choice.

    "native" takes recurra's own wherever it can, also where torch's is known to be faster; "fused" takes torch's, and
    "reference" the plain loop over the steps. What a kernel can't do the next one does.

    Raises:
        ConfigError: no such kernel.
    """
    if kernel not in _KERNELS:
        raise ConfigError(f"use({kernel!r}): no such kernel.{did_you_mean(kernel, _KERNELS)}")
    _forced.append(kernel)
    try:
        yield
    finally:
        _forced.pop()


def choose(
    native: str,
    torchs: Callable[[], tuple[str, str]],
    xs: Tensor,
    dtype: torch.dtype,
    shape: Shape | None = None,
) -> Path:
    """Choose the kernel for one scan.

    Args:
        native: why recurra's kernel can't do what the cell or the noise asks; "" for no obstacle.
        torchs: gives, where it matters, what torch calls its kernel ("lstm", "gru", "rnn_tanh", "rnn_relu"; "" for
            none), and why it can't do it.
        xs: the inputs.
        dtype: of the weights.
        shape: of the scan where it may be looked at.
    Raises:
        ConfigError: the environment variable RECURRA_KERNELS has an unknown value.
    """
    wanted, asked = _wish()
    if wanted == "reference":
        return Path("reference", asked)
    native = asked if wanted == "fused" else native or native_obstacle(xs, dtype)
    if not native and (wanted == "native" or shape is None or not torch_is_faster(shape)):
        return NATIVE
    name, obstacle = torchs()
    obstacle = obstacle or _torch_obstacle(name, xs, dtype)
    if not obstacle:
        return Path("fused", f"exactly what torch's fused {name} does; {native or 'faster for these sizes'}")
    return Path("reference", f"{obstacle}; {native}") if native else NATIVE


def torch_is_faster(shape: Shape) -> bool:
    """Whether torch's kernel was measured to be faster than recurra's, where it can do the scan.

    For so few steps recurra's kernel can't earn back the packing of its weights; one unit leaves its vectors empty.
    """
    kind = shape.kind
    if kind == extension.KINDS["lstm"]:
        return False
    return shape.num_steps <= (2 if kind == extension.KINDS["gru"] else 4) or shape.hidden_size == 1


def reference_is_asked_for() -> bool:
    """Whether the user wants the plain loop and nothing else."""
    return _wish()[0] == "reference"


def _wish() -> tuple[Kernel | None, str]:
    """The kernel that was asked for, if any, and by what."""
    if _forced:
        return _forced[-1], f"asked for by recurra.kernels.dispatch.use({_forced[-1]!r})"
    setting = os.environ.get(_ENVIRONMENT, "auto")
    if setting not in _SETTINGS:
        raise ConfigError(f"{_ENVIRONMENT}={setting}: no such choice. Set it to one of: {', '.join(_SETTINGS)}.")
    return _SETTINGS[setting], f"asked for by {_ENVIRONMENT}={setting}"


def is_plain_inference() -> bool:
    """Whether nothing but the inputs decides on the kernel: no gradients, transforms, modes, or wishes."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or _forced
        or torch.is_autocast_enabled("cpu")
        or torch._C._len_torch_dispatch_stack()
        or _transform_obstacle()
        or in_functorch()
        or os.environ.get(_ENVIRONMENT, "auto") != "auto"
    )


def in_functorch() -> bool:
    """Whether a torch.func transform (vmap, grad, jvp, ...) is active."""
    level: int | None = torch._C._functorch.maybe_current_level()
    return level is not None


def native_obstacle(xs: Tensor, dtype: torch.dtype) -> str:
    """Why recurra's kernel can't run on these inputs with weights of `dtype`; "" where it can."""
    if extension.MISSING:
        return extension.MISSING
    if not xs.is_cpu:
        return f"recurra's own kernels run on a CPU, not on {xs.device}"
    if dtype not in extension.TYPES:
        return f"recurra's own kernels have no {dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on, which recurra's own kernels don't follow"
    if not torch.compiler.is_compiling():
        return _transform_obstacle()
    return "a torch.func transform is compiled" if in_functorch() else ""


def _transform_obstacle() -> str:
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active, and recurra's own kernels have no rule for it"
    if torch._C._get_tracing_state() is not None:
        return "torch.jit.trace writes down operators of torch's alone"
    if in_functorch() and not only_vmap():
        return "a torch.func transform other than vmap is active, and recurra's own kernels have no rule for it"
    return ""


def only_vmap() -> bool:
    """Whether all active torch.func transforms are vmap."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    return all(level.key() == torch._C._functorch.TransformType.Vmap for level in stack)


def can_read(values: Tensor) -> bool:
    """Whether looking at the values costs nothing: on the CPU, not inside a transform and not while compiling."""
    return not torch.compiler.is_compiling() and values.device.type == "cpu" and not in_functorch()


def takes(name: str, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the fused kernel computes in `dtype` there; oneDNN's LSTM needs a CPU with units for half precision."""
    if device.type != "cpu" or name != "lstm" or dtype not in (torch.bfloat16, torch.float16):
        return True
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def _torch_obstacle(fused_name: str, xs: Tensor, dtype: torch.dtype) -> str:
    if in_functorch():
        return "a torch.func transform is active, and torch's fused kernels have no rule for it"
    if not torch.compiler.is_compiling() and forward_ad._current_level >= 0:
        return "forward-mode differentiation is active, and torch's fused kernels have no rule for it"
    if not takes(fused_name, dtype, xs.device):
        return f"this CPU has no units for {dtype}, which torch's fused {fused_name} needs there"
    return ""
