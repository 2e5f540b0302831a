"""Reading and running a lesson: cells in order, exercises by their solutions or the reader's own, pictures, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import LessonError
from recurra.lessons import Cell, Lesson, run_lesson
from recurra.lessons.reading import read_lesson
from recurra.lessons.running import read_answers

PAGE = """---
jupyter: {}
---
# Doubling

Text.

```python
x = 3
print("x is", x)
```

## Exercise

```python
# exercise 1
def double(value):
    ...
```

```python
assert double(x) == 6, "double(3) is 6"
import matplotlib.pyplot as plt
plt.plot([1, 2])
```

## Solutions

```python
# solution 1
def double(value):
    return 2 * value
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "03-doubling.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def run(lesson: Lesson, out: Path, answers: Path | None = None) -> list[tuple[Cell, str, list[Path]]]:
    shown: list[tuple[Cell, str, list[Path]]] = []
    own = None if answers is None else read_answers(answers)
    run_lesson(lesson, out, lambda *parts: shown.append(parts), own)
    return shown


def test_page_becomes_cells_that_know_their_lines(page: Path) -> None:
    lesson = read_lesson(page)
    assert (lesson.name, lesson.title) == ("doubling", "Doubling")
    kinds = [(cell.kind, cell.number) for cell in lesson.cells]
    assert kinds == [
        ("text", 0),
        ("code", 0),
        ("text", 0),
        ("exercise", 1),
        ("code", 0),
        ("solution", 1),
    ]
    lines = page.read_text(encoding="utf-8").splitlines()
    for cell in lesson.cells:
        assert lines[cell.line - 1] == cell.text.splitlines()[0]


def test_cells_run_in_order_with_solutions_and_pictures(page: Path, tmp_path: Path) -> None:
    shown = run(read_lesson(page), tmp_path / "out")
    assert [cell.kind for cell, _, _ in shown] == ["text", "code", "text", "exercise", "code"]
    assert shown[1][1] == "x is 3\n"
    (picture,) = shown[4][2]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_own_answer_is_checked(page: Path, tmp_path: Path) -> None:
    answers = tmp_path / "mine.py"
    answers.write_text("def double(value):\n    return value + 3\n", encoding="utf-8")
    assert run(read_lesson(page), tmp_path / "out", answers)
    answers.write_text("def double(value):\n    return value\n", encoding="utf-8")
    with pytest.raises(LessonError, match=r"03-doubling.md, cell at line \d+, line 1, `assert d.*double\(3\) is 6"):
        run(read_lesson(page), tmp_path / "out", answers)


def test_faults_in_the_answers_are_named(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"none\.py: can't be read"):
        read_answers(tmp_path / "none.py")
    path = tmp_path / "mine.py"
    path.write_text("x = 1\ny = x / 0\n", encoding="utf-8")
    with pytest.raises(LessonError, match="line 2, `y = x / 0`: ZeroDivisionError"):
        read_answers(path)
    path.write_text("def f(:\n", encoding="utf-8")
    with pytest.raises(LessonError, match=r"mine.py: line 1.*SyntaxError"):
        read_answers(path)
