"""Data options."""

from __future__ import annotations

import pytest

from recurra.core.config import parse
from recurra.core.errors import ConfigError
from recurra.data import DataConfig, ReadOptions, SeriesConfig


def test_options() -> None:
    config = parse(DataConfig, {"train": ["a.csv", "b.csv"], "text_column": 1, "label_column": "label"})
    assert config.train == ["a.csv", "b.csv"]
    assert config.text_column == 1
    assert parse(DataConfig, {"train": "a.csv", "text_column": "title+body"}).text_column == "title+body"


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(ConfigError, match="together must be below 1"):
        parse(DataConfig, {"valid_fraction": 0.5, "test_fraction": 0.5})


def test_number_of_options_stays_small() -> None:
    own = set(DataConfig.model_fields) - set(ReadOptions.model_fields)
    assert max(len(own), len(ReadOptions.model_fields), len(SeriesConfig.model_fields)) <= 12
