"""The program of article 000 in recurra: a stacked, stateful LSTM that says how many sunspots next year has.

The article's does not run: `layers=` is no argument of a Keras RNN, `compile` gets one loss for an output and a state,
and `x_train` is nowhere defined. Here the state is a value that goes from call to call.

    python examples/article_000.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra import Recurrent, RecurrentConfig, Sequences
from recurra.core import state as states
from recurra.theory.sources import sunspots


class RNNModel(nn.Module):
    """LSTM layers over one another, and a number for each step."""

    def __init__(self, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.rnn = Recurrent(1, RecurrentConfig(hidden_size=hidden_size, num_layers=num_layers))
        self.dense = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Tensor, state: states.State | None = None) -> tuple[Tensor, states.State]:
        """(B, T, 1) and the state that an earlier call returned -> (B, T, 1) and the new state."""
        output = self.rnn(Sequences(inputs), state)
        return self.dense(output.outputs.data), output.state


def train(model: RNNModel, series: Tensor, epochs: int = 10, length: int = 10) -> None:
    """Piece after piece of a series (T,), in order: the state goes on, the gradient ends at each border."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(epochs):
        state = None
        for start in range(0, len(series) - 1, length):
            piece = series[start : start + length + 1].view(1, -1, 1)
            output, state = model(piece[:, :-1], state)
            loss = nn.functional.mse_loss(output, piece[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = states.detach(state)
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}")


def main() -> None:
    """Train on 1700 to 1948, test on the sixty years after."""
    torch.manual_seed(0)
    series = torch.tensor(sunspots()[1] / 100, dtype=torch.float32)
    model = RNNModel(hidden_size=128, num_layers=2)
    train(model, series[:-60])
    with torch.no_grad():
        output, _ = model(series[None, :-1, None])
    error = (output[0, -60:, 0] - series[-60:]).square().mean().sqrt()
    copied = series[-61:].diff().square().mean().sqrt()
    print(f"root mean squared error {100 * error:.1f} sunspots; of last year's number {100 * copied:.1f}")


if __name__ == "__main__":
    main()
