"""What holds for tasks whose item is a series of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from recurra.core.errors import DataError
from recurra.data import DataConfig, SeriesConfig
from recurra.data.series import Series, read_series
from recurra.tasks.base import PlainItems


class SeriesItems(PlainItems):
    """What holds for tasks whose item is a `Series`; a task with more to say says what differs."""

    usage: ClassVar[str] = 'print(model.predict(model.items("FILE.csv")))'

    def item(self, line: str) -> Series:
        """Numbers with commas, semicolons or blanks between; nothing between two commas is a missing value.

        Raises:
            DataError: something that is no number.
        """
        separator = next((mark for mark in ",;\t" if mark in line), None)
        values = []
        for position, cell in enumerate(line.strip().split(separator), start=1):
            try:
                values.append(float(cell) if cell.strip() else np.nan)
            except ValueError as error:
                raise DataError(f"number {position} of the line is {cell.strip()!r}: a number is wanted.") from error
        column = np.array(values, dtype=np.float64)[:, None]
        if np.isinf(column).any():
            raise DataError("the line holds an infinite value: a number or nothing is wanted.")
        none = np.zeros((len(column), 0))
        return Series("line", np.arange(len(column)), column, none, none, np.zeros(0), None)

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """The series of files."""
        return iter(read_series(paths, self.reading(data)).series)

    def reading(self, data: DataConfig) -> DataConfig:
        """How files are read, with what is known of their columns from the training."""
        return data

    def asked(self, item: Series) -> dict[str, Any]:
        """{"series": its name}."""
        return {"series": item.name}

    def limits(self) -> str:
        """That the series must be alike."""
        return "The figures above hold for series like those of the named files, from the time after them."


def read_as_before(data: DataConfig, reading: dict[str, Any]) -> DataConfig:
    """`data`, whose options of series are those of the training where it says nothing."""
    own = data.series.model_dump(exclude_unset=True)
    return data.model_copy(update={"series": SeriesConfig(**{**reading, **own})})
