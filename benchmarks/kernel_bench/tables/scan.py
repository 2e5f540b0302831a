"""The linear recurrence h_t = a_t h_{t-1} + b_t: beside two ways to write it in torch, and the speed of a mere copy."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recurra.kernels.linear import linear_path, linear_scan

from ..cases import SHAPES, Arrays, Settings
from ..clock import Call
from ..contest import Contestant, Race, milliseconds, ratio, run_races
from ..markdown import number, table

_SHAPES = ((8, 512, 256), (4, 2048, 256), (1, 8192, 512), (32, 128, 64), (1, 1000, 8))
# Arrays of that size that must be read or written: a, b, h; on the way back a, h, dh, da, db as well.
_ARRAYS = {"inference": 3, "train": 8}
# Calls in one timed run beside the copies, so that a turn lasts; bytes of `b` in all.
_TURN_BYTES = 1 << 26


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """All of them, alternating; factors near 1 and positive terms, as logarithms want them."""
    _keep_memory()
    shapes = _SHAPES if settings.shapes == SHAPES else [(b, t, h) for t, b, _, h in settings.shapes]
    races = []
    for shape in shapes:
        torch.manual_seed(0)
        a, b, grad_h = 0.95 + 0.05 * torch.rand(shape), 0.1 + torch.rand(shape), torch.randn(shape)
        ours = _contestant("recurra", lambda a, b: linear_scan(a, b)[0], a, b, grad_h)
        ours.path = lambda b=b: linear_path(b).name
        labels = {"shape": "(" + ",".join(map(str, shape)) + ")"}
        others = [_contestant("loop", _loop, a, b, grad_h), _contestant("logarithms", _by_logarithms, a, b, grad_h)]
        for mode in settings.modes:
            # Apart, many calls a turn: what the others leave in the caches would decide the figures of small arrays.
            source = torch.rand(_ARRAYS[mode] * b.numel() // 2)
            copies = [_copy("clone", source.clone), _copy("copy", partial(torch.empty_like(source).copy_, source))]
            several = [_repeated(contestant, _num_calls(shape)) for contestant in (ours, *copies)]
            races.append(Race(labels, mode, several, uncompared=("clone", "copy")))
            races.append(Race(labels, mode, [ours, *others], exact=_exact(mode, a, b, grad_h)))
    return run_races(races, settings, clock)


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """Bandwidth, then the other ways to write it."""
    copies = [row for row in results["torch"] if "copy" in row["names"]]
    others = [row for row in results["torch"] if "loop" in row["names"]]
    speeds = [
        [
            row["labels"]["shape"],
            row["mode"],
            number(_once(row, "recurra"), 3),
            *(number(_speed(row, name), 0) for name in row["names"]),
            *(number(ratio(row, name, "recurra"), 2) for name in ("clone", "copy")),
            row["paths"]["recurra"],
        ]
        for row in copies
    ]
    times = [
        [
            row["labels"]["shape"],
            row["mode"],
            *(number(milliseconds(row, name), 3) for name in row["names"]),
            *(number(ratio(row, name, "recurra"), 1) for name in ("loop", "logarithms")),
            row["complaint"],
        ]
        for row in others
    ]
    head = ["(B,T,D)", "mode"]
    title = (
        "## Bytes that must be moved in a second: beside a `clone()`, and a copy into memory at hand, of as many bytes"
    )
    parts = [title, ""]
    parts.append(table([*head, "ms", "GB/s", "clone", "copy", "ours / clone", "ours / copy", "path"], speeds))
    parts += ["", "## A loop over `unbind`, and cumulative sums of logarithms / ours", ""]
    parts.append(table([*head, "ms", "loop ms", "logarithms ms", "loop / ours", "logarithms / ours", ""], times))
    return "\n".join(parts)


def _shape(row: dict) -> tuple[int, ...]:
    return tuple(map(int, row["labels"]["shape"].strip("()").split(",")))


def _num_calls(shape: Sequence[int]) -> int:
    return max(1, min(100, _TURN_BYTES // (4 * math.prod(shape))))


def _once(row: dict, name: str) -> float | None:
    """Milliseconds of one call."""
    time = milliseconds(row, name)
    return None if time is None else time / _num_calls(_shape(row))


def _speed(row: dict, name: str) -> float | None:
    """GB a second."""
    time = _once(row, name)
    return None if time is None else _ARRAYS[row["mode"]] * math.prod(_shape(row)) * 4e-6 / time


def _loop(a: Tensor, b: Tensor) -> Tensor:
    h, hs = torch.zeros_like(b[:, 0]), []
    for factor, term in zip(a.unbind(1), b.unbind(1), strict=True):
        h = torch.addcmul(term, factor, h)
        hs.append(h)
    return torch.stack(hs, 1)


def _by_logarithms(a: Tensor, b: Tensor) -> Tensor:
    """As of minGRU (Feng et al., 2024, arXiv:2410.01201), in its numbers' range only."""
    total = a.log().cumsum(1)
    return (total + (b.log() - total).logcumsumexp(1)).exp()


def _contestant(name: str, scan: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, grad: Tensor) -> Contestant:
    leaves = [tensor.clone().requires_grad_() for tensor in (a, b)]

    def infer() -> Tensor:
        with torch.inference_mode():
            return scan(a, b)

    def train() -> tuple[Tensor, ...]:
        h = scan(*leaves)
        return h.detach(), *torch.autograd.grad(h, leaves, grad)

    return Contestant(
        name,
        {"train": Call(train), "inference": Call(infer)},
        {
            "train": lambda found: dict(zip(("y", "da", "db"), (part.numpy() for part in found), strict=True)),
            "inference": lambda y: {"y": y.numpy()},
        },
    )


def _keep_memory() -> None:
    """Have glibc keep freed memory: page faults, two microseconds each, would drown what is measured, now and then."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(option, 1 << 30)


def _repeated(contestant: Contestant, num_calls: int) -> Contestant:
    """The same with `num_calls` calls in a run."""

    def repeat(call: Call) -> Call:
        def run() -> Any:
            for _ in range(num_calls - 1):
                call.run()
            return call.run()

        return Call(run)

    return replace(contestant, calls={mode: repeat(call) for mode, call in contestant.calls.items()})


def _copy(name: str, run: Callable[[], Tensor]) -> Contestant:
    return Contestant(name, dict.fromkeys(("train", "inference"), Call(run)))


def _exact(mode: str, a: Tensor, b: Tensor, grad: Tensor) -> Callable[[], Arrays]:
    def numbers() -> Arrays:
        contestant = _contestant("exact", _loop, a.double(), b.double(), grad.double())
        return contestant.read[mode](contestant.calls[mode].run())

    return numbers
