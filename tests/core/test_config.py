"""Faults of options: each is told once, where it is."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from recurra.core.config import Config, parse
from recurra.core.errors import ConfigError


class Chosen(Config):
    """A list of at least one choice."""

    parts: tuple[Literal["input", "recurrent"], ...] = Field(("input",), min_length=1)


def test_a_wrong_item_of_a_list_is_not_called_a_short_list() -> None:
    with pytest.raises(ConfigError) as told:
        parse(Chosen, {"parts": ["inpt"]})
    assert str(told.value) == "`parts.0`: no such choice `inpt`. Did you mean `input`?"
    with pytest.raises(ConfigError, match="at least 1"):
        parse(Chosen, {"parts": []})
