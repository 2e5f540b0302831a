"""The program of article 004, section 5.2, in recurra: two steps in, one bit out.

The article gives a matrix where a recurrent layer wants sequences, and the same input [1, 0] once the label 0 and once
1. Here a sequence is the numbers of sunspots in two years, and the label whether the next year has more than the last.

    python examples/article_004.py
"""

from __future__ import annotations

import numpy as np

from recurra import SeriesClassifier
from recurra.theory.sources import sunspots


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two years (n, 2), and whether the third has more (n,)."""
    return np.stack([values[:-2], values[1:-1]], 1), (values[2:] > values[1:-1]).astype(int)


def build(epochs: int = 40) -> SeriesClassifier:
    """SimpleRNN(1, sigmoid), SimpleRNN(1, sigmoid), Dense(1, sigmoid), cross-entropy, Adam."""
    options = {
        "task.normalisation": "none",
        "task.augmentation.probability": 0,
        "model.cell": {"kind": "elman", "activation": "sigmoid"},
        "model.hidden_size": 1,
        "model.num_layers": 2,
        "model.bidirectional": False,
        "model.pooling": "last",
        "model.dropout.output": 0,
        "optimizer": "adam",
        "optimizer.learning_rate": 0.03,
        "schedule": "constant",
    }
    return SeriesClassifier("series-classifier", epochs=epochs, options=options)


def main() -> None:
    """Train on 1700 to 1948, test on the sixty years after."""
    series = sunspots()[1] / 100
    x_train, y_train = pairs(series[:-60])
    x_test, y_test = pairs(series[-62:])
    model = build().fit(x_train, y_train)
    going_on = np.mean((x_test[:, 1] > x_test[:, 0]) == y_test)
    print(f"accuracy {model.score(x_test, y_test):.3f}; of going on as before {going_on:.3f}")


if __name__ == "__main__":
    main()
