"""`diagnose`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from recurra.cli.app import DataFlags, app


@app.command
def diagnose(
    what: str,
    *overrides: str,
    data: Annotated[DataFlags, Parameter(name="*")] = DataFlags(),
    apply: Annotated[str | None, Parameter(help="write a run file with the mends here")] = None,
    lang: Annotated[
        Literal["en", "zh"], Parameter(help="language of the verdict and the page: English or Chinese")
    ] = "en",
    out: Annotated[str | None, Parameter(help="folder of the page with the plots")] = None,
    seconds: Annotated[float, Parameter(help="what one short training may take")] = 10.0,
    json: Annotated[bool, Parameter(negative="", help="print all figures and findings as JSON on stdout")] = False,
    quiet: Annotated[bool, Parameter(negative="", help="print nothing but the verdict and errors")] = False,
) -> None:
    """Say what is wrong with a recurrent model, its data or its training, and how to mend it.

    Args:
        what: folder of a run, or a recipe or run file (.yaml), which is trained for a few hundred updates first.
        overrides: options as key=value, e.g. training.tbptt_length=16; of a trained model, those of data, optimizer
            and training only.
        data: files, where they are not those of the run.
        apply: a new run file, with the options that mend what was found; train it with `recurra train FILE`.
        lang: of the verdict and the page.
        out: where report.html, diagnosis.json and TensorBoard's event files go; else RUN/diagnosis, or
            runs/diagnosis-NAME.
        seconds: what each of the short trainings may take; there are two to four.
        json: print JSON.
        quiet: no progress.
    """
    from recurra.cli.examining import run_diagnose

    run_diagnose(what, overrides, data, apply, lang, out, seconds, as_json=json, quiet=quiet)
