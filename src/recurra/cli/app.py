"""The commands: their arguments and help. What they do is imported when they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from recurra import __version__

app = App(
    name="recurra",
    help="Recurrent neural networks: pretrain, fine-tune, evaluate, predict, generate.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # the message says how to go on
)
DATA = Group("Data")


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """The files of a run; each is short for an override of the same name."""

    train: Annotated[str | None, Parameter(name="--data.train", group=DATA, help="file or folder to train on")] = None
    valid: Annotated[str | None, Parameter(name="--data.valid", group=DATA, help="validation file")] = None
    test: Annotated[str | None, Parameter(name="--data.test", group=DATA, help="test file")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """What `train` and `finetune` share."""

    data: Annotated[DataFlags, Parameter(name="*")] = DataFlags()
    out: Annotated[str | None, Parameter(help="folder of the run; default runs/NAME")] = None
    seed: Annotated[int | None, Parameter(help="same seed, same numbers")] = None
    resume: Annotated[bool, Parameter(negative="", help="go on with the run in --out")] = False
    json: Annotated[bool, Parameter(negative="", help="print the results as JSON on stdout")] = False
    quiet: Annotated[bool, Parameter(negative="", help="print nothing but results and errors")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a forecast is to give."""

    horizon: Annotated[int | None, Parameter(help="of forecasts: steps ahead")] = None
    levels: Annotated[str | None, Parameter(help="of forecasts: per cent that intervals hold, such as 80,95")] = None
    paths: Annotated[int | None, Parameter(help="of forecasts: so many drawn paths, with --json")] = None


@app.command
def train(recipe: str | None = None, *overrides: str, flags: RunFlags = RunFlags()) -> None:
    """Train a model from a recipe or a run file (.yaml).

    Args:
        recipe: a name from `recurra list recipes`, or a .yaml file; none with --resume.
        overrides: options of the run as key=value, e.g. model.hidden_size=512 (`recurra list options`).
        flags: files and folder.
    """
    from recurra.cli.running import run_train

    run_train(recipe, overrides, flags)


@app.command
def finetune(
    start: str,
    *overrides: str,
    task: Annotated[str | None, Parameter(help="what the new model is to do")] = None,
    recipe: Annotated[str | None, Parameter(help="recipe of a tagger or reader")] = None,
    flags: RunFlags = RunFlags(),
) -> None:
    """Fine-tune a saved model: a language model for another task, or any model for its own task on other data.

    Args:
        start: folder of a trained model.
        overrides: options of the run as key=value, e.g. finetune.adapt_epochs=1 or finetune.backward=FOLDER.
        task: what the new model is to do (`recurra list tasks`); without it, a language model becomes a text
            classifier, and another model goes on with its own task.
        recipe: the tagger or reader that language models are to join, e.g. ner; without it, the task's usual one.
        flags: files and folder.
    """
    from recurra.cli.running import run_finetune

    run_finetune(start, task, recipe, overrides, flags)


@app.command
def evaluate(
    model: str,
    *overrides: str,
    data: Annotated[str | None, Parameter(name="--data.test", group=DATA, help="file to evaluate on")] = None,
    backtest: Annotated[bool, Parameter(negative="", help="forecasts from every origin after the training")] = False,
    stride: Annotated[int | None, Parameter(help="with --backtest: steps from one origin to the next; else 1")] = None,
    slices: Annotated[str | None, Parameter(help="figures by length, label or a column; with commas between")] = None,
    json: Annotated[bool, Parameter(negative="", help="print the figures as JSON on stdout")] = False,
) -> None:
    """Measure a saved model on a file, or again on what its run was measured on.

    Args:
        model: folder of a trained model.
        overrides: how to read the file, e.g. data.text_column=review data.encoding=gb18030.
        data: file to evaluate on; without it, the test data of the run, or what it held out or drew.
        backtest: forecast from one origin after another, all of them after the time of training.
        stride: with --backtest, how many steps lie between two origins; 1 unless named.
        slices: also show how well it does on parts of the file, by length, by label or by another column, and name
            the weakest: length,label.
        json: print JSON.
    """
    from recurra.cli.using import run_evaluate

    run_evaluate(model, data, overrides, json, backtest, stride, slices)


@app.command
def predict(
    model: str,
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    *overrides: str,
    out: Annotated[str | None, Parameter(help="write here instead of stdout")] = None,
    wishes: Wishes = Wishes(),
    json: Annotated[bool, Parameter(negative="", help="JSON lines with all that is known")] = False,
    plot: Annotated[str | None, Parameter(help="draw into this .png, .svg or .pdf")] = None,
) -> None:
    """Predict for each line of a text file or of stdin, or for what a file like the training file holds.

    Args:
        model: folder of a trained model.
        file: what to read; without it, or with -, stdin.
        overrides: how to read the file, e.g. data.text_column=review.
        out: file for the predictions.
        wishes: of forecasts.
        json: JSON lines with all that is known, such as the probabilities of all classes.
        plot: a picture of each prediction: what it looked at, a forecast, anomalies; of several, the second goes to
            NAME-2 and so on.
    """
    from recurra.cli.using import run_predict

    run_predict(model, file, overrides, wishes, out, json, plot)


@app.command
def generate(
    model: str,
    prompt: str = "",
    *,
    max_length: int = 200,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    samples: int = 1,
    seed: int | None = None,
    beam_size: int = 0,
) -> None:
    """Continue a prompt with a language model, printing as it comes.

    Args:
        model: folder of a trained language model.
        prompt: text to go on from; empty starts a new document.
        max_length: most tokens to generate.
        temperature: below 1 is safer, above 1 wilder, 0 always the likeliest.
        top_k: draw from the k likeliest tokens only; 0 is off.
        top_p: draw from the fewest tokens that hold this probability.
        repetition_penalty: above 1, tokens already seen become less likely.
        samples: how many texts.
        seed: same seed, same text.
        beam_size: above 0, nothing is drawn: the likeliest texts that a search of this width finds, --samples of them.
    """
    from recurra.cli.using import run_complete, run_generate

    if beam_size:
        run_complete(model, prompt, samples, max_length, beam_size)
        return
    options = {
        "max_length": max_length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    run_generate(model, prompt, samples, seed, options)


@app.command(name="list")
def list_(what: Literal["cells", "models", "tasks", "recipes", "options"], name: str | None = None) -> None:
    """List what there is.

    Args:
        what: cells, models, tasks, recipes or options.
        name: for options: a recipe, whose values are then shown.
    """
    from recurra.cli.listing import run_list

    run_list(what, name)


@app.command
def doctor(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Say what is installed, which devices there are, and which fast paths work here.

    Args:
        json: print JSON.
    """
    from recurra.cli.doctor import run_doctor

    run_doctor(json)
