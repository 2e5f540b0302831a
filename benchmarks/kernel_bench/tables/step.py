"""One step at a time, T=1, B=1, H=64, the state carried from call to call: what a call costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.cells import CELLS

from ..cases import Case, Problem, Settings
from ..clock import Call
from ..contest import Contestant, Race, milliseconds, run_races
from ..markdown import number, table
from ..peers import load, torch_layers

_SIZE = 64
# Calls in one timed run, all in one inference_mode, as a server would do.
_NUM_CALLS = 100


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """Every way to make a step, recurra's and the peer's, alternating; time is of 100 calls."""
    module = load(peer)
    races = []
    for kind in settings.cells:
        # The problem has 100 steps; each call gets one of them.
        problem = Problem(Case(kind, _NUM_CALLS, 1, _SIZE, _SIZE))
        contestants = list(_ours(problem))
        contestants += _torchs(problem) if peer == "torch" else _onnx(problem, settings, module)
        races.append(Race({"cell": problem.case.labels["cell"]}, "inference", contestants))
    return run_races(races, settings, clock)


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """Nanoseconds a call."""
    lines = []
    for peer, rows in results.items():
        for row in rows:
            if not row["rounds"]:
                lines.append([peer, row["labels"]["cell"], "", "", row["complaint"]])
                continue
            times = {name: milliseconds(row, name) for name in row["names"]}
            best = min(time for name, time in times.items() if name.startswith("recurra"))
            lines += [
                [peer, row["labels"]["cell"], name, number(time * 1e6 / _NUM_CALLS, 0), number(time / best, 2)]
                for name, time in times.items()
            ]
    head = ["process of", "cell", "call", "ns", "time / recurra's fastest"]
    return "\n".join(["## One step a call, T=1, B=1, I=H=64", "", table(head, lines)])


def _ours(problem: Problem) -> Iterator[Contestant]:
    kind = problem.case.kind
    layer = torch_layers.our_layer(problem).eval()
    cell = CELLS[kind](_SIZE, _SIZE)
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in problem.weights.items()})
    cell.eval()
    yield _contestant("recurra.nn layer", problem, lambda x, state: layer(x, state), None)
    yield _contestant("recurra cell.scan", problem, lambda x, state: cell(x, state), None)
    yield _contestant("recurra cell.step", problem, lambda x, state: cell.step(x[0], state), cell.initial_state(1))
    stream = cell.stream()

    def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if state is None:
            stream.reset()
        return stream.step(x[0]), stream

    yield _contestant("recurra stream", problem, step, None)


def _torchs(problem: Problem) -> list[Contestant]:
    layer, kind = problem.layer.eval(), problem.case.kind
    cell = (nn.LSTMCell if kind == "lstm" else nn.GRUCell)(_SIZE, _SIZE)
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in problem.weights.items()})

    def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = cell(x[0], state)
        return (state[0] if kind == "lstm" else state), state

    return [
        _contestant("torch.nn layer", problem, lambda x, state: layer(x, state), None),
        _contestant("torch.nn cell", problem, step, None),
    ]


def _contestant(
    name: str, problem: Problem, step: Callable[[Tensor, Any], tuple[Tensor, Any]], start: Any
) -> Contestant:
    """Calls of `step` on inputs (1, 1, I), one after another."""
    inputs = list(torch.from_numpy(problem.x).split(1, 1))

    def run() -> Tensor:
        with torch.inference_mode():
            state = start
            for x in inputs:
                y, state = step(x, state)
            return y

    return Contestant(name, {"inference": Call(run)}, {"inference": lambda y: {"y": y.numpy().reshape(-1)}})


def _onnx(problem: Problem, settings: Settings, module: Any) -> list[Contestant]:
    """The session's `run`, and with buffers bound once."""
    single = Problem(Case(problem.case.kind, 1, 1, _SIZE, _SIZE))
    single.weights = problem.weights
    session = module.make_session(single, settings.threads, with_state=True)
    inputs = [np.ascontiguousarray(x) for x in problem.x.swapaxes(0, 1)[:, :, None]]
    leaves = ["H", "C"] if problem.case.kind == "lstm" else ["H"]
    zeros = [np.zeros((1, 1, _SIZE), np.float32) for _ in leaves]

    def run() -> np.ndarray:
        state = zeros
        for x in inputs:
            y, *state = session.run(None, {"X": x} | {f"{leaf}0": s for leaf, s in zip(leaves, state, strict=True)})
        return y

    bindings, x, y, first = _bindings(session, module, leaves)

    def run_bound() -> np.ndarray:
        for buffer in first:
            buffer[:] = 0
        for number_of_call, value in enumerate(inputs):
            x[:] = value
            session.run_with_iobinding(bindings[number_of_call % 2])
        return y

    read = {"inference": lambda y: {"y": y.reshape(-1)}}
    return [
        Contestant("onnxruntime run", {"inference": Call(run)}, read),
        Contestant("onnxruntime bound", {"inference": Call(run_bound)}, read),
    ]


def _bindings(
    session: Any, module: Any, leaves: list[str]
) -> tuple[list[Any], np.ndarray, np.ndarray, list[np.ndarray]]:
    """Two bindings that read each other's state, with their buffers: x, y and the state that the first one reads."""

    def buffer(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    x, y = buffer(1, 1, _SIZE), buffer(1, 1, 1, _SIZE)
    states = [[buffer(1, 1, _SIZE) for _ in leaves] for _ in range(2)]
    bindings = []
    for own in range(2):
        binding = session.io_binding()
        named_inputs = {"X": x} | {f"{leaf}0": array for leaf, array in zip(leaves, states[own], strict=True)}
        named_outputs = {"Y": y} | {f"{leaf}N": array for leaf, array in zip(leaves, states[1 - own], strict=True)}
        for name, array in named_inputs.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in named_outputs.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        bindings.append(binding)
    return bindings, x, y, states[0]
