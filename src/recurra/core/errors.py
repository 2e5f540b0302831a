"""Errors that a user can cause; each message says what was wanted, what was given, where, and the mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RecurraError(Exception):
    """Base of all errors that a user can cause. The command line prints the message and exits with code 2."""


class ShapeError(RecurraError, ValueError):
    """A tensor, dtype or device does not fit what a layer takes."""


class ConfigError(RecurraError, ValueError):
    """An option is unknown, of the wrong type, or contradicts another."""


class DataError(RecurraError, ValueError):
    """An input file is missing, malformed, empty or wrongly encoded; names file, line and field."""


class ModelFileError(RecurraError):
    """A saved model or checkpoint is missing, damaged or of another kind."""


class OutputError(RecurraError):
    """A folder can't be written, is full, or holds something that would be overwritten."""


class NonFiniteError(RecurraError):
    """The loss or a gradient became NaN or infinite; names the update, the layer and the likely cause."""


class LessonError(RecurraError):
    """A cell of a lesson fails, for example the check of a reader's own answer; names the cell and its line."""


class MissingExtraError(RecurraError, ImportError):
    """An optional package is needed; names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package `{package}`. Install it with: pip install 'recurra[{extra}]'")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the nearest known name, else the list of known names."""
    names = list(known)
    near = get_close_matches(given, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known: {', '.join(names)}." if names else ""
