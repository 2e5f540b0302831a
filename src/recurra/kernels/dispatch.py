"""Which kernel runs a scan, and why not a faster one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.core.errors import ConfigError

Kernel = Literal["fused", "reference", "none"]


class Path(NamedTuple):
    """The kernel that ran last, and the reason in a sentence.

    Attributes:
        name: "fused" (torch's own LSTM/GRU/RNN), "reference" (a loop over the steps in plain torch; under
            torch.compile it is unrolled, so that each T is compiled anew), or "none" before the first scan.
        reason: why this one, and why not a faster one.
    """

    name: Kernel
    reason: str


NOT_RUN = Path("none", "no scan has run yet")
_ENVIRONMENT = "RECURRA_KERNELS"
_SETTINGS = ("auto", "off")
_forced: list[Kernel] = []


@contextmanager
def use(kernel: Literal["reference"]) -> Iterator[None]:
    """Run every scan inside the `with` block by the plain reference, in all threads.

    Raises:
        ConfigError: another kernel than "reference" is asked for; a faster one can't be forced, as it may not be able
            to do what a scan asks.
    """
    if kernel != "reference":
        raise ConfigError(f"use({kernel!r}): only 'reference' can be forced; the fast kernels are chosen by default.")
    _forced.append(kernel)
    try:
        yield
    finally:
        _forced.pop()


def choose(fused_name: str, obstacle: str, xs: Tensor, dtype: torch.dtype) -> Path:
    """Choose the kernel for one scan.

    Args:
        fused_name: what torch calls the fused kernel: "lstm", "gru", "rnn_tanh", "rnn_relu"; "" for none.
        obstacle: why the fused kernel can't do what the cell or the noise asks; "" for no obstacle.
        xs: the inputs.
        dtype: of the weights.
    Raises:
        ConfigError: the environment variable RECURRA_KERNELS is neither "auto" nor "off".
    """
    if _forced:
        return Path("reference", "asked for by recurra.kernels.dispatch.use('reference')")
    setting = os.environ.get(_ENVIRONMENT, "auto")
    if setting not in _SETTINGS:
        raise ConfigError(f"{_ENVIRONMENT}={setting}: no such choice. Set it to one of: {', '.join(_SETTINGS)}.")
    if setting == "off":
        return Path("reference", f"asked for by {_ENVIRONMENT}=off")
    reason = obstacle or _torch_obstacle(fused_name, xs, dtype)
    if reason:
        return Path("reference", reason)
    return Path("fused", f"exactly what torch's fused {fused_name} does")


def in_functorch() -> bool:
    """Whether a torch.func transform (vmap, grad, jvp, ...) is active."""
    level: int | None = torch._C._functorch.maybe_current_level()
    return level is not None


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
