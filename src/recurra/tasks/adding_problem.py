"""The adding problem: two numbers of a long sequence are marked; their sum is asked at the end.

Worked example: the line `0.2 0.9* 0.5 0.3 0.4*` is the steps [[0.2, 0], [0.9, 1], [0.5, 0], [0.3, 0], [0.4, 1]] and the
target 1.3. Numbers are uniform in 0..1, one mark stands in either half. Whoever always answers 1 has a mean squared
error of 1/6, the variance of such a sum: to do better, a number must be remembered over half the length on average.

Source: Hochreiter and Schmidhuber (1997), Long short-term memory, section 5.4; marks and halves as in Arjovsky et al.
(2016), https://arxiv.org/abs/1511.06464, section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from recurra.core.batch import Batch, InputKind, LossSum, Metrics, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.data.collate import SeriesExample, collate_series
from recurra.losses import mse
from recurra.metrics import SumMetrics
from recurra.tasks.figures import figures_of
from recurra.tasks.generated import GeneratedProblem, ProblemConfig
from recurra.tasks.judging import Judged

_MARK = "*"


class AddingProblemConfig(ProblemConfig):
    """Options of the adding problem."""

    kind: Literal["adding-problem"] = "adding-problem"
    length: int = Field(100, ge=2, description="steps of a sequence")


class AddingProblem(GeneratedProblem):
    """The task: from (T, 2) numbers and marks to a sum.

    An item is such an array, or its line of text.
    """

    Config: ClassVar[type[Config]] = AddingProblemConfig
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("mse", "min")
    usage: ClassVar[str] = 'print(model.predict(["0.2 0.9* 0.5 0.3 0.4*"]))'
    config: AddingProblemConfig

    def __init__(self, config: AddingProblemConfig) -> None:
        """Take the options; nothing is fitted."""
        super().__init__(config)
        self.spec = TaskSpec(InputKind.VECTORS, 2, 1, Resolution.SEQUENCE)

    def draw(self, rng: np.random.Generator, num_examples: int) -> list[SeriesExample]:
        """Numbers with a mark in either half."""
        length, half = self.config.length, self.config.length // 2
        steps = np.zeros((num_examples, length, 2), dtype=np.float32)
        steps[..., 0] = rng.random((num_examples, length), dtype=np.float32)
        rows = np.arange(num_examples)
        steps[rows, rng.integers(0, half, num_examples), 1] = 1
        steps[rows, rng.integers(half, length, num_examples), 1] = 1
        return [SeriesExample(row, _sum_of(row), str(number)) for number, row in enumerate(steps)]

    def parse(self, text: str, where: str) -> np.ndarray:
        """Numbers with blanks between; * stands behind those that are to be added."""
        words = text.split()
        try:
            values = np.array([float(word.removesuffix(_MARK)) for word in words])
        except ValueError as error:
            raise DataError(
                f"{where}: numbers are wanted, * behind two of them: 0.2 0.9* 0.5 0.4* ({error})."
            ) from error
        return _checked(np.stack([values, [word.endswith(_MARK) for word in words]], 1), where)

    def example(self, item: Any, where: str, name: str) -> SeriesExample:
        """The steps and their sum."""
        steps = _checked(item, where)
        return SeriesExample(steps, _sum_of(steps), name)

    def collate(self, examples: Sequence[SeriesExample]) -> Batch:
        """Steps (B, T, 2) and targets (B, 1)."""
        return collate_series(examples)

    def length_of(self, example: SeriesExample) -> int:
        """T."""
        return len(example.steps)

    def described(self) -> str:
        """With its length."""
        return f"adding problem of {self.config.length} steps"

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """Squared error."""
        return mse(prediction, batch.targets)

    def predict(self, prediction: Tensor, batch: Batch) -> list[float]:
        """Each row's sum."""
        sums: list[float] = prediction.detach().double()[:, 0].tolist()
        return sums

    def references(self, batch: Batch) -> list[float]:
        """Each row's right sum."""
        sums: list[float] = batch.targets.double()[:, 0].tolist()
        return sums

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return SumMetrics()

    def judge(self, split: list[SeriesExample], predictions: list[float], references: list[float]) -> Judged:
        """Squared errors, and the two numbers with their places."""

        def shown(place: int) -> tuple[str, str, str]:
            steps = split[place].steps
            marked = " + ".join(f"{steps[step, 0]:.3f} (step {step + 1})" for step in np.flatnonzero(steps[:, 1]))
            return marked, f"{predictions[place]:.3f}", f"{references[place]:.3f}"

        return replace(super().judge(split, predictions, references), shown=shown)

    def baselines(self, train: Any, evaluated: list[SeriesExample]) -> dict[str, dict[str, float]]:
        """The mean of all sums, and what is known by the second number alone."""
        mean = float(np.mean([example.target for example in self.sample(train)]))
        references = [float(np.ravel(example.target)[0]) for example in evaluated]
        late = [float(example.steps[example.steps[:, 1] == 1, 0][-1]) + mean / 2 for example in evaluated]
        return figures_of({"mean": [mean] * len(evaluated), "last-number": late}, references, self.metrics)

    def asked(self, item: Any) -> dict[str, Any]:
        """{"numbers": the line of text}."""
        steps = self.parse(item, "item") if isinstance(item, str) else np.asarray(item)
        return {"numbers": " ".join(f"{value:.4g}{_MARK if mark else ''}" for value, mark in steps)}

    def readable(self, prediction: float) -> dict[str, Any]:
        """{"sum": ...}."""
        return {"sum": prediction}

    def brief(self, prediction: float) -> float:
        """The sum."""
        return prediction

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """The sum, then the numbers."""
        return f"{row['sum']:.4f}\t{self.asked(item)['numbers']}"


def _checked(item: Any, where: str) -> np.ndarray:
    """(T, 2) float32 of an item.

    Raises:
        DataError: another shape, or other than two marks.
    """
    steps = np.asarray(item, dtype=np.float32)
    if steps.ndim != 2 or steps.shape[1] != 2 or not np.isfinite(steps).all():
        raise DataError(f"{where}: finite numbers (T, 2) are wanted, a value and its mark; got shape {steps.shape}.")
    marks = steps[:, 1]
    if np.count_nonzero(marks) != 2 or marks.sum() != 2:
        raise DataError(f"{where}: {np.count_nonzero(marks)} numbers are marked: two are wanted, as in 0.2 0.9* 0.4*.")
    return steps


def _sum_of(steps: np.ndarray) -> np.ndarray:
    """(1,) of (T, 2)."""
    return np.atleast_1d(steps[:, 0] @ steps[:, 1])
