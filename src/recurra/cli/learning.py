"""`lesson`: the course, in the terminal."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import app


@app.command
def lesson(
    name: str | None = None,
    *,
    lang: Annotated[Literal["en", "zh"], Parameter(help="language of the text: English or Chinese")] = "en",
    answers: Annotated[str | None, Parameter(help="your file of Python with answers to the exercises")] = None,
    out: Annotated[str | None, Parameter(help="folder of the pictures; default lessons/NAME")] = None,
) -> None:
    """List the lessons, or run one: its text, what each cell prints, its plots as files.

    Args:
        name: of a lesson; without it they are listed.
        lang: English or Chinese.
        answers: a file of Python whose functions stand for the solutions of the exercises, so that the checks run on
            them.
        out: where the pictures go.
    """
    from recurra.cli.teaching import run_list, run_one

    if name is None:
        run_list(lang)
    else:
        run_one(name, lang, answers, out)
