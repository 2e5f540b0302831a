"""What `recurra lesson` does."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.text import Text

from recurra.core.errors import OutputError
from recurra.core.files import require_writable
from recurra.lessons import Cell, find_lesson, lessons, run_lesson
from recurra.lessons.running import read_answers

_EXERCISE = {
    "en": "Exercise {}: write it into a file and run this lesson again with --answers FILE; the check below goes on "
    "with a solution until then.",
    "zh": "练习 {}：把你的答案写进一个文件，用 --answers 文件名 再运行本课；在那之前，下面的检查用参考答案。",
}
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
_SIGNS = {"odot": "⊙", "partial": "∂", "sum": "Σ", "prod": "Π", "cdot": "·", "approx": "≈", "leq": "≤", "geq": "≥"}
_SIGNS |= {"alpha": "α", "beta": "β", "delta": "δ", "eta": "η", "theta": "θ", "lambda": "λ", "sigma": "σ", "phi": "φ"}
_SIGNS |= {"omega": "ω", "pi": "π", "top": "ᵀ", "dots": "…", "qquad": "   ", "quad": "  ", "to": "→", "times": "×"}


def run_list(language: str) -> None:
    """Print names and titles."""
    found = lessons(language)
    width = max(len(lesson.name) for lesson in found)
    for number, lesson in enumerate(found, start=1):
        print(f"{number:2}  {lesson.name:<{width}}  {lesson.title}")


def run_one(name: str, language: str, answers: str | None, out: str | None) -> None:
    """Print a lesson as it runs."""
    lesson = find_lesson(name, language)
    own = {} if answers is None else read_answers(Path(answers))
    folder = Path("lessons", name) if out is None else Path(out)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, and a folder is wanted. Choose another --out.")
    require_writable(folder.parent if not folder.exists() else folder)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100)

    def show(cell: Cell, printed: str, pictures: list[Path]) -> None:
        if cell.kind == "text":
            console.print(Markdown(_FORMULA.sub(_readable, cell.text)))
            return
        if cell.kind == "exercise" and not own:
            console.print(Text(_EXERCISE[language].format(cell.number), style="bold"))
        console.print(Syntax(cell.text, "python", background_color="default", word_wrap=True))
        if printed:
            console.print(Text(printed.rstrip("\n")))
        for picture in pictures:
            console.print(Text(f"[{os.path.relpath(picture)}]", style="bold"))

    run_lesson(lesson, folder, show, own)


def _readable(formula: re.Match[str]) -> str:
    """A formula as code: LaTeX, with signs in place of the commands that a terminal can show."""
    block, inline = formula.groups()
    text = re.sub(r"\\([a-zA-Z]+)", lambda found: _SIGNS.get(found[1], found[0]), block or inline)
    text = re.sub(r"\\[,;!]|\\(?=(?:cos|sin|tanh|log|exp|max|min)(?![a-z]))", "", text)
    text = re.sub(r"\\(?:mathrm|text)\{(.*?)\}", r"\1", text)
    return f"```text\n{text.strip()}\n```" if block else f"`{text}`"
