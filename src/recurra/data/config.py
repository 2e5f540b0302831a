"""Which files a run reads, and how."""

from __future__ import annotations

from pydantic import Field, model_validator

from recurra.data.readers.options import ReadOptions
from recurra.data.series_options import SeriesConfig


class DataConfig(ReadOptions):
    """Which files a run reads, and how."""

    train: str | list[str] | None = Field(None, description="file, folder or list of them to train on")
    valid: str | list[str] | None = Field(None, description="validation files; none: a part of train is held out")
    test: str | list[str] | None = Field(None, description="test files")
    text_column: str | int | None = Field(
        None,
        description="column of the text, by name or number from 0; several joined by + (title+body); none: guessed",
    )
    label_column: str | int | None = Field(None, description="column of the label, by name or number; none: guessed")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="part of train held out where no valid files are given")
    test_fraction: float = Field(0.0, ge=0, lt=1, description="part of train held out where no test files are given")
    split_seed: int | None = Field(
        None, ge=0, lt=2**63, description="of parts held out at random; none: the run's seed"
    )
    series: SeriesConfig = Field(SeriesConfig(), description="how a file becomes time series")

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> DataConfig:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction and test_fraction together must be below 1")
        return self
