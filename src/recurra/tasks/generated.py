"""What problems share whose examples are drawn, not read: no file to train on, and a right answer to every question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field

from recurra.core.batch import Batch, BatchStream
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import BucketedBatches, DataConfig, FreshBatches, Splits, drawn_by
from recurra.data.readers.decoding import read_lines
from recurra.tasks.base import PlainItems, Preparation, Prepared, StreamOptions

_VALID, _TEST, _SAMPLE, _TRAIN = range(4)
"""Places of the random numbers, so that no two splits share any."""
_SAMPLE_SIZE = 1000


class ProblemConfig(Config):
    """Where the examples of a problem come from."""

    epoch_size: int = Field(10_000, ge=1, description="examples of an epoch, drawn anew in each")
    train_size: int | None = Field(
        None, ge=1, description="so many examples and no more, the same ones in each epoch; none: new ones without end"
    )
    valid_size: int = Field(1000, ge=1, description="validation examples")
    test_size: int = Field(1000, ge=1, description="test examples")
    data_seed: int = Field(
        0, ge=0, lt=2**63, description="of validation and test, whatever the run's own seed, which draws the training"
    )


class Endless(NamedTuple):
    """A training split that is drawn anew in each epoch.

    Attributes:
        size: examples of an epoch.
    """

    size: int


class GeneratedProblem(PlainItems, ABC):
    """A task that draws its examples, and knows the answer to any that it is given.

    An item is a line of text, which `parse` reads. Files of such lines can be evaluated and predicted.
    """

    config: ProblemConfig

    def __init__(self, config: Any) -> None:
        """Take the options; nothing is fitted."""
        self.config = config

    @abstractmethod
    def draw(self, rng: np.random.Generator, num_examples: int) -> list[Any]:
        """Examples as in the training, named "0", "1", ..."""

    def draw_test(self, rng: np.random.Generator, num_examples: int) -> list[Any]:
        """Examples of the test; as those of the training unless a problem asks for more."""
        return self.draw(rng, num_examples)

    @abstractmethod
    def parse(self, text: str, where: str) -> Any:
        """A line as an item.

        Raises:
            DataError: it is none; names `where`.
        """

    @abstractmethod
    def example(self, item: Any, where: str, name: str) -> Any:
        """An item, with the answer that is right."""

    @abstractmethod
    def collate(self, examples: Sequence[Any]) -> Batch:
        """Examples as a batch."""

    @abstractmethod
    def length_of(self, example: Any) -> int:
        """How many steps it has."""

    @abstractmethod
    def described(self) -> str:
        """The problem in words, for the person who waits."""

    @classmethod
    def prepare(cls, config: Any, given: Preparation) -> Prepared:
        """Draw the splits that stand still."""
        for name in ("train", "valid", "test"):
            if getattr(given.data, name) is not None:
                raise ConfigError(
                    f"`data.{name}`: {config.kind} draws its own examples, so leave files away; how many and how long "
                    "they are stands in `task`. A file of them can be given to `recurra evaluate`."
                )
        task: Any = cls(config)
        train: Any = Endless(config.epoch_size)
        if config.train_size is not None:
            train = drawn_by(task.draw, config.train_size, given.seed, _TRAIN)
        valid = drawn_by(task.draw, config.valid_size, config.data_seed, _VALID)
        splits = Splits(train, valid, task.drawn_test())
        held = ", ".join(f"{name} {task.sizes(part)}" for name, part in zip(Splits._fields, splits, strict=True))
        return Prepared(task=task, splits=splits, notes=(f"{task.described()}; {held}",))

    @classmethod
    def from_files(cls, config: Any, files: Mapping[str, Any]) -> Self:
        """The task of a saved model."""
        return cls(config)

    def files(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def drawn_test(self) -> Any:
        """The examples of the test, always the same ones."""
        return drawn_by(self.draw_test, self.config.test_size, self.config.data_seed, _TEST)

    def sample(self, train: Any) -> Sequence[Any]:
        """Some training examples, for a baseline to learn from."""
        return (
            drawn_by(self.draw, _SAMPLE_SIZE, self.config.data_seed, _SAMPLE) if isinstance(train, Endless) else train
        )

    def stream(self, split: Any, options: StreamOptions) -> BatchStream:
        """New examples in each epoch, or the given ones."""
        size, seed, shard = options.batch_size, options.seed, options.shard
        if isinstance(split, Endless):
            return FreshBatches(self.draw, self.collate, split.size, size, seed=seed, shard=shard)
        return BucketedBatches(
            split, size, self.collate, seed=seed, shuffle=options.shuffle, shard=shard, length=self.length_of
        )

    def read(self, paths: str | list[str], data: DataConfig) -> list[Any]:
        """The lines of files, each with the answer that is right."""
        found = [
            self.example(self.parse(line, where), where, str(number))
            for number, (line, where) in enumerate(lines_of(paths, data))
        ]
        if not found:
            raise DataError(f"{paths}: nothing but empty lines. One sequence a line is wanted.")
        return found

    def item(self, line: str) -> Any:
        """The line, checked."""
        return self.parse(line, "line")

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """The lines of files."""
        return (self.parse(line, where) for line, where in lines_of(paths, data))

    def encode(self, items: list[Any]) -> list[Any]:
        """Encode items, or lines of text."""
        return [self._encoded(item, number) for number, item in enumerate(items)]

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> list[Any]:
        """Encode items; what is right follows from them.

        Raises:
            DataError: targets are given.
        """
        if targets:
            raise DataError(f"the right answer of {self.config.kind} follows from the items: give no targets.")  # type: ignore[attr-defined]
        return self.encode(items)

    def sizes(self, split: Any) -> str:
        """Number of sequences."""
        if isinstance(split, Endless):
            return f"{split.size:,} new sequences an epoch"
        return f"{len(split):,} sequences"

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Nothing beside the metrics."""
        return {}

    def limits(self) -> str:
        """That it is a yardstick."""
        return f"A yardstick of what a cell can learn, made of drawn examples: {self.described()}."

    def _encoded(self, item: Any, number: int) -> Any:
        where = f"item {number}"
        return self.example(self.parse(item, where) if isinstance(item, str) else item, where, str(number))


def lines_of(paths: str | list[str], data: DataConfig) -> Iterator[tuple[str, str]]:
    """The lines that are not empty, with their places."""
    for path in [paths] if isinstance(paths, str) else paths:
        for number, line in enumerate(read_lines(Path(path), data.encoding), start=1):
            if line.strip():
                yield line.strip(), f"{path}:{number}"
