"""The program of article 003 in recurra: two simple recurrent layers over one another say how a series goes on.

The article's data are nowhere defined. Here x is eleven years of sunspots, y the number in the year after.

    python examples/article_003.py
"""

from __future__ import annotations

import numpy as np

from recurra import SeriesRegressor
from recurra.theory.sources import sunspots


def windows(values: np.ndarray, length: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """(n, length), and what came next (n,)."""
    return np.lib.stride_tricks.sliding_window_view(values, length)[:-1], values[length:]


def build(epochs: int = 100) -> SeriesRegressor:
    """SimpleRNN(50), SimpleRNN(50), Dense(1), squared error, Adam, batches of 32."""
    options = {
        "task.augmentation.probability": 0,
        "model": {"kind": "series-classifier", "cell": "elman", "hidden_size": 50, "num_layers": 2},
        "model.bidirectional": False,
        "model.pooling": "last",
        "optimizer": "adam",
        "schedule": "constant",
        "training.batch_size": 32,
    }
    return SeriesRegressor("series-regressor", epochs=epochs, options=options)


def main() -> None:
    """Train on 1700 to 1948, test on the sixty years after."""
    series = sunspots()[1]
    x_train, y_train = windows(series[:-60])
    x_test, y_test = windows(series[-71:])
    y_pred = build().fit(x_train, y_train).predict(x_test)
    error, copied = (np.sqrt(np.mean((y_test - guess) ** 2)) for guess in (y_pred, x_test[:, -1]))
    print(f"root mean squared error {error:.1f} sunspots; of last year's number {copied:.1f}")


if __name__ == "__main__":
    main()
