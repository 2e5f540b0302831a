"""What every task offers beyond the training loop's protocol: from files to streams, and back from folders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

from recurra.core.batch import BatchStream, Task, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig, Labels, Shard, Splits, Vocabulary, choose_columns, read_records, usable_rows
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.reading import format_of
from recurra.data.sharding import ONE_PROCESS
from recurra.data.vocabularies.words import WordVocabulary
from recurra.tasks.judging import Judged, mean_figure, mean_terms
from recurra.tasks.pictures import Picture


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What `prepare` works with.

    Attributes:
        data: which files, and how to read them.
        seed: of random splits.
        cache: a folder for what does not fit into memory.
        pretrained: vocabulary of the language model that the new model starts from, or None.
        fitted: the same task as it was fitted before, whose vocabularies and labels are kept, or None.
        new_words: how many frequent words of the training texts the kept vocabulary may be extended by.
    """

    data: DataConfig
    seed: int
    cache: Path
    pretrained: Vocabulary | None = None
    fitted: Any = None
    new_words: int = 0


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
    """A task as runs, saved models and the command line use it.

    An *item* is what a person asks about: a text, a sentence, a question with its passage.
    """

    @property
    def config(self) -> Config:
        """Its options."""

    @property
    def usage(self) -> str:
        """A line of Python that uses a loaded `model`, for its card."""

    def stream(self, split: Any, options: StreamOptions) -> BatchStream:
        """The batches of an encoded split."""

    def read(self, paths: str | list[str], data: DataConfig) -> Any:
        """Encode files with what was fitted, for evaluation."""

    def item(self, line: str) -> Any:
        """One line of raw text as an item."""

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """The items of files, whose targets are not needed: lines of raw text, or the training format."""

    def encode(self, items: list[Any]) -> Any:
        """Encode items without targets, for prediction; `ids` are "0", "1", ..."""

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> Any:
        """Encode items with their targets, for evaluation."""

    def sizes(self, split: Any) -> str:
        """How much a split holds, in words."""

    def asked(self, item: Any) -> dict[str, Any]:
        """An item as JSON values."""

    def readable(self, prediction: Any) -> dict[str, Any]:
        """One prediction as JSON values for a person."""

    def brief(self, prediction: Any) -> Any:
        """The answer alone."""

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """An item and its `readable` prediction as one line for the terminal."""

    def header(self) -> str | None:
        """What stands above the `line`s, such as the names of columns."""

    def picture(self, item: Any, prediction: Any) -> Picture | None:
        """What there is to draw of a prediction: what it looked at, or the series with what is ahead."""

    def asked_for(self, horizon: int | None, levels: tuple[float, ...] | None, paths: int | None = None) -> Self:
        """The task, its predictions that many steps ahead, with intervals that hold `levels` per cent, and with paths.

        Raises:
            ConfigError: the task looks at nothing ahead, or not so far.
        """

    def limits(self) -> str:
        """For whom the figures hold, in a sentence or two for the model's card."""

    @property
    def compared(self) -> tuple[str, Literal["min", "max"]]:
        """The report tag by which model and baselines are compared, and whether less or more of it is better."""

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Tables for the report beside the metrics; may be empty.

        `confusion` is (names, counts), `classes` figures by class (or series) and tag, `examples` rows (asked,
        predicted, wanted), `pictures` what there is to look at, `sentences` what a reader should be told.
        """

    def judge(self, split: Any, predictions: list[Any], references: list[Any]) -> Judged:
        """How each item of an evaluated split was answered; all of them in the order of the split."""

    def baselines(self, train: Any, evaluated: Any) -> dict[str, dict[str, float]]:
        """Metrics of cheap models fitted on `train`, measured on `evaluated`, by name."""

    def files(self) -> dict[str, Any]:
        """JSON values by file name: all that was fitted, as it travels inside a saved model."""


@runtime_checkable
class Classifying(Protocol):
    """A task with classes, whose predictions have `probs`, (num_labels,)."""

    @property
    def labels(self) -> Labels:
        """Class names."""


@runtime_checkable
class Backtesting(Protocol):
    """A task that can be evaluated from one origin after another."""

    def read_backtest(self, paths: str | list[str], data: DataConfig, stride: int) -> Any:
        """Encode files for evaluation from every `stride`-th origin after the time of training.

        Raises:
            DataError: the files end with the training, so that no origin is left.
        """


@runtime_checkable
class Calibrating(Protocol):
    """A task that learns something from how the trained model does on the validation part."""

    def calibrate(self, predictions: list[Any], references: list[Any]) -> None:
        """Called once, after the training and before the test: thresholds, or the width of intervals."""


@runtime_checkable
class Settling(Protocol):
    """A task that learns something of its trained model before any figures are taken, such as a threshold."""

    def settle(self, evaluate: Callable[[Any], list[Any]], splits: Splits[Any]) -> None:
        """Called once, after the training; `evaluate` gives the predictions of a split."""


@runtime_checkable
class Streaming(Protocol):
    """A task whose items grow, and whose answers go on with each new observation."""

    def live(self, model: Any, item: Any) -> Any:
        """What goes on: it has `update`, which takes the next observation."""


class PlainItems:
    """What holds for a task that says nothing else: no header, no picture, nothing to be asked for."""

    spec: TaskSpec

    @property
    def compared(self) -> tuple[str, Literal["min", "max"]]:
        """As `monitor`."""
        found: tuple[str, Literal["min", "max"]] = self.monitor  # type: ignore[attr-defined]
        return found

    def judge(self, split: Any, predictions: list[Any], references: list[Any]) -> Judged:
        """What holds where the figure is a mean over items: each item has one of its own."""
        tag, wanted = self.compared
        figures = []
        for prediction, reference in zip(predictions, references, strict=True):
            metrics = self.metrics()  # type: ignore[attr-defined]
            metrics.update([prediction], [reference])
            figures.append(metrics.compute()[tag])
        values = np.array(figures, dtype=np.float64)
        return Judged(
            predictions=predictions,
            references=references,
            terms=mean_terms(values),
            figure=mean_figure,
            losses=values if wanted == "min" else values.max(initial=0.0) - values,
            lengths=np.array([len(one.tokens if hasattr(one, "tokens") else one.steps) for one in split]),
            ids=tuple(one.id for one in split),
            shown=lambda place: (split[place].id, f"{tag} {values[place]:.4g}", ""),
        )

    def header(self) -> str | None:
        """None."""
        return None

    def picture(self, item: Any, prediction: Any) -> Picture | None:
        """None."""
        return None

    def asked_for(self, horizon: int | None, levels: tuple[float, ...] | None, paths: int | None = None) -> Self:
        """The task itself.

        Raises:
            ConfigError: a horizon, levels or paths are given.
        """
        if (horizon, levels, paths) != (None, None, None):
            raise ConfigError("horizon, levels and paths are for forecasts, and this model makes none.")
        return self

    def limits(self) -> str:
        """That the texts must be alike, and what becomes of unknown words."""
        return (
            "The figures above hold for text like that of the named files. The vocabulary has "
            f"{self.spec.input_size:,} entries, fitted on the training part; what it does not know becomes the "
            "unknown token."
        )


class TextItems(PlainItems):
    """What holds for tasks whose item is a text; a task with other items says what differs."""

    usage: ClassVar[str] = 'print(model.predict(["a text"]))'
    columns: dict[str, Any]

    def item(self, line: str) -> Any:
        """The line itself."""
        return line

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """Each line of a text file, or the text column of each row of other files."""
        if isinstance(paths, str) and format_of(Path(paths), data) == "text":
            return (self.item(line) for line in read_lines(Path(paths), data.encoding))
        records = read_records(paths, data)
        known = getattr(self, "columns", {}).get("text")
        named = data.text_column
        if named is None and known is not None and set(str(known).split("+")) <= set(records.columns):
            named = known
        choice = choose_columns(records, named, None, want_label=False)
        if named is None:
            logging.getLogger("recurra").warning("recurra: %s", choice.sentence)
        return (choice.text_of(record) for record in usable_rows(records, choice, data.skip_bad_rows))

    def asked(self, item: Any) -> dict[str, Any]:
        """{"text": item}."""
        return {"text": item}

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """The prediction's values, then the text, with TABs between."""
        cells = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()]
        return "\t".join([*cells, *(" ".join(str(part).split()) for part in self.asked(item).values())])


def extend(vocabulary: Vocabulary, texts: Iterable[str], most: int) -> tuple[Vocabulary, tuple[str, ...]]:
    """A pretrained vocabulary with up to `most` frequent words of new texts that it lacks, and a sentence on them.

    Raises:
        ConfigError: its entries are no words.
    """
    if not most:
        return vocabulary, ()
    if not isinstance(vocabulary, WordVocabulary):
        raise ConfigError(
            f"`finetune.new_words` is for vocabularies of words, and the pretrained one is of kind {vocabulary.kind}: "
            "leave it away."
        )
    longer = vocabulary.extended(texts, most)
    words = [longer.token(index) for index in range(vocabulary.size, longer.size)]
    shown = ", ".join(words[:10]) + (", ..." if len(words) > 10 else "")
    return longer, (f"{len(words)} new words in the vocabulary{': ' * bool(words)}{shown}",)


def require_texts(texts: Sequence[Any]) -> None:
    """Check that all of them are strings; what a table lacks is often a NaN.

    Raises:
        DataError: names the first that is none.
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {number} is {text!r}, of type {type(text).__name__}: a string is wanted.")
