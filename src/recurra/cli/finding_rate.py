"""`find-rate`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import RunFlags, app


@app.command(name="find-rate")
def find_rate(
    recipe: str,
    *overrides: str,
    updates: Annotated[int, Parameter(help="of the trial")] = 200,
    lowest: Annotated[float | None, Parameter(help="rate to begin with; none: one for the optimizer")] = None,
    highest: Annotated[float | None, Parameter(help="rate to end with; none: one for the optimizer")] = None,
    plot: Annotated[str | None, Parameter(help=".html, .png, .svg or .pdf; default runs/NAME-rate.html")] = None,
    task: Annotated[str | None, Parameter(help="of a saved model: what the new one is to do")] = None,
    lang: Annotated[Literal["en", "zh"], Parameter(help="of the page")] = "en",
    flags: RunFlags = RunFlags(),
) -> None:
    """Find a learning rate: train a little with rising rates, draw the loss, suggest a rate.

    Args:
        recipe: a recipe, a run file (.yaml), or the folder of a saved model that is to be fine-tuned.
        overrides: options of the run as key=value.
        updates: how many updates the trial takes.
        lowest: rate to begin with.
        highest: rate to end with.
        plot: file for the picture.
        task: of a saved model: what the new one is to do, as for `recurra finetune`.
        lang: language of an HTML page.
        flags: files; nothing else is written.
    """
    from recurra.cli.rates import run_find_rate

    run_find_rate(recipe, task, overrides, flags, updates=updates, bounds=(lowest, highest), plot=plot, lang=lang)
