"""The section `tune` of a run file: what `recurra tune` may change, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from recurra.core.config import Config, flatten, parse
from recurra.core.errors import ConfigError


class Range(Config):
    """The numbers from `low` to `high`, both included."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="as many draws between 0.001 and 0.01 as between 0.01 and 0.1")
    step: int | float | None = Field(None, gt=0, description="low, low + step, low + 2 step, ...")


Values = Range | list[Any]
"""What an option may be: the numbers of a range, or one of these."""


def _values(given: Any) -> Values:
    """A range or a list; ValueError says what is wrong with it."""
    if isinstance(given, Range):
        return given
    if isinstance(given, list):
        if not given:
            raise ValueError("the list is empty: nothing is left to choose")
        return given
    if not isinstance(given, Mapping):
        raise ValueError("a list of values or {low: ..., high: ...} is wanted")
    try:
        found = parse(Range, given)
    except ConfigError as error:
        raise ValueError("; ".join(str(error).splitlines()).rstrip(".")) from error
    if found.low >= found.high:
        raise ValueError(f"the range is empty: low {found.low:g} is not below high {found.high:g}")
    if found.log and found.low <= 0:
        raise ValueError(f"a range with log needs low above 0, and it is {found.low:g}")
    if found.log and found.step is not None:
        raise ValueError("a range has log or step, not both")
    return found


def _flat_space(given: Any) -> Any:
    """Dotted options of the command line come as nested groups."""
    if not isinstance(given, Mapping):
        return given
    return flatten(given, lambda group: not group.keys().isdisjoint(Range.model_fields))


def _flat_options(given: Any) -> Any:
    return flatten(given) if isinstance(given, Mapping) else given


class TuneConfig(Config):
    """What a search may change; training itself reads none of it."""

    space: Annotated[dict[str, Annotated[Values, BeforeValidator(_values)]], BeforeValidator(_flat_space)] = Field(
        {}, description="by option: a list, or {low, high} with log or step; empty is the default space of the run"
    )
    trial: Annotated[dict[str, Any], BeforeValidator(_flat_options)] = Field(
        {}, description="options that hold in the trials alone, such as {training.epochs: 2}"
    )
    heartbeat_seconds: float = Field(
        15.0, gt=0, description="a worker says so often that it lives; unheard of for four times as long, it is dead"
    )
