"""a^n b^n: as many b as a, and then the end.

Worked example: after the steps of `a a b b` nothing is asked twice, then b, then "end". Training words have n up to 50,
those of the test more: a cell that can count without bound goes on, one whose state lies in -1..1 loses count.

Source: Weiss, Goldberg and Yahav (2018), https://arxiv.org/abs/1805.04908.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.tasks.generated import ProblemConfig
from recurra.tasks.step_problem import NOT_ASKED, StepExample, StepProblem

_A, _B = 0, 1
_ANSWERS = ("b", "end")


class AnBnConfig(ProblemConfig):
    """Options of a^n b^n."""

    kind: Literal["anbn"] = "anbn"
    length: int = Field(50, ge=1, description="largest n of the training; each n is as frequent")
    test_length: int = Field(100, ge=2, description="largest n of the test; all are larger than those of the training")
    test_size: int = Field(50, ge=1, description="test examples, of each n in turn")

    @model_validator(mode="after")
    def _tests_larger_numbers(self) -> AnBnConfig:
        if self.test_length <= self.length:
            raise ValueError(f"test_length must be larger than length, which is {self.length}")
        return self


class AnBn(StepProblem):
    """The task."""

    Config: ClassVar[type[Config]] = AnBnConfig
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("sequence_accuracy", "max")
    usage: ClassVar[str] = 'print(model.predict(["aaabb"]))'
    config: AnBnConfig

    def sizes_of_alphabets(self) -> tuple[int, int]:
        """a and b; b and the end."""
        return 2, len(_ANSWERS)

    def draw(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Words of n up to `length`."""
        return self.examples([_word(n) for n in rng.integers(1, self.config.length + 1, num_examples)])

    def draw_test(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Each larger n in turn."""
        larger = range(self.config.length + 1, self.config.test_length + 1)
        return self.examples([_word(larger[number % len(larger)]) for number in range(num_examples)])

    def answers(self, tokens: np.ndarray) -> np.ndarray:
        """After each b whether another one comes."""
        balance = np.cumsum(np.where(tokens == _A, 1, -1))
        return np.where(tokens == _A, NOT_ASKED, np.where(balance > 0, 0, 1))

    def parse(self, text: str, where: str) -> np.ndarray:
        """The beginning of a word, with at least one b, or all of it."""
        num_a = len(text) - len(text.lstrip("a"))
        if not 1 <= len(text) - num_a <= num_a or text != "a" * num_a + "b" * (len(text) - num_a):
            raise DataError(f"{where}: some a and then no more b than a are wanted, and at least one: aaabb.")
        return np.array([_A] * num_a + [_B] * (len(text) - num_a))

    def text(self, tokens: np.ndarray) -> str:
        """The letters."""
        return "".join("ab"[token] for token in tokens)

    def spelt(self, answers: np.ndarray) -> str:
        """What comes after each b, with a full stop for the end."""
        return "".join("b."[answer] for answer in answers)

    def told(self, answers: np.ndarray) -> str:
        """What comes next."""
        return _ANSWERS[answers[-1]]

    def described(self) -> str:
        """With its lengths."""
        return f"a^n b^n with n up to {self.config.length} in the training and {self.config.test_length} in the test"


def _word(n: int) -> np.ndarray:
    return np.repeat([_A, _B], n)
