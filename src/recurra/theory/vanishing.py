"""Why gradients vanish or explode: |dL/dh_t| over many steps, measured, beside what theory says of one step.

A step back multiplies dL/dh by its Jacobian, so that |dL/dh_t| goes like factor^(T - t). `python -m
recurra.theory.vanishing [FILE.png]` measures 200 steps and prints each factor, and draws all (extra `plot`).
"""

import sys
from typing import NamedTuple

import numpy as np

from recurra.core.errors import MissingExtraError
from recurra.theory.elman import ACTIVATIONS, Elman
from recurra.theory.gru import GRU
from recurra.theory.lstm import LSTM
from recurra.theory.recurrence import Array, Cell, sigmoid

NUM_STEPS = 200
NOISE = 0.1
"""Standard deviation of W_ih x_t, the random input."""


class Curve(NamedTuple):
    """|dL/dh_t| (T,) of a network, and the factor of one step back as it is measured and as theory predicts it."""

    name: str
    norms: Array
    measured: float
    predicted: float


def measure(cell: Cell, radius: float, max_norm: float = np.inf, hidden_size: int = 200, seed: int = 0) -> Array:
    """|dL/dh_t| (T,), the geometric mean of four rows, where L sees h_T alone.

    Recurrent matrices are `radius` times orthogonal ones; 100 steps before let the state settle.
    """
    rng = np.random.default_rng(seed)
    w = cell.initial_weights(1, hidden_size, rng)
    blocks = [np.linalg.qr(rng.standard_normal((hidden_size, hidden_size)))[0] for _ in range(cell.num_gates)]
    w["weight_hh"], w["weight_ih"] = radius * np.concatenate(blocks), np.eye(len(w["weight_ih"]))
    xs = NOISE * rng.standard_normal((4, 100 + NUM_STEPS, len(w["weight_ih"])))
    _, state, _ = cell.forward(xs[:, :100], w)
    hs, _, tapes = cell.forward(xs[:, 100:], w, state)
    dhs = np.zeros_like(hs)
    dhs[:, -1] = rng.standard_normal(dhs[:, -1].shape) / np.sqrt(hidden_size)
    found = cell.backward(dhs, tapes, w, max_norm=max_norm).hs
    return np.exp(np.log(np.linalg.norm(found, axis=-1) + 1e-150).mean(0))


def factor_of(norms: Array) -> float:
    """e^slope of log |dL/dh_t| against T - t, by least squares over what is neither new nor too small to be held."""
    back, norms = np.arange(len(norms))[5:], norms[::-1][5:]
    seen = norms > 1e-140
    return float(np.exp(np.polyfit(back[seen], np.log(norms[seen]), 1)[0]))


def predict_elman(activation: str, radius: float) -> float:
    """radius sqrt(E phi'(a)^2) with a ~ N(0, q), where q settles at q = radius^2 E phi(a)^2 + NOISE^2.

    It can't exceed radius max |phi'| (Pascanu et al., 2013, arXiv:1211.5063, section 2.1): tanh does not explode below
    radius 1, sigmoid below 4. The expectations, exact for large H: Poole et al. (2016), arXiv:1606.05340, section 2.
    """
    phi, dphi = ACTIVATIONS[activation]
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights, q = weights / weights.sum(), 1.0
    for _ in range(1000):
        a = np.sqrt(min(q, 1e12)) * nodes
        q = radius**2 * weights @ phi(a) ** 2 + NOISE**2
    return float(radius * np.sqrt(weights @ dphi(phi(a)) ** 2))


def predict_gated(keep_bias: float, radius: float) -> float:
    """f + radius / 4 with f = sigma(keep_bias): the largest |eigenvalue| of a step's Jacobian at rest.

    At x = h = c = 0 the other gates are 1/2: LSTM dc' = (f + W_g / 4) dc; GRU dh' = (z + (1 - z) W_n / 2) dh, z = 1/2.
    """
    return float(sigmoid(np.array(keep_bias)) + radius / 4)


def panels() -> dict[str, list[Curve]]:
    """The four experiments."""

    def elman(activation: str, radius: float, name: str, max_norm: float = np.inf) -> Curve:
        norms = measure(Elman(activation), radius, max_norm)
        return Curve(name, norms, factor_of(norms), min(predict_elman(activation, radius), max(max_norm, 1.0)))

    def gated(cell: Cell, bias: float, name: str) -> Curve:
        norms = measure(cell, 0.1, hidden_size=64)
        return Curve(name, norms, factor_of(norms), predict_gated(bias, 0.1))

    return {
        "Elman, tanh: the radius of W_hh decides": [elman("tanh", r, f"radius {r}") for r in (0.5, 0.8, 1.0, 1.2, 1.5)],
        "Elman: the activation decides, too": [
            elman(name, r, f"{name}, radius {r}") for name in ("relu", "sigmoid") for r in (1.0, 1.5)
        ],
        "LSTM and GRU, radius 0.1: the gate that keeps the state decides": [
            *(gated(LSTM(bias), bias, f"LSTM, forget bias {bias}") for bias in (0, 1, 3)),
            gated(GRU(), 0, "GRU"),
        ],
        "Elman, tanh: clipping stops explosions, and heals nothing that vanishes": [
            elman("tanh", radius, f"radius {radius}{note}", max_norm)
            for radius in (1.5, 0.8)
            for note, max_norm in (("", np.inf), (", clipped at 1", 1.0))
        ],
    }


def draw(found: dict[str, list[Curve]], path: str) -> None:
    """Write `panels()` as PNG, SVG or PDF: wide lines are measured, dashed ones the theory's."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "drawing gradients") from error
    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle("How much of the gradient is left, so many steps before the loss?", fontsize=15)
    back = np.arange(NUM_STEPS)
    for axes, (title, curves) in zip(figure.subplots(2, 2, sharey=True).flat, found.items(), strict=True):
        for width, one in zip((5, 4, 3.2, 2.4, 2), curves, strict=False):
            label = f"{one.name}: {one.measured:.3f} ({one.predicted:.3f})"
            axes.plot(back, one.norms[::-1], linewidth=width, alpha=0.7, label=label)
            axes.plot(back, one.norms[-6] * one.predicted ** (back - 5.0), "k--", linewidth=1)
        axes.set(title=title, yscale="log", ylim=(1e-12, 1e12), xlim=(0, NUM_STEPS), xlabel="steps before the loss")
        axes.set_ylabel("size of the gradient, |dL/dh|")
        axes.grid(alpha=0.25)
        axes.legend(loc="upper left", title="factor a step: measured (theory, dashed)", fontsize=10)
    figure.savefig(path, dpi=110)


def main(arguments: list[str]) -> None:
    """Print a table, and draw into the file that is named."""
    found = panels()
    for title, curves in found.items():
        print(f"\n{title}\n{'':23}  {'|dL/dh_1|':>9}  factor a step: measured, theory")
        for one in curves:
            print(f"{one.name:23}  {one.norms[0]:9.1e}  {one.measured:23.4f}  {one.predicted:6.4f}")
    for path in arguments:
        draw(found, path)


if __name__ == "__main__":
    main(sys.argv[1:])
