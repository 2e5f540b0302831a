"""Deep and bidirectional networks: layers of cells over one another, and a linear layer on top."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra.theory.recurrence import Array, Cell, State, Weights

TURN = (slice(None), slice(None, None, -1))  # time as it runs forwards, and backwards


class Network:
    """Layer l reads what layer l - 1 puts out; a bidirectional layer puts out [h forwards, h backwards].

    `parameters()` names the weights of cells as `recurra.Recurrent.state_dict()` does, `cells.0.weight_ih` and so on:
    layer by layer, forwards then backwards; beside them `output.weight` and `output.bias`, as of a torch.nn.Linear.
    Sources: Graves et al. (2013), arXiv:1303.5778, equation 11; Schuster and Paliwal (1997), Bidirectional RNNs.
    """

    def __init__(
        self, cell: Cell, input_size: int, sizes: list[int], output_size: int, directions: int = 1, seed: int = 0
    ) -> None:
        """Make the weights; `sizes` holds H of each layer and direction, 1 or 2 `directions`."""
        rng = np.random.default_rng(seed)
        self.cell, self.directions, self.cells = cell, directions, list[Weights]()
        for size in sizes:
            self.cells += [cell.initial_weights(input_size, size, rng) for _ in range(directions)]
            input_size = directions * size
        bound = input_size**-0.5
        self.output = {"weight": rng.uniform(-bound, bound, (output_size, input_size)), "bias": np.zeros(output_size)}

    def parameters(self) -> Weights:
        """All weights by name; the arrays themselves, so that changing them in place changes the network."""
        return dict(_named(self.cells, self.output))

    def forward(self, xs: Array, states: list[State] | None = None) -> tuple[Array, list[State], Any]:
        """From x_t (B, T, I): y_t = W_y h_t + b_y (B, T, O), each cell's last state, and the tape for `backward`.

        `states` of an earlier call go on, None starts from zeros.
        """
        hs, new_states, tapes = xs, list[State](), []
        for first in range(0, len(self.cells), self.directions):
            both = []
            for direction in range(self.directions):
                index, turn = first + direction, TURN[direction]
                ran = self.cell.forward(hs[:, turn], self.cells[index], states[index] if states else None)
                both.append(ran[0][:, turn])
                new_states.append(ran[1])
                tapes.append(ran[2])
            hs = np.concatenate(both, -1)
        return hs @ self.output["weight"].T + self.output["bias"], new_states, (hs, tapes)

    def backward(self, dys: Array, tape: Any) -> tuple[Weights, Array]:
        """From dL/dy_t (B, T, O): dL/d(each of `parameters()`), and dL/dx_t (B, T, I)."""
        hs, tapes = tape
        output = {"weight": np.einsum("bto,bth->oh", dys, hs), "bias": dys.sum((0, 1))}
        dhs, cells = dys @ self.output["weight"], list[Weights]()
        for first in reversed(range(0, len(self.cells), self.directions)):
            found = [
                self.cell.backward(part[:, turn], tapes[index], self.cells[index])
                for index, (turn, part) in enumerate(zip(TURN, np.split(dhs, self.directions, -1), strict=False), first)
            ]
            dhs = sum((one.xs[:, turn] for turn, one in zip(TURN, found, strict=False)), np.zeros(1))
            cells = [one.weights for one in found] + cells
        return dict(_named(cells, output)), dhs


def _named(cells: list[Weights], output: Weights) -> Iterator[tuple[str, Array]]:
    for index, weights in enumerate(cells):
        yield from ((f"cells.{index}.{name}", weight) for name, weight in weights.items())
    yield from ((f"output.{name}", weight) for name, weight in output.items())
