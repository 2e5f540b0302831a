"""`compare`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import DATA, app


@app.command
def compare(
    *runs: str,
    against: Annotated[str | None, Parameter(help="the run that others are held against; else the best")] = None,
    data: Annotated[str | None, Parameter(name="--data.test", group=DATA, help="file to measure all on")] = None,
    out: Annotated[str | None, Parameter(help="write the comparison as a page (.html)")] = None,
    lang: Annotated[Literal["en", "zh"], Parameter(help="language of the page: English or Chinese")] = "en",
    json: Annotated[bool, Parameter(negative="", help="print the comparison as JSON on stdout")] = False,
) -> None:
    """Hold runs against each other: figures over seeds, what chance may have done, and what they cost.

    Runs that differ in their seed alone are one row. All are measured anew on the same items: the test data of the
    runs, or a file.

    Args:
        runs: folders of finished runs or saved models, and how to read a file, e.g. data.text_column=review.
        against: the run that others are held against; without it the best one.
        data: file to measure all of them on.
        out: a page with the intervals drawn.
        lang: language of the page.
        json: print JSON.
    """
    from recurra.cli.judging import run_compare

    run_compare(runs, against, data, out, lang, json)
