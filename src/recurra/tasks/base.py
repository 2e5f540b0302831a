"""What every task offers beyond the training loop's protocol: from files to streams, and back from folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recurra.core.batch import BatchStream, Task
from recurra.core.config import Config
from recurra.data import DataConfig, Shard, Splits, Vocabulary
from recurra.data.sharding import ONE_PROCESS


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What `prepare` works with.

    Attributes:
        data: which files, and how to read them.
        seed: of random splits.
        cache: a folder for what does not fit into memory.
        vocabulary: of a pretrained model; None fits one on the training split.
    """

    data: DataConfig
    seed: int
    cache: Path
    vocabulary: Vocabulary | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task fitted on the training split, the encoded splits, and sentences for the person who waits."""

    task: FileTask
    splits: Splits[Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a split becomes batches; `shuffle` is for training, and turns augmentation on."""

    batch_size: int
    length: int
    seed: int
    shuffle: bool
    shard: Shard = ONE_PROCESS


class FileTask(Task, Protocol):
    """A task as runs, saved models and the command line use it."""

    @property
    def config(self) -> Config:
        """Its options."""

    def stream(self, split: Any, options: StreamOptions) -> BatchStream:
        """The batches of an encoded split."""

    def read(self, paths: str | list[str], data: DataConfig) -> Any:
        """Encode files with what was fitted, for evaluation."""

    def encode(self, texts: list[str]) -> Any:
        """Encode bare texts without targets, for prediction."""

    def sizes(self, split: Any) -> str:
        """How much a split holds, in words."""

    def readable(self, prediction: Any) -> dict[str, Any]:
        """One prediction as JSON values for a person."""

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Tables for the report beside the metrics: `confusion`, `classes`; may be empty."""

    def baselines(self, train: Any, evaluated: Any) -> dict[str, dict[str, float]]:
        """Metrics of cheap models fitted on `train`, measured on `evaluated`, by name."""

    def files(self) -> dict[str, Any]:
        """JSON values by file name: all that was fitted, as it travels inside a saved model."""
