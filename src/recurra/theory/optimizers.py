"""How gradients change weights. All update in place; t counts updates, from 1, and not steps in time."""

import numpy as np

from recurra.theory.recurrence import Weights


class SGD:
    """W = W - learning_rate dW. Article 004, section 3.1."""

    def __init__(self, learning_rate: float = 0.1) -> None:
        self.learning_rate = learning_rate

    def update(self, w: Weights, dw: Weights) -> None:
        """The step against the gradient."""
        for name in w:
            w[name] -= self.learning_rate * dw[name]


class Momentum:
    """m = beta1 m + (1 - beta1) dW, m_hat = m / (1 - beta1^t), W = W - learning_rate m_hat. Article 004, section 3.2.

    Every weight has an m of its own, biases too. Torch's and Keras's momentum leave out (1 - beta1) and the correction:
    their steps become 1 / (1 - beta1) times as long.
    """

    def __init__(self, learning_rate: float = 0.1, beta1: float = 0.9) -> None:
        self.learning_rate, self.beta1 = learning_rate, beta1
        self.t, self.m = 0, dict[str, np.ndarray]()

    def update(self, w: Weights, dw: Weights) -> None:
        """A step along the mean of the gradients so far, the latest counting most."""
        self.t += 1
        for name in w:
            self.m[name] = self.beta1 * self.m.get(name, 0.0) + (1 - self.beta1) * dw[name]
            w[name] -= self.learning_rate * self.m[name] / (1 - self.beta1**self.t)


class Adam:
    """m and v are running means of dW and dW^2; W = W - learning_rate m_hat / (sqrt(v_hat) + eps).

    Source: Kingma and Ba (2015), arXiv:1412.6980, algorithm 1.
    """

    def __init__(
        self, learning_rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        self.learning_rate, self.beta1, self.beta2, self.eps = learning_rate, beta1, beta2, eps
        self.t, self.m, self.v = 0, dict[str, np.ndarray](), dict[str, np.ndarray]()

    def update(self, w: Weights, dw: Weights) -> None:
        """m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t): without them the first steps would be too short."""
        self.t += 1
        for name in w:
            self.m[name] = self.beta1 * self.m.get(name, 0.0) + (1 - self.beta1) * dw[name]
            self.v[name] = self.beta2 * self.v.get(name, 0.0) + (1 - self.beta2) * dw[name] ** 2
            m_hat = self.m[name] / (1 - self.beta1**self.t)
            v_hat = self.v[name] / (1 - self.beta2**self.t)
            w[name] -= self.learning_rate * m_hat / (np.sqrt(v_hat) + self.eps)


def clip_by_norm(dw: Weights, max_norm: float) -> tuple[Weights, float]:
    """g = g min(1, max_norm / |g|), |g| over all weights together: the direction stays. Returns |g| before, too.

    Source: Pascanu et al. (2013), arXiv:1211.5063, algorithm 1. A small gradient stays as it is: clipping is no remedy
    for vanishing gradients.
    """
    norm = float(np.sqrt(sum((g**2).sum() for g in dw.values())))
    factor = max_norm / norm if norm > max_norm else 1.0
    return {name: g * factor for name, g in dw.items()}, norm


def clip_by_value(dw: Weights, limit: float) -> Weights:
    """Each entry into [-limit, limit]: the direction may change. Source: Mikolov (2012), thesis."""
    return {name: np.clip(g, -limit, limit) for name, g in dw.items()}
