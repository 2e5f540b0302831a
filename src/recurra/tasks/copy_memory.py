"""Copy memory: say a row of symbols again after a long wait.

Worked example: the line `3 1 7` with a delay of 4 is read as 3 1 7 . . . ? . . . with three blanks, a mark that asks
for the symbols, and as many steps to say them; asked are the answers 3 1 7 at the last three steps. Whoever guesses has
an accuracy of 1/8. Nothing helps but to keep all ten symbols over the whole delay.

Source: Hochreiter and Schmidhuber (1997), section 5.1; in this form Arjovsky et al. (2016), section 5.1,
https://arxiv.org/abs/1511.06464, but for the blanks, which are not asked here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.tasks.generated import ProblemConfig
from recurra.tasks.step_problem import NOT_ASKED, StepExample, StepProblem

_BLANK = 0


class CopyMemoryConfig(ProblemConfig):
    """Options of copy memory."""

    kind: Literal["copy-memory"] = "copy-memory"
    delay: int = Field(50, ge=1, description="steps between the last symbol and the first answer")
    span: int = Field(10, ge=1, description="symbols to be kept")
    num_symbols: int = Field(8, ge=2, description="different symbols")


class CopyMemory(StepProblem):
    """The task: symbol 0 is the blank, then come the symbols to be kept, and the mark."""

    Config: ClassVar[type[Config]] = CopyMemoryConfig
    usage: ClassVar[str] = 'print(model.predict(["3 1 7 2 8 4 4 1 6 5"]))'
    config: CopyMemoryConfig

    def sizes_of_alphabets(self) -> tuple[int, int]:
        """Blank, symbols and mark; symbols alone."""
        return self.config.num_symbols + 2, self.config.num_symbols

    def draw(self, rng: np.random.Generator, num_examples: int) -> list[StepExample]:
        """Independent symbols."""
        kept = rng.integers(1, self.config.num_symbols + 1, (num_examples, self.config.span))
        return self.examples([self._spread(row) for row in kept])

    def answers(self, tokens: np.ndarray) -> np.ndarray:
        """What stood before the first blank, after the mark."""
        span = (len(tokens) - self.config.delay) // 2
        target = np.full(len(tokens), NOT_ASKED)
        target[-span:] = tokens[:span] - 1
        return target

    def parse(self, text: str, where: str) -> np.ndarray:
        """Symbols to be kept, with blanks between."""
        words = text.split()
        known = {str(symbol) for symbol in range(1, self.config.num_symbols + 1)}
        if not words or not known.issuperset(words):
            raise DataError(f"{where}: symbols 1 to {self.config.num_symbols} are wanted, with blanks between: 3 1 7.")
        return self._spread(np.array([int(word) for word in words]))

    def text(self, tokens: np.ndarray) -> str:
        """The symbols to be kept."""
        return " ".join(str(symbol) for symbol in tokens[: (len(tokens) - self.config.delay) // 2])

    def spelt(self, answers: np.ndarray) -> str:
        """The symbols as they are remembered."""
        return " ".join(str(answer + 1) for answer in answers)

    def told(self, answers: np.ndarray) -> str:
        """The same."""
        return self.spelt(answers)

    def described(self) -> str:
        """With its delay."""
        return f"copy memory of {self.config.span} symbols over {self.config.delay} steps"

    def _spread(self, kept: np.ndarray) -> np.ndarray:
        """(K,) symbols as a whole sequence (2 K + delay,)."""
        tokens = np.full(2 * len(kept) + self.config.delay, _BLANK)
        tokens[: len(kept)] = kept
        tokens[len(kept) + self.config.delay - 1] = self.config.num_symbols + 1
        return tokens
