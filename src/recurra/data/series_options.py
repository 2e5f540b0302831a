"""How a file becomes series."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from recurra.core.config import Config
from recurra.data.stamps import Frequency

Layout = Literal["auto", "wide", "long", "rows"]
Missing = Literal["refuse", "interpolate", "forward", "zero", "keep"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (str, int)) else value


Columns = Annotated[list[str | int], BeforeValidator(_as_list)]


class SeriesConfig(Config):
    """How a file becomes series; columns are named, or numbered from 0."""

    layout: Layout = Field(
        "auto",
        description="wide: a row a time step, a column a variable; long: the same with an id column, many series; "
        "rows: a row a series, its id first (ragged, as in M4)",
    )
    stamp: str | int | None = Field(None, description="column of dates or times; none: guessed")
    stamp_format: str | None = Field(
        None, description="how stamps are written, as in strptime (%d.%m.%Y %H:%M), or unix or unix-ms; none: guessed"
    )
    frequency: str | None = Field(
        None,
        description="time between rows, e.g. hours, 15 minutes, business days, months; none: from the stamps; rows "
        "that stand closer are averaged",
    )
    id: str | int | None = Field(None, description="column that names the series in the long layout; none: guessed")
    targets: Columns | None = Field(
        None, description="columns to model; none: all columns of numbers that are not named otherwise"
    )
    past: Columns = Field([], description="columns that help and are known up to now (past covariates)")
    known: Columns = Field([], description="columns that help and are known ahead; rows with them alone may follow")
    static: Columns = Field([], description="columns that say something of a series as a whole, the same in each row")
    missing: Missing = Field(
        "refuse",
        description="missing stamps and values: refuse; interpolate, forward (the last value) or zero fill them; keep: "
        "rows stay as they are in the file, irregular or not",
    )
    split: list[int] | None = Field(
        None,
        description="rows of each series for training, validation and (if three are given) testing, in time order; "
        "none: data.valid_fraction and data.test_fraction at the end",
    )

    windows: str | None = Field(
        None,
        description='JSON file of known anomalies, {"series.csv": [["first stamp", "last stamp"], ...]}, as NAB\'s',
    )

    @field_validator("frequency")
    @classmethod
    def _is_a_frequency(cls, value: str | None) -> str | None:
        return None if value is None else str(Frequency.parse(value))

    @field_validator("split")
    @classmethod
    def _has_two_or_three_parts(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and (len(value) not in (2, 3) or min(value) < 0 or value[0] < 1):
            raise ValueError("two or three row counts are wanted (train, valid, test), the first above 0")
        return value
