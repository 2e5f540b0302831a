"""A lesson is a page of Markdown: text, cells of Python, exercises to fill in, and their solutions at its end.

A fenced block of Python is a cell. One that begins with the comment `# exercise 1` is left to the reader, and the one
that begins with `# solution 1` does the same. Notebook programs that read Markdown (Jupyter with jupytext) open the
pages as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import recurra
from recurra.core.errors import ConfigError, did_you_mean

LANGUAGES = ("en", "zh")
_HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^```python\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
_END = re.compile(r"^## (Solutions|参考答案)\s*$", re.MULTILINE)
_MARK = re.compile(r"# (exercise|solution) (\d+)\b")
_PACKAGE = Path(recurra.__file__).parent


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a lesson.

    Attributes:
        kind: what it is.
        text: Markdown, or Python.
        number: of an exercise, or of its solution.
        line: where its first line stands in the file.
    """

    kind: Literal["text", "code", "exercise", "solution"]
    text: str
    number: int = 0
    line: int = 1


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson as it stands in its file `NN-name.md`.

    Attributes:
        name: what one types.
        title: its heading.
        path: the file.
        cells: in order.
    """

    name: str
    title: str
    path: Path
    cells: tuple[Cell, ...]

    @property
    def solutions(self) -> dict[int, Cell]:
        """Solutions by the number of their exercise."""
        return {cell.number: cell for cell in self.cells if cell.kind == "solution"}


def lessons(language: str = "en") -> list[Lesson]:
    """All lessons in order.

    Raises:
        ConfigError: there are none in that language.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"--lang {language}: the lessons are in {' and '.join(LANGUAGES)}.")
    installed, checkout = (
        folder / language / "lessons" for folder in (_PACKAGE / "lessons", _PACKAGE.parents[1] / "docs")
    )
    folder = installed if installed.is_dir() else checkout
    found = [read_lesson(path) for path in sorted(folder.glob("[0-9][0-9]-*.md"))]
    if not found:
        raise ConfigError(f"{folder}: no lessons there. Install recurra again.")
    return found


def find_lesson(name: str, language: str = "en") -> Lesson:
    """The lesson of that name.

    Raises:
        ConfigError: there is none.
    """
    found = {lesson.name: lesson for lesson in lessons(language)}
    if name not in found:
        raise ConfigError(f"no lesson `{name}`.{did_you_mean(name, found)} `recurra lesson` lists them.")
    return found[name]


def read_lesson(path: Path) -> Lesson:
    """One file as a lesson."""
    whole = path.read_text(encoding="utf-8")
    body = _HEADER.sub("", whole)
    cells: list[Cell] = []
    above, at = whole.count("\n") - body.count("\n"), 0

    def add(kind: Literal["text", "code", "exercise", "solution"], text: str, start: int, number: int = 0) -> None:
        if text.strip():
            start += len(text) - len(text.lstrip("\n"))
            cells.append(Cell(kind, text.strip("\n"), number, above + body.count("\n", 0, start) + 1))

    for fence in _FENCE.finditer(body):
        add("text", _END.sub("", body[at : fence.start()]), at)
        mark = _MARK.match(fence[1])
        kind = "code" if mark is None else "exercise" if mark[1] == "exercise" else "solution"
        add(kind, fence[1], fence.start(1), 0 if mark is None else int(mark[2]))  # type: ignore[arg-type]
        at = fence.end()
    add("text", body[at:], at)
    title = next(line.removeprefix("# ") for line in body.splitlines() if line.startswith("# "))
    return Lesson(path.stem.partition("-")[2], title, path, tuple(cells))
