"""Dyck words: brackets of several kinds, nested and closed in order. Which of them has to be closed next?

Worked example: after the steps of `( [ ] ( ) )` the answers are ) ] ) ) ) and "none", the bracket on top of the stack
of open ones. Training words are short, those of the test longer, so that a rule must be learnt and no list. With one
kind of brackets counting is enough; with two, a stack is needed, here one of `max_depth`.

Source: Suzgun et al. (2019), https://arxiv.org/abs/1906.03648; bounded depth: Hewitt et al. (2020),
https://arxiv.org/abs/2010.07515.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.tasks.generated import ProblemConfig
from recurra.tasks.step_problem import StepExample, StepProblem

_PAIRS = ("()", "[]", "{}", "<>")
_NONE = "none"


class DyckConfig(ProblemConfig):
    """Options of Dyck words."""

    kind: Literal["dyck"] = "dyck"
    num_kinds: int = Field(2, ge=1, le=len(_PAIRS), description="kinds of brackets")
    length: int = Field(40, ge=2, description="longest training word; each even length is as frequent")
    test_length: int = Field(100, ge=4, description="longest test word; all are longer than those of the training")
    max_depth: int = Field(8, ge=1, description="most brackets open at a time")

    @model_validator(mode="after")
    def _tests_longer_words(self) -> DyckConfig:
        if self.test_length // 2 <= self.length // 2:
            raise ValueError(f"test_length must be at least {self.length // 2 * 2 + 2}, longer than any training word")
        return self


class Dyck(StepProblem):
    """The task: symbols 2 k and 2 k + 1 open and close kind k; answer 0 is none, k + 1 the bracket of kind k."""

    Config: ClassVar[type[Config]] = DyckConfig
    usage: ClassVar[str] = 'print(model.predict(["([]("]))'
    config: DyckConfig

    def sizes_of_alphabets(self) -> tuple[int, int]:
        """Brackets; kinds and none."""
        return 2 * self.config.num_kinds, self.config.num_kinds + 1

    def draw(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Words of 2 to `length` brackets."""
        return self.examples(self._words(rng, num_examples, 1, self.config.length // 2))

    def draw_test(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Longer words, up to `test_length`."""
        return self.examples(self._words(rng, num_examples, self.config.length // 2 + 1, self.config.test_length // 2))

    def answers(self, tokens: np.ndarray) -> np.ndarray:
        """The kind on top of the stack."""
        stack, tops = [0], []
        for token in tokens.tolist():
            if token % 2:
                stack.pop()
            else:
                stack.append(token // 2 + 1)
            tops.append(stack[-1])
        return np.array(tops)

    def parse(self, text: str, where: str) -> np.ndarray:
        """Brackets without blanks, the beginning of a word or all of it."""
        known = "".join(_PAIRS[: self.config.num_kinds])
        stack: list[int] = []
        if not text:
            raise DataError(f"{where}: an empty line: brackets are wanted, of {known}.")
        for place, bracket in enumerate(text, start=1):
            kind = known.find(bracket)
            if kind < 0:
                raise DataError(f"{where}: {bracket!r} at column {place}: brackets are wanted, of {known}.")
            if kind % 2 == 0:
                stack.append(kind + 1)
            elif not stack or stack.pop() != kind:
                raise DataError(f"{where}: {bracket!r} at column {place} closes no bracket that is open there.")
        return np.array([known.index(bracket) for bracket in text], dtype=np.int64)

    def text(self, tokens: np.ndarray) -> str:
        """The brackets."""
        return "".join("".join(_PAIRS)[token] for token in tokens)

    def spelt(self, answers: np.ndarray) -> str:
        """A closing bracket after each step, or - for none."""
        return "".join(_PAIRS[answer - 1][1] if answer else "-" for answer in answers)

    def told(self, answers: np.ndarray) -> str:
        """The bracket that has to come at the end, or none."""
        return _PAIRS[answers[-1] - 1][1] if answers[-1] else _NONE

    def described(self) -> str:
        """With its sizes."""
        config = self.config
        return (
            f"Dyck words of {config.num_kinds} kinds of brackets, at most {config.max_depth} deep, up to "
            f"{config.length} long in the training and {config.test_length} in the test"
        )

    def _words(self, rng: np.random.Generator, num_words: int, shortest: int, longest: int) -> list[np.ndarray]:
        """Words of `shortest` to `longest` pairs."""
        sizes = 2 * rng.integers(shortest, longest + 1, num_words)
        opens = rng.random((num_words, 2 * longest)) < 0.5
        kinds = rng.integers(0, self.config.num_kinds, (num_words, 2 * longest))
        words = zip(sizes.tolist(), opens.tolist(), kinds.tolist(), strict=True)
        return [_word(size, wishes, kind, self.config.max_depth) for size, wishes, kind in words]


def _word(size: int, opens: list[bool], kinds: list[int], max_depth: int) -> np.ndarray:
    """A whole word of `size` brackets, which opens where it may and `opens` says so."""
    word: list[int] = []
    stack: list[int] = []
    for step in range(size):
        left = size - step
        if not stack or (opens[step] and len(stack) < min(max_depth, left)):
            stack.append(kinds[step])
            word.append(2 * kinds[step])
        else:
            word.append(2 * stack.pop() + 1)
    return np.array(word)
