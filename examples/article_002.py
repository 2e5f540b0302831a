"""The program of article 002 in recurra: an LSTM, dropout, and one yes or no.

The article's data and sizes are nowhere defined. Here a sequence is 22 years of sunspots, about two cycles, and the
label whether the next year has more than the last.

    python examples/article_002.py
"""

from __future__ import annotations

import numpy as np

from recurra import SeriesClassifier
from recurra.theory.sources import sunspots


def windows(values: np.ndarray, timesteps: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """(n, timesteps), and whether the year after has more (n,)."""
    rows = np.lib.stride_tricks.sliding_window_view(values, timesteps + 1)
    return rows[:, :-1], (rows[:, -1] > rows[:, -2]).astype(int)


def build(epochs: int = 30) -> SeriesClassifier:
    """LSTM(50), Dropout(0.2), Dense(1, sigmoid), cross-entropy, Adam, batches of 32; the rate rises and falls."""
    options = {
        "task.normalisation": "none",
        "task.augmentation.probability": 0,
        "model.hidden_size": 50,
        "model.bidirectional": False,
        "model.pooling": "last",
        "model.dropout.output": 0,
        "model.head_dropout": 0.2,
        "optimizer": "adam",
        "optimizer.learning_rate": 0.01,
        "training.batch_size": 32,
    }
    return SeriesClassifier("series-classifier", epochs=epochs, options=options)


def main() -> None:
    """Train on 1700 to 1948, test on the sixty years after."""
    series = sunspots()[1] / 100
    x_train, y_train = windows(series[:-60])
    x_test, y_test = windows(series[-82:])
    model = build().fit(x_train, y_train)
    going_on = np.mean((x_test[:, -1] > x_test[:, -2]) == y_test)
    print(f"accuracy {model.score(x_test, y_test):.3f}; of going on as before {going_on:.3f}")


if __name__ == "__main__":
    main()
