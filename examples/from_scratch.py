"""The training loop of article 004, from its equations in NumPy, on data that is always there; then on to recurra.

python examples/from_scratch.py
"""

from __future__ import annotations

import numpy as np
import torch

from recurra import LSTMCell
from recurra.theory import GRU, LSTM, Adam, Network, cross_entropy, mse, sample, train
from recurra.theory.sources import next_characters, next_values, sunspots, zen


def series(epochs: int = 60) -> None:
    """Next year's sunspots: trained on 1700 to 1948, tested on the sixty years after."""
    values = sunspots()[1] / 100
    network = Network(LSTM(), input_size=1, sizes=[16], output_size=1)
    losses = train(network, next_values(values[:-60], 20), mse, Adam(1e-2), epochs, theta=1.0, carry=True)
    ys, _, _ = network.forward(values[None, :-1, None])
    error, copied = (np.sqrt(np.mean(e**2)) for e in (ys[0, -60:, 0] - values[-60:], np.diff(values[-61:])))
    print(f"sunspots: loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    print(f"root mean squared error {100 * error:.1f}; of last year's number {100 * copied:.1f}")
    print(f"recurra.LSTMCell with these weights differs by {difference(network, values):.0e}")


def difference(network: Network, values: np.ndarray) -> float:
    """The largest difference between the layer here and recurra's, which takes over its weights."""
    cell = LSTMCell(1, 16).double()
    cell.load_state_dict({name: torch.from_numpy(weight) for name, weight in network.cells[0].items()})
    theirs, _ = cell.scan(torch.from_numpy(values[None, :, None]))
    ours, _, _ = network.cell.forward(values[None, :, None], network.cells[0])
    return float(np.abs(ours - theirs.detach().numpy()).max())


def text(epochs: int = 40) -> None:
    """The Zen of Python, character by character."""
    pieces, alphabet = next_characters(zen(), 25)
    network = Network(GRU(), len(alphabet), [48], len(alphabet))
    losses = train(network, pieces, cross_entropy, Adam(1e-2), epochs, theta=1.0, carry=True)
    print(f"\nthe Zen of Python: {losses[0]:.2f} -> {losses[-1]:.2f} nats a character; it now says:")
    print(sample(network, alphabet, "Now", 120, np.random.default_rng(0)))


if __name__ == "__main__":
    series()
    text()
