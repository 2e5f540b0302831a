"""`ensemble` and `distill`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import DataFlags, RunFlags, app


@app.command
def ensemble(
    *members: str,
    out: Annotated[str, Parameter(help="folder of the ensemble")],
    kind: Annotated[Literal["mean", "stacked"], Parameter(help="stacked learns how much each counts")] = "mean",
    data: Annotated[DataFlags, Parameter(name="*")] = DataFlags(),
    json: Annotated[bool, Parameter(negative="", help="print the results as JSON on stdout")] = False,
    quiet: Annotated[bool, Parameter(negative="", help="print nothing but results and errors")] = False,
) -> None:
    """Make one saved model of several trained ones, which answers by their mean.

    Args:
        members: folders of runs, which may differ in seed, options and architecture; one alone if it kept snapshots.
            Options of the data to measure the ensemble on are written key=value, as data.encoding=gb18030.
        out: folder of the ensemble; `evaluate`, `predict`, `generate` and `distill` take it like any run's.
        kind: mean, where all count the same, or stacked, where how much each counts is learnt on validation data.
        data: files to measure it on; else those of the first member's run.
        json: print JSON.
        quiet: print nothing but results and errors.
    """
    from recurra.cli.combining import run_ensemble

    run_ensemble(members, out, kind, data, json, quiet)


@app.command
def distill(
    teacher: str,
    recipe: str | None = None,
    *overrides: str,
    flags: RunFlags = RunFlags(),
) -> None:
    """Train a model on what a trained one, such as an ensemble, believes, beside the true targets.

    Args:
        teacher: folder of the trained model.
        recipe: of the student: a name from `recurra list recipes`, or a .yaml file; without it, a model like the
            teacher, or like the first member of an ensemble.
        overrides: options of the run as key=value, e.g. distill.weight=0.5 or training.epochs=12.
        flags: files and folder; without files, those of the teacher.
    """
    from recurra.cli.combining import run_distill

    run_distill(teacher, recipe, overrides, flags)
