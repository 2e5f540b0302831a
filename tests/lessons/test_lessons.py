"""Every lesson runs from top to bottom, in both languages, and both say the same in code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from recurra.core.errors import LessonError
from recurra.lessons import Lesson, lessons, run_lesson
from recurra.lessons.running import execute

ENGLISH, CHINESE = lessons("en"), lessons("zh")


def name_of(lesson: Lesson) -> str:
    return f"{lesson.path.parts[-3]}/{lesson.name}"


def code_of(lesson: Lesson) -> list[tuple[str, int, str]]:
    """The cells of Python without comments and texts, of which each language has its own."""
    cells = []
    for cell in lesson.cells:
        if cell.kind != "text":
            tree = ast.parse(cell.text)
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    node.values = [part for part in node.values if not isinstance(part, ast.Constant)]
                if isinstance(node, ast.Call):
                    node.args = [part for part in node.args if not _is_text(part)]
                if _is_text(node):
                    node.value = ""
            cells.append((cell.kind, cell.number, ast.dump(tree)))
    return cells


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_both_languages_have_the_same_lessons() -> None:
    assert [lesson.path.name for lesson in ENGLISH] == [lesson.path.name for lesson in CHINESE]


@pytest.mark.parametrize(("english", "chinese"), list(zip(ENGLISH, CHINESE, strict=True)))
def test_both_languages_have_the_same_code_and_sections(english: Lesson, chinese: Lesson) -> None:
    assert code_of(english) == code_of(chinese)
    headings = [
        [line.count("#") for line in cell.text.splitlines() if line.startswith("#")]
        for lesson in (english, chinese)
        for cell in lesson.cells
        if cell.kind == "text"
    ]
    assert headings[: len(headings) // 2] == headings[len(headings) // 2 :]


@pytest.mark.parametrize("lesson", CHINESE, ids=name_of)
def test_lesson_runs_as_a_reader_runs_it(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    pictures: list[Path] = []
    run_lesson(lesson, tmp_path / "pictures", lambda cell, printed, drawn: pictures.extend(drawn))
    assert all(picture.stat().st_size > 1000 for picture in pictures)


@pytest.mark.parametrize("lesson", ENGLISH, ids=name_of)
def test_every_cell_runs_and_every_check_tells_an_unfilled_exercise(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exercise is tried as it stands first, in a copy of the names: a check that passes it would check nothing."""
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in lesson.cells if cell.kind in ("code", "exercise")]
    exercises = [cell.number for cell in cells if cell.kind == "exercise"]
    assert exercises == sorted(lesson.solutions), "each exercise has a solution"
    assert exercises, "a lesson has exercises"
    space: dict[str, Any] = {"__name__": "lesson"}
    for cell, check in zip(cells, [*cells[1:], None], strict=True):
        if cell.kind == "exercise":
            assert check is not None
            unfilled = dict(space)
            with pytest.raises(LessonError):
                execute(lesson, cell, unfilled)
                execute(lesson, check, unfilled)
        execute(lesson, cell if cell.kind == "code" else lesson.solutions[cell.number], space)
        plt.close("all")
