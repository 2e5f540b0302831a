"""What is measured: a layer's kind and sizes, and the numbers that every contestant gets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import nn

Arrays = dict[str, np.ndarray]
Shape = tuple[int, int, int, int]

SHAPES: tuple[Shape, ...] = (
    (100, 32, 16, 50),
    (100, 32, 64, 128),
    (50, 64, 128, 256),
    (35, 20, 400, 1150),
    (100, 1, 64, 128),
    (500, 8, 32, 64),
    (1000, 16, 1, 32),
)
GATES = {"lstm": 4, "gru": 3, "elman": 1, "elman-relu": 1}
TITLES = {"lstm": "LSTM", "gru": "GRU", "elman": "Elman", "elman-relu": "Elman (relu)"}
MODES = ("train", "inference")


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        threads: 1 is timed by CPU time, more by wall time.
        rounds: how often every row is measured, the rounds one after another.
        budget_seconds: of a row in a round; at least three repeats are made however long they take.
        shapes: (T, B, I, H).
        cells: keys of `GATES`.
        modes: of `MODES`.
        sweep_rows: random rows of the sweep.
        seed: of the sweep's shapes.
    """

    threads: int = 1
    rounds: int = 3
    budget_seconds: float = 1.0
    shapes: tuple[Shape, ...] = SHAPES
    cells: tuple[str, ...] = ("lstm", "gru", "elman")
    modes: tuple[str, ...] = MODES
    sweep_rows: int = 120
    seed: int = 0

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        """Back from JSON, where tuples are lists."""
        shapes = tuple(tuple(shape) for shape in values["shapes"])
        return cls(**{**values, "shapes": shapes, "cells": tuple(values["cells"]), "modes": tuple(values["modes"])})


@dataclass(frozen=True)
class Case:
    """One layer, one direction, with both biases."""

    kind: str
    num_steps: int
    batch_size: int
    input_size: int
    hidden_size: int

    @property
    def shape(self) -> Shape:
        """(T, B, I, H)."""
        return self.num_steps, self.batch_size, self.input_size, self.hidden_size

    @property
    def labels(self) -> dict[str, str]:
        """For a table's row."""
        return {"cell": TITLES[self.kind], "shape": "(" + ",".join(map(str, self.shape)) + ")"}

    def flops(self, mode: str) -> int:
        """Of the products alone; training with dx is three times the forward pass."""
        forward = 2 * self.num_steps * self.batch_size * GATES[self.kind] * self.hidden_size
        return forward * (self.input_size + self.hidden_size) * (3 if mode == "train" else 1)


@dataclass
class Problem:
    """A case with its numbers, all float32 and drawn from one seed.

    Attributes:
        case: the sizes.
        layer: torch.nn's layer, batch first.
        x: (B, T, I).
        grad_y: (B, T, H), the gradient that backward starts from.
        weights: weight_ih, weight_hh, bias_ih, bias_hh of `layer`, gates in torch's order; shares its memory.
    """

    case: Case
    layer: nn.Module = field(init=False)
    x: np.ndarray = field(init=False)
    grad_y: np.ndarray = field(init=False)
    weights: Arrays = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        case = self.case
        self.layer = torch_layer(case)
        self.x = torch.randn(case.batch_size, case.num_steps, case.input_size).numpy()
        self.grad_y = torch.randn(case.batch_size, case.num_steps, case.hidden_size).numpy()
        named = self.layer.named_parameters()
        self.weights = {name.removesuffix("_l0"): weight.detach().numpy() for name, weight in named}


def torch_layer(case: Case, package: object = nn) -> nn.Module:
    """The layer of `torch.nn`, or of a package with the same names."""
    sizes = case.input_size, case.hidden_size
    if case.kind in ("lstm", "gru"):
        return getattr(package, case.kind.upper())(*sizes, batch_first=True)
    nonlinearity = "relu" if case.kind == "elman-relu" else "tanh"
    return package.RNN(*sizes, nonlinearity=nonlinearity, batch_first=True)


def cases(settings: Settings) -> list[Case]:
    """Every kind at every shape."""
    return [Case(kind, *shape) for kind in settings.cells for shape in settings.shapes]
