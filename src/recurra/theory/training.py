"""The training loop of article 004, section 3.2, step by step as its pseudo-code, with its slips mended.

Mended: every weight has a momentum of its own, and t counts updates (`optimizers`); the recurrence reads x_t, not all
of x; gradients are clipped by the norm of all of them together, where they are large.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recurra.theory.losses import softmax
from recurra.theory.network import Network
from recurra.theory.optimizers import SGD, Adam, Momentum, clip_by_norm
from recurra.theory.recurrence import Array, State

Loss = Callable[[Array, Any], tuple[float, Array]]


def train(
    network: Network,
    examples: Sequence[tuple[Array, Any]],
    loss: Loss,
    optimizer: SGD | Momentum | Adam,
    epochs: int,
    *,
    theta: float = np.inf,
    carry: bool = False,
) -> list[float]:
    """Train in place on (x, y) with x (B, T, I), step 1 of the pseudo-code done; returns each epoch's mean loss.

    No gradient is longer than `theta`. With `carry` each example begins with the state that the one before it left,
    without a gradient to it: truncated BPTT with k1 = k2 = T, for a long sequence cut into pieces.
    """
    w, history = network.parameters(), []
    for _ in range(epochs):
        states: list[State] | None = None
        losses = []
        for x, y in examples:
            y_pred, new_states, tape = network.forward(x, states)  # steps 2 and 3: hidden states, output
            value, dy = loss(y_pred, y)  # step 4: loss
            dw, _ = network.backward(dy, tape)  # step 5: backpropagation through time
            dw, _ = clip_by_norm(dw, theta)
            optimizer.update(w, dw)  # step 6: update
            states = new_states if carry else None
            losses.append(value)
        history.append(float(np.mean(losses)))
    return history


def sample(network: Network, alphabet: str, prompt: str, length: int, rng: np.random.Generator) -> str:
    """Text from a network that was trained to give the next character; its state stands for all that was read."""
    text, states, onehot = prompt, None, np.eye(len(alphabet))
    unread = prompt
    for _ in range(length):
        x = onehot[[alphabet.index(character) for character in unread]]
        y, states, _ = network.forward(x[None], states)
        unread = alphabet[rng.choice(len(alphabet), p=softmax(y[0, -1]))]
        text += unread
    return text
