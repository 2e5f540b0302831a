"""What classification and regression of whole series share: from files and arrays to batches of vectors.

Worked example: the .ts row `1.0,3.0,?:0.5,0.5,0.7:wave` of two dimensions, with means (2, 0.5) and deviations (1, 0.1)
over the training split, becomes the steps [[-1, 0], [1, 0], [1, 2]]: the gap at the end repeats the last known value.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor

from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import BucketedBatches, DataConfig, Splits, split_records
from recurra.data.collate import SeriesExample, collate_series
from recurra.data.labelled_reading import SeriesRows, read_labelled_series
from recurra.data.labelled_series import MEND, LabelledSeries, RowFaultError, SeriesColumns, parse_values, usable
from recurra.data.series_coding import Filling, Normalisation, SeriesCoding
from recurra.data.transforms import SeriesAugmentConfig
from recurra.tasks.base import PlainItems, StreamOptions


class WholeSeriesConfig(Config):
    """Options of both tasks."""

    normalisation: Normalisation = Field(
        "training", description="of each dimension: by the training split, by the series itself, or none"
    )
    missing: Filling = Field(
        "interpolate", description="missing values: interpolate; or mask, the same with a feature that says so"
    )
    augmentation: SeriesAugmentConfig = SeriesAugmentConfig()


class FittedSeries(NamedTuple):
    """What both tasks fit on the training split.

    Attributes:
        coding: of the values.
        columns: of the training file.
    """

    coding: SeriesCoding
    columns: SeriesColumns

    def to_json(self) -> dict[str, Any]:
        """As it travels inside a saved model."""
        columns = {"label": self.columns.label, "channels": list(self.columns.channels)}
        return {**self.coding.to_json(), "columns": columns}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], config: WholeSeriesConfig) -> FittedSeries:
        """What `to_json` gave."""
        columns = SeriesColumns(stored["columns"]["label"], tuple(stored["columns"]["channels"]))
        return cls(SeriesCoding.from_json(stored, config.normalisation, config.missing), columns)


class WholeSeries(PlainItems, ABC):
    """The part of a task on whole series that does not look at the target.

    An item is a `LabelledSeries`, as files give it, or an array (C, T), or (T,) for one dimension.
    """

    usage: ClassVar[str] = 'print(model.predict(model.items("FILE.ts")))'
    config: WholeSeriesConfig
    fitted: FittedSeries

    def stream(self, split: list[SeriesExample], options: StreamOptions) -> BucketedBatches:
        """Batches of random series; of similar length where padding would cost more than the series themselves."""
        lengths = [len(example.steps) for example in split]
        alike = max(lengths, default=0) * len(lengths) <= 2 * sum(lengths)
        augment = None
        if options.shuffle and self.config.augmentation.is_active():
            augment = self.config.augmentation.build(options.seed, split, self.num_classes)
        return BucketedBatches(
            split,
            options.batch_size,
            collate_series,
            seed=options.seed,
            shuffle=options.shuffle,
            augment=augment,
            shard=options.shard,
            length=lambda example: 1 if alike else len(example.steps),
        )

    @property
    @abstractmethod
    def num_classes(self) -> int | None:
        """How many classes the targets are; None where they are numbers."""

    @abstractmethod
    def target(self, label: str, where: str) -> Any:
        """A label as it stands in a file, as the target of an example."""

    def read(self, paths: str | list[str], data: DataConfig) -> list[SeriesExample]:
        """Encode labelled files; columns are those of the training file unless `data` names others."""
        return self.examples(read_labelled_series(paths, data, self.fitted.columns).rows)

    def examples(self, rows: list[LabelledSeries]) -> list[SeriesExample]:
        """Encode series with their labels."""
        return [
            SeriesExample(self.fitted.coding.encode(row.values, row.where), self.target(row.label, row.where), row.id)
            for row in rows
        ]

    def item(self, line: str) -> LabelledSeries:
        """Numbers with commas or blanks between, dimensions with colons; ? is a missing value."""
        try:
            return LabelledSeries(usable(parse_values(line, "line"), "line"), "", "line", "line")
        except RowFaultError as fault:
            raise DataError(str(fault).removesuffix(MEND).rstrip()) from fault

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[LabelledSeries]:
        """The series of files; labels are not needed."""
        found = read_labelled_series(paths, data, self.fitted.columns, want_label=False)
        for note in found.notes:
            logging.getLogger("recurra").warning("recurra: %s", note)
        return iter(found.rows)

    def encode(self, items: list[Any]) -> list[SeriesExample]:
        """Encode series; the target is a placeholder that nothing reads."""
        return [SeriesExample(self._steps(item, number), self.blank, str(number)) for number, item in enumerate(items)]

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> list[SeriesExample]:
        """Encode series with their targets: names, or numbers (several a series as a list)."""
        if len(targets) != len(items):
            raise DataError(f"{len(items)} series and {len(targets)} targets: one each is wanted.")
        return [
            SeriesExample(self._steps(item, number), self.target(label_text(target), f"series {number}"), str(number))
            for number, (item, target) in enumerate(zip(items, targets, strict=True))
        ]

    @property
    @abstractmethod
    def blank(self) -> Any:
        """A target of the right form."""

    def asked(self, item: LabelledSeries) -> dict[str, Any]:
        """{"series": its name or line in the file}."""
        return {"series": item.id}

    def limits(self) -> str:
        """That the series must be alike."""
        dimensions = len(self.fitted.coding.mean)
        return (
            f"The figures above hold for series like those of the named files: {dimensions} "
            f"dimension{'s' if dimensions > 1 else ''}, measured in the same way."
        )

    def sizes(self, split: list[SeriesExample]) -> str:
        """Number of series."""
        return f"{len(split):,} series"

    def _steps(self, item: Any, number: int) -> np.ndarray:
        if isinstance(item, LabelledSeries):
            return self.fitted.coding.encode(item.values, item.where)
        return self.fitted.coding.encode(values_of(item, len(self.fitted.coding.mean), number), f"series {number}")

    def described(self, splits: Splits[Any]) -> str:
        """How much each split holds, and how long its series are, in words."""
        lengths = [len(example.steps) for example in splits.train]
        span = f"{min(lengths)}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
        held = ", ".join(
            f"{name} {self.sizes(part)}" for name, part in zip(Splits._fields, splits, strict=True) if part
        )
        return f"{held}; {span} steps of {self.spec.input_size} features"


def each_member(prediction: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (B * M, O) and their targets of an ensemble's (B, M, O), so that each member is judged by itself.

    Those of one network, (B, O), stay as they are.
    """
    if prediction.dim() == 2:
        return prediction, targets
    return prediction.flatten(0, 1), targets.repeat_interleave(prediction.shape[1], dim=0)


def agreed(answers: Tensor) -> Tensor:
    """(B, O) mean over the members of (B, M, O); answers of one network stay as they are."""
    return answers if answers.dim() == 2 else answers.mean(dim=1)


def values_of(item: Any, num_channels: int | None, number: int) -> np.ndarray:
    """An array (C, T), or (T,) of one dimension, as (T, C) float64 with NaN where missing.

    Args:
        item: the array.
        num_channels: C; None: any.
        number: of the series, for messages.
    Raises:
        DataError: no numbers, infinite ones, none at all, or another shape.
    """
    try:
        values = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"series {number}: an array of numbers is wanted, got {type(item).__name__}.") from error
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise DataError(f"series {number}: shape {values.shape}: (channels, T) is wanted.")
    if num_channels is not None and len(values) != num_channels:
        hint = " Transpose it." if values.shape[1] == num_channels else ""
        raise DataError(f"series {number}: shape {values.shape}: ({num_channels}, T) is wanted.{hint}")
    try:
        return usable(values.T, f"series {number}")
    except RowFaultError as fault:
        raise DataError(str(fault).removesuffix(MEND).rstrip()) from fault


def label_text(target: Any) -> str:
    """A target at hand as it would stand in a file."""
    several = isinstance(target, list | tuple) or (isinstance(target, np.ndarray) and target.ndim > 0)
    return ",".join(map(str, target)) if several else str(target)


def read_splits(data: DataConfig, seed: int, *, stratified: bool) -> tuple[Splits[list[LabelledSeries]], SeriesRows]:
    """The rows of each split, from files of its own or held out of the training files; and the training files whole.

    Raises:
        ConfigError: no training data.
        DataError: as `read_labelled_series`, or other dimensions in one of the files.
    """
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (.ts, UCR text, CSV, TSV, JSONL or Parquet).")
    whole = read_labelled_series(data.train, data)
    held = split_records(
        whole.rows,
        0.0 if data.valid is not None else data.valid_fraction,
        0.0 if data.test is not None else data.test_fraction,
        seed=seed,
        label_of=(lambda row: row.label) if stratified else None,
    )
    parts = {"train": held.train, "valid": held.valid, "test": held.test}
    for name, paths in (("valid", data.valid), ("test", data.test)):
        if paths is not None:
            parts[name] = read_labelled_series(paths, data, whole.columns).rows
    return Splits(**parts), whole
