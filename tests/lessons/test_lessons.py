"""Every lesson runs from top to bottom, in both languages, and both say the same in code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from recurra.lessons import Lesson, lessons, run_lesson

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


@pytest.mark.parametrize("lesson", [*ENGLISH, *CHINESE], ids=name_of)
def test_lesson_has_exercises_whose_checks_run(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exercises = [cell.number for cell in lesson.cells if cell.kind == "exercise"]
    assert exercises == sorted(lesson.solutions), "each exercise has a solution"
    assert exercises, "a lesson has exercises"
    pictures: list[Path] = []
    run_lesson(lesson, tmp_path / "pictures", lambda cell, printed, drawn: pictures.extend(drawn))
    assert all(picture.stat().st_size > 1000 for picture in pictures)


@pytest.mark.parametrize("lesson", ENGLISH, ids=name_of)
def test_an_exercise_left_as_it_is_does_not_pass(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that the unfilled exercise passes would check nothing."""
    pytest.importorskip("matplotlib")
    from recurra.core.errors import LessonError

    for exercise in (cell for cell in lesson.cells if cell.kind == "exercise"):
        solved = [
            cell
            if cell.kind != "solution" or cell.number != exercise.number
            else type(cell)("solution", exercise.text, cell.number, cell.line)
            for cell in lesson.cells
        ]
        unfilled = Lesson(lesson.name, lesson.title, lesson.path, tuple(solved))
        folder = tmp_path / str(exercise.number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        with pytest.raises(LessonError) as failed:
            run_lesson(unfilled, folder / "pictures", lambda *_: None)
        (line,) = re.findall(r"cell at line (\d+)", str(failed.value))
        assert int(line) > exercise.line, "a cell before the exercise fails"
