"""Parity: was the number of ones so far even or odd?

Worked example: after the bits 0 1 1 1 the answers are 0 1 0 1. Training words have up to 20 bits, those of the test
200: a cell that only counts or fades gets them wrong, one that can switch between two states keeps on being right.

Source: Hochreiter and Schmidhuber (1997), section 5.1, on random guessing; what linear cells can't do: Grazzi et al.
(2024), https://arxiv.org/abs/2411.12537.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.tasks.generated import ProblemConfig
from recurra.tasks.step_problem import StepExample, StepProblem


class ParityConfig(ProblemConfig):
    """Options of parity."""

    kind: Literal["parity"] = "parity"
    length: int = Field(20, ge=1, description="longest training word; each length is as frequent")
    test_length: int = Field(200, ge=1, description="length of all test words")


class Parity(StepProblem):
    """The task."""

    Config: ClassVar[type[Config]] = ParityConfig
    usage: ClassVar[str] = 'print(model.predict(["0111"]))'
    config: ParityConfig

    def sizes_of_alphabets(self) -> tuple[int, int]:
        """Bits; even and odd."""
        return 2, 2

    def draw(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Words of 1 to `length` bits."""
        sizes = rng.integers(1, self.config.length + 1, num_examples)
        bits = rng.integers(0, 2, (num_examples, self.config.length))
        return self.examples([row[:size] for row, size in zip(bits, sizes, strict=True)])

    def draw_test(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Words of `test_length` bits."""
        return self.examples(list(rng.integers(0, 2, (num_examples, self.config.test_length))))

    def answers(self, tokens: np.ndarray) -> np.ndarray:
        """1 where the number of ones is odd."""
        parities: np.ndarray = np.cumsum(tokens) % 2
        return parities

    def parse(self, text: str, where: str) -> np.ndarray:
        """Bits without blanks."""
        if not text or set(text) - set("01"):
            raise DataError(f"{where}: bits are wanted, without blanks between: 0111.")
        return np.array([int(bit) for bit in text])

    def text(self, tokens: np.ndarray) -> str:
        """The bits."""
        return "".join(map(str, tokens))

    def spelt(self, answers: np.ndarray) -> str:
        """1 after each step where it is odd."""
        return "".join(map(str, answers))

    def told(self, answers: np.ndarray) -> str:
        """Even or odd, at the end."""
        return "odd" if answers[-1] else "even"

    def described(self) -> str:
        """With its lengths."""
        return f"parity of up to {self.config.length} bits in the training and {self.config.test_length} in the test"
