"""Run a lesson from top to bottom: its text and what its cells print, with every plot saved as a picture."""

from __future__ import annotations

import contextlib
import io
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recurra.core.errors import LessonError, MissingExtraError
from recurra.lessons.reading import Cell, Lesson

Show = Callable[[Cell, str, list[Path]], None]


def run_lesson(lesson: Lesson, out: Path, show: Show, answers: dict[str, Any] | None = None) -> None:
    """Run the cells in one namespace; each exercise is taken from `answers` where they hold what it defines, and from
    its solution elsewhere.

    Args:
        lesson: what to run.
        out: folder of the pictures, which is made.
        show: is given each cell with what it printed and the pictures it drew; solutions are not shown.
        answers: the reader's own functions and values, by name.
    Raises:
        LessonError: a cell fails, for example a check of the reader's own answer.
        MissingExtraError: matplotlib is not installed.
    """
    plt = _pyplot()
    out.mkdir(parents=True, exist_ok=True)
    space: dict[str, Any] = {"__name__": f"lesson_{lesson.name.replace('-', '_')}"}
    drawn = 0
    for cell in lesson.cells:
        if cell.kind in ("text", "solution"):
            if cell.kind == "text":
                show(cell, "", [])
            continue
        printed = execute(lesson, cell if cell.kind == "code" else lesson.solutions[cell.number], space)
        if cell.kind == "exercise":
            space |= {name: value for name, value in (answers or {}).items() if name in space}
        pictures = []
        for number in plt.get_fignums():
            drawn += 1
            pictures.append(out / f"{lesson.name}-{drawn}.png")
            plt.figure(number).savefig(pictures[-1], dpi=110, bbox_inches="tight")
        plt.close("all")
        show(cell, printed, pictures)


def read_answers(path: Path) -> dict[str, Any]:
    """What a reader's file of Python defines, by name.

    Raises:
        LessonError: it can't be read, or doesn't run.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LessonError(f"{path}: can't be read ({error}).") from error
    space: dict[str, Any] = {"__name__": "answers"}
    try:
        exec(compile(source, str(path), "exec"), space)
    except Exception as error:
        raise LessonError(f"{path}: {_place(error, str(path))}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in space.items() if not name.startswith("__")}


def execute(lesson: Lesson, cell: Cell, space: dict[str, Any]) -> str:
    """Run one cell in `space`; what it printed.

    Raises:
        LessonError: it fails; the line is named.
    """
    name = f"{lesson.path.name}:{cell.line}"
    linecache.cache[name] = (len(cell.text), None, cell.text.splitlines(keepends=True), name)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(cell.text, name, "exec"), space)
    except Exception as error:
        said = f" It printed: {printed.getvalue().strip()[-300:]}" if printed.getvalue().strip() else ""
        raise LessonError(
            f"{lesson.path.name}, cell at line {cell.line}, {_place(error, name)}: {type(error).__name__}: "
            f"{error or 'a check failed'}.{said}"
        ) from error
    return printed.getvalue()


def _place(error: Exception, name: str) -> str:
    """The last line of the source `name` that the error went through."""
    trace, line = error.__traceback__, getattr(error, "lineno", None)
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    source = linecache.getline(name, line).strip() if line else ""
    return f"line {line}, `{source}`" if source else f"line {line}"


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "a lesson") from error
    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    return plt
