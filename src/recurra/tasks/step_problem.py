"""What the problems share that read symbols and are asked for an answer at some or all of the steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.core.batch import Batch, InputKind, LossSum, Metrics, Resolution, TaskSpec
from recurra.data import DataConfig
from recurra.data.collate import pad_tokens
from recurra.losses import cross_entropy
from recurra.metrics import StepMetrics
from recurra.tasks.base import require_texts
from recurra.tasks.figures import figures_of
from recurra.tasks.generated import GeneratedProblem, lines_of
from recurra.tasks.judging import Judged, mean_figure

NOT_ASKED = -1


class StepExample(NamedTuple):
    """One sequence.

    Attributes:
        tokens: (T,) symbols.
        target: (T,) the answer after each step, -1 where none is asked.
        id: its place.
    """

    tokens: np.ndarray
    target: np.ndarray
    id: str


class StepProblem(GeneratedProblem):
    """A problem whose answers follow from the symbols that were read.

    An item is a line of text.
    """

    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("accuracy", "max")

    def __init__(self, config: Any) -> None:
        """Take the options; nothing is fitted."""
        super().__init__(config)
        num_symbols, num_answers = self.sizes_of_alphabets()
        self.spec = TaskSpec(InputKind.TOKENS, num_symbols, num_answers, Resolution.STEP)

    @abstractmethod
    def sizes_of_alphabets(self) -> tuple[int, int]:
        """How many symbols and answers there are."""

    @abstractmethod
    def answers(self, tokens: np.ndarray) -> np.ndarray:
        """(T,) the right answer after each step, -1 where none is asked."""

    @abstractmethod
    def text(self, tokens: np.ndarray) -> str:
        """The line that `parse` reads."""

    @abstractmethod
    def spelt(self, answers: np.ndarray) -> str:
        """All answers, one after another."""

    @abstractmethod
    def told(self, answers: np.ndarray) -> str:
        """The answers to an item, for a person."""

    @abstractmethod
    def parse(self, text: str, where: str) -> np.ndarray:
        """A line as (T,) symbols.

        Raises:
            DataError: it is none; names `where`.
        """

    def item(self, line: str) -> str:
        """The line, checked."""
        self.parse(line.strip(), "line")
        return line.strip()

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[str]:
        """The lines of files, which are checked when they are encoded."""
        return (line for line, _ in lines_of(paths, data))

    def encode(self, items: list[Any]) -> list[StepExample]:
        """Encode lines of text."""
        require_texts(items)
        return super().encode(items)

    def example(self, item: np.ndarray, where: str, name: str) -> StepExample:
        """Symbols with their answers."""
        return StepExample(item, self.answers(item), name)

    def examples(self, rows: Sequence[np.ndarray]) -> list[StepExample]:
        """Drawn rows of symbols with their answers."""
        return [StepExample(tokens, self.answers(tokens), str(number)) for number, tokens in enumerate(rows)]

    def collate(self, examples: Sequence[StepExample]) -> Batch:
        """Symbols and answers (B, T); -1 on padding, too."""
        targets = pad_tokens([example.target - NOT_ASKED for example in examples]).data + NOT_ASKED
        return Batch(
            pad_tokens([example.tokens for example in examples]), targets, tuple(example.id for example in examples)
        )

    def length_of(self, example: StepExample) -> int:
        """T."""
        return len(example.tokens)

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """Cross-entropy of what is asked."""
        return cross_entropy(prediction, batch.targets, batch.targets != NOT_ASKED)

    def predict(self, prediction: Tensor, batch: Batch) -> list[np.ndarray]:
        """Each row's answers to what is asked."""
        return _asked(prediction.detach().argmax(-1), batch.targets)

    def references(self, batch: Batch) -> list[np.ndarray]:
        """Each row's right answers."""
        return _asked(batch.targets, batch.targets)

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return StepMetrics()

    def judge(self, split: list[StepExample], predictions: list[np.ndarray], references: list[np.ndarray]) -> Judged:
        """Right answers of those asked; the loss is the share of wrong ones."""
        right = [int((own == wanted).sum()) for own, wanted in zip(predictions, references, strict=True)]
        terms = np.stack([right, [len(wanted) for wanted in references]], axis=1).astype(np.float64)
        wrong = 1 - terms[:, 0] / np.maximum(terms[:, 1], 1)
        if self.compared[0] == "sequence_accuracy":
            terms = np.stack([wrong == 0, np.ones(len(wrong))], axis=1) * (terms[:, 1:] > 0)
        return Judged(
            predictions=predictions,
            references=references,
            terms=terms,
            figure=mean_figure,
            losses=wrong,
            lengths=np.array([len(example.tokens) for example in split]),
            ids=tuple(example.id for example in split),
            shown=lambda place: (
                self.text(split[place].tokens),
                self.spelt(predictions[place]),
                self.spelt(references[place]),
            ),
        )

    def baselines(self, train: Any, evaluated: list[StepExample]) -> dict[str, dict[str, float]]:
        """The most frequent answer, and the most frequent one after the last symbol."""
        counts = np.zeros((self.spec.input_size, self.spec.output_size), dtype=np.int64)
        for example in self.sample(train):
            asked = example.target != NOT_ASKED
            np.add.at(counts, (example.tokens[asked], example.target[asked]), 1)
        most, after = int(counts.sum(0).argmax()), counts.argmax(1)
        answers: dict[str, list[np.ndarray]] = {"most-frequent": [], "by-last-symbol": []}
        references = []
        for example in evaluated:
            asked = example.target != NOT_ASKED
            references.append(example.target[asked])
            answers["most-frequent"].append(np.full(int(asked.sum()), most))
            answers["by-last-symbol"].append(after[example.tokens[asked]])
        return figures_of(answers, references, self.metrics)

    def asked(self, item: Any) -> dict[str, Any]:
        """{"symbols": the line of text}."""
        return {"symbols": item}

    def readable(self, prediction: np.ndarray) -> dict[str, Any]:
        """{"answer": ...}."""
        return {"answer": self.told(prediction)}

    def brief(self, prediction: np.ndarray) -> str:
        """The answer."""
        return self.told(prediction)

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """The answer, then the symbols."""
        return f"{row['answer']}\t{item}"


def _asked(answers: Tensor, targets: Tensor) -> list[np.ndarray]:
    chosen = torch.where(targets == NOT_ASKED, NOT_ASKED, answers).cpu().numpy()
    return [row[row != NOT_ASKED] for row in chosen]
