"""A user's own LSTM, written as one `step` in Python, beside the built-in one with the same weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.cells import Cell

from ..cases import Case, Problem, Settings
from ..contest import Race, milliseconds, ratio, run_races
from ..markdown import number, table
from ..peers import torch_layers

_HIDDEN = 128


class OwnLSTM(Cell):
    """What the documentation tells a user to write."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.case.input_size, problem.case.hidden_size)
        for name, array in problem.weights.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(array.copy())))

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        return self.zeros(batch_size, self.hidden_size), self.zeros(batch_size, self.hidden_size)

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = state
        i, f, g, o = (x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class HandWritten(nn.LSTMCell):
    """The loop over torch.nn.LSTMCell that a user without recurra writes, at its best: `unbind`, then `stack`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.case.input_size, problem.case.hidden_size)
        self.load_state_dict({name: torch.from_numpy(array) for name, array in problem.weights.items()})

    def forward(self, xs: Tensor) -> tuple[Tensor, None]:
        state, ys = None, []
        for x in xs.unbind(1):
            state = super().forward(x, state)
            ys.append(state[0])
        return torch.stack(ys, 1), None


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """The user's cell, the built-in layer, torch.nn's, and a loop by hand, alternating; at shapes of H=128."""
    chosen = [shape for shape in settings.shapes if shape[3] == _HIDDEN] or settings.shapes
    races = []
    for shape in chosen:
        case = Case("lstm", *shape)
        problem = Problem(case)
        contestants = [
            torch_layers.layer_contestant("own", OwnLSTM(problem), problem),
            torch_layers.build_ours(problem),
            torch_layers.build(problem, settings),
            torch_layers.layer_contestant("loop", HandWritten(problem), problem),
        ]
        races += [Race(case.labels, mode, contestants) for mode in settings.modes]
    return run_races(races, settings, clock)


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """One line a race."""
    lines = [
        [
            row["labels"]["shape"],
            row["mode"],
            number(milliseconds(row, "own"), 3),
            number(ratio(row, "own", "recurra"), 2),
            number(ratio(row, "torch", "own"), 2),
            number(ratio(row, "loop", "own"), 2),
            row["paths"]["own"],
            row["complaint"],
        ]
        for row in results["torch"]
    ]
    head = ["(T,B,I,H)", "mode", "ms", "own / built-in", "torch.nn.LSTM / own", "loop by hand / own", "path", ""]
    return "\n".join(["## An LSTM written as `step` in Python / recurra's built-in one", "", table(head, lines)])
