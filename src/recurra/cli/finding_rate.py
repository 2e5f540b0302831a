"""`find-rate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import DataFlags, RunFlags, app


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RateFlags:
    """How far the rate rises, and where the curve is drawn."""

    updates: Annotated[int, Parameter(help="of the trial")] = 200
    lowest: Annotated[float | None, Parameter(help="rate to begin with; none: one for the optimizer")] = None
    highest: Annotated[float | None, Parameter(help="rate to end with; none: one for the optimizer")] = None
    plot: Annotated[str | None, Parameter(help=".html, .png, .svg or .pdf; default runs/NAME-rate.html")] = None
    lang: Annotated[Literal["en", "zh"], Parameter(help="language of an HTML page: English or Chinese")] = "en"


@app.command(name="find-rate")
def find_rate(
    recipe: str,
    *overrides: str,
    task: Annotated[str | None, Parameter(help="of a saved model: what the new one is to do")] = None,
    rates: RateFlags = RateFlags(),
    data: Annotated[DataFlags, Parameter(name="*")] = DataFlags(),
    seed: Annotated[int | None, Parameter(help="same seed, same numbers")] = None,
    json: Annotated[bool, Parameter(negative="", help="print rates and losses as JSON on stdout")] = False,
    quiet: Annotated[bool, Parameter(negative="", help="print nothing but the rate and errors")] = False,
) -> None:
    """Find a learning rate: train a little with rising rates, draw the loss, suggest a rate.

    Args:
        recipe: a recipe, a run file (.yaml), or the folder of a saved model that is to be fine-tuned.
        overrides: options of the run as key=value.
        task: of a saved model: what the new one is to do, as for `recurra finetune`.
        rates: how far the rate rises, and where the curve is drawn.
        data: files.
        seed: same seed, same numbers.
        json: print rates and losses as JSON.
        quiet: print nothing but the rate and errors.
    """
    from recurra.cli.rates import run_find_rate

    run_find_rate(recipe, task, overrides, rates, RunFlags(data=data, seed=seed, json=json, quiet=quiet))
