"""A search space: which options of a run may change, and between what; from there to the options of one trial."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from recurra.core.config import flatten
from recurra.core.errors import ConfigError, did_you_mean
from recurra.runs import RunConfig, override
from recurra.runs.tune_options import Range, Values

if TYPE_CHECKING:
    from optuna.trial import Trial

MOST_CELLS = 10_000
"""A grid of more is not laid out: nobody would live to see its end."""
_POINTS = 3
"""So many values a grid takes of a range without a step."""


class Space:
    """The options that a search may change.

    An option that only some choices of another one bring along, such as `model.cell.forget_bias` beside `model.cell`,
    is drawn where it exists, and left out elsewhere.

    Args:
        config: the run as it stands.
        entries: by dotted option, a range or a list.
        places: where an entry stands, for messages: "run.yaml:12: ".
    Raises:
        ConfigError: an option that no choice brings along, or a value that it can't have.
    """

    def __init__(
        self, config: RunConfig, entries: Mapping[str, Values], places: Mapping[str, str] | None = None
    ) -> None:
        self.config, self._places = config, places or {}
        self.entries = dict(sorted(entries.items(), key=lambda entry: entry[0].count(".")))
        self._parents = {name: [other for other in entries if name.startswith(f"{other}.")] for name in entries}
        self._current = {name: self._require(name) for name in self.entries}

    def draw(self, trial: Trial) -> dict[str, Any]:
        """The options of a trial, as its sampler proposes them."""
        values: dict[str, Any] = {}
        for name, entry in self.entries.items():
            if self._applies(name, values):
                values[name] = self._suggest(trial, name, entry)
        return values

    def settle(self, values: Mapping[str, Any], **others: Any) -> RunConfig:
        """The run with these options, and without what may change.

        Raises:
            ConfigError: the options don't go together.
        """
        return override(self.config, {**others, **values}).model_copy(update={"tune": None})

    def values(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the run from a trial's parameters."""
        return {name: self._choice(name, given) for name, given in parameters.items()}

    def current(self) -> dict[str, Any]:
        """A trial's parameters that leave the run as it stands, as far as they lie within the space."""
        return {
            name: _written(value)
            for name, value in self._current.items()
            if value is not None and self._holds(name, value)
        }

    def cells(self) -> list[dict[str, Any]]:
        """All trials of a grid, as parameters.

        Raises:
            ConfigError: they are too many to be laid out.
        """
        count = math.prod(len(self._points(name)) for name in self.entries)
        if count > MOST_CELLS:
            raise ConfigError(
                f"a grid of {len(self.entries)} options would have {count:,} trials. Name fewer values in "
                "`tune.space`, or let --search tpe choose."
            )
        return list(self._cells(list(self.entries), {}))

    def _cells(self, names: list[str], chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not names:
            yield {name: _written(value) for name, value in chosen.items()}
            return
        name, *rest = names
        if not self._applies(name, chosen):
            yield from self._cells(rest, chosen)
            return
        for value in self._points(name):
            yield from self._cells(rest, {**chosen, name: value})

    def _points(self, name: str) -> list[Any]:
        entry = self.entries[name]
        if not isinstance(entry, Range):
            return list(entry)
        low, high, step = self._bounds(name, entry)
        if step is not None:
            return [low + index * step for index in range(round((high - low) / step) + 1)]
        parts = [index / (_POINTS - 1) for index in range(_POINTS)]
        points = [low * (high / low) ** part if entry.log else low + part * (high - low) for part in parts]
        return list(dict.fromkeys(map(round, points))) if self._is_whole(name, entry) else points

    def _require(self, name: str) -> Any:
        """The option's value as the run stands (None where it has none), if all values of its entry fit it."""
        given = {parent: self._points(parent) for parent in self._parents[name]}
        for choice in itertools.product(*given.values()):
            parents = dict(zip(given, choice, strict=True))
            options = _options(override(self.config, parents))
            if name in options:
                break
        else:
            raise ConfigError(f"{self._place(name)}no option `{name}`.{did_you_mean(name, options)}")
        own, entry = _options(self.config).get(name), self.entries[name]
        for value in self._bounds(name, entry)[:2] if isinstance(entry, Range) else entry:
            try:
                override(self.config, {**parents, name: value})
            except ConfigError as error:
                raise ConfigError(f"{self._place(name)}{error}") from error
        return own

    def _place(self, name: str) -> str:
        return f"{self._places.get(name, '')}`tune.space.{name}`: "

    def _applies(self, name: str, chosen: Mapping[str, Any]) -> bool:
        parents = {parent: chosen[parent] for parent in self._parents[name] if parent in chosen}
        return not self._parents[name] or name in _options(override(self.config, parents))

    def _suggest(self, trial: Trial, name: str, entry: Values) -> Any:
        if not isinstance(entry, Range):
            return self._choice(name, trial.suggest_categorical(name, [_written(value) for value in entry]))
        low, high, step = self._bounds(name, entry)
        if self._is_whole(name, entry):
            return trial.suggest_int(name, low, high, step=step or 1, log=entry.log)
        return trial.suggest_float(name, low, high, step=step, log=entry.log)

    def _bounds(self, name: str, entry: Range) -> tuple[Any, Any, Any]:
        """Low, high and step; the highest value that whole steps reach is the bound."""
        whole = self._is_whole(name, entry)
        for given in (entry.low, entry.high, entry.step):
            if whole and given is not None and given != int(given):
                raise ConfigError(f"{self._place(name)}this option is a whole number, and {given:g} is none.")
        number = int if whole else float
        low, high = number(entry.low), number(entry.high)
        if entry.step is None:
            return low, high, None
        step = number(entry.step)
        count = math.floor((high - low) / step + 1e-9)
        return low, number(float(f"{low + count * step:.12g}")), step

    def _is_whole(self, name: str, entry: Range) -> bool:
        value = _options(self.config).get(name)
        if value is None:
            return isinstance(entry.low, int) and isinstance(entry.high, int)
        return isinstance(value, int)

    def _choice(self, name: str, written: Any) -> Any:
        """The entry's own value for what a study keeps of it."""
        entry = self.entries[name]
        if isinstance(entry, Range):
            return written
        return next(value for value in entry if _written(value) == written)

    def _holds(self, name: str, value: Any) -> bool:
        entry = self.entries[name]
        if isinstance(entry, Range):
            steps = 0.0 if entry.step is None else (value - entry.low) / entry.step
            return entry.low <= value <= entry.high and abs(steps - round(steps)) < 1e-9
        return any(_written(value) == _written(choice) for choice in entry)


def _options(config: RunConfig) -> dict[str, Any]:
    """All options by dotted name; a group with a kind stands under its own name, too."""
    values = config.model_dump(mode="json")
    return {**_kinds(values, ""), **flatten(values)}


def _kinds(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{prefix}{key}": value["kind"]} if "kind" in value else {}
            found |= _kinds(value, f"{prefix}{key}.")
    return found


def _written(value: Any) -> Any:
    """A choice as a study can keep it: lists and groups of options as JSON."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
