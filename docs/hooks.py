"""What the documentation site adds to the pages: formulas as MathML, which browsers show by themselves, and what the
cells of each lesson print and draw. `RECURRA_LESSONS=off` leaves the lessons as they stand."""

from __future__ import annotations

import os
import re
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

from recurra.lessons import Cell, Lesson, run_lesson
from recurra.lessons.reading import read_lesson

_LESSON = re.compile(r"/lessons/\d\d-.*\.md$")
_RUNS = os.environ.get("RECURRA_LESSONS") != "off"
_SPAN = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page of a lesson with its outputs."""
    uri = Path(page.file.abs_src_path).as_posix()
    return _with_outputs(read_lesson(Path(uri))) if _LESSON.search(uri) and _RUNS else markdown


def _with_outputs(lesson: Lesson) -> str:
    """Its text and cells, what they printed, and their pictures inside the page."""
    parts: list[str] = []

    def show(cell: Cell, printed: str, drawn: list[Path]) -> None:
        parts.append(cell.text if cell.kind == "text" else f"```python\n{cell.text}\n```")
        if printed:
            parts.append(f"```text\n{printed.rstrip()}\n```")
        for picture in drawn:
            parts.append(f"![](data:image/png;base64,{b64encode(picture.read_bytes()).decode()})")

    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            run_lesson(lesson, Path("pictures"), show)
        finally:
            os.chdir(before)
    title = "参考答案" if "/zh/" in lesson.path.as_posix() else "Solutions"
    parts.append(f'??? success "{title}"\n')
    for solution in lesson.solutions.values():
        parts.append("\n".join(f"    {line}" for line in f"```python\n{solution.text}\n```".splitlines()))
    return "\n\n".join(parts)


def on_page_content(html: str, **_: Any) -> str:
    """Formulas as MathML."""

    def mathml(found: re.Match[str]) -> str:
        display = "block" if found[1] == "div" else "inline"
        return str(convert(found[2].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"), display=display))

    return _SPAN.sub(mathml, html)
