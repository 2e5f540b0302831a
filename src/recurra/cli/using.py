"""`evaluate`, `predict` and `generate`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recurra.cli.app import Wishes
from recurra.cli.running import paths_of
from recurra.core.config import apply_overrides, parse, parse_overrides
from recurra.core.errors import ConfigError, DataError
from recurra.core.files import require_new, write_text
from recurra.data import DataConfig, Series
from recurra.runs import SavedModel, load, pictures
from recurra.tasks import Picture
from recurra.training.evaluation import defined

_CHUNK = 1024
"""Texts that are predicted together; memory stays flat on files of any length."""
_MOST_PICTURES = 20
"""Nobody looks through more."""


def run_evaluate(
    model: str,
    data: str | None,
    overrides: Sequence[str],
    as_json: bool,
    backtest: bool,
    stride: int | None,
    slices: str | None,
) -> None:
    """Print the metrics of a file, of its parts by `slices`, or with `backtest` of forecasts from many origins.

    Without a file, those of the data that the run was measured on.
    """
    if data is None and (overrides or backtest):
        raise ConfigError("that needs a file: name it with --data.test FILE.")
    options = data_config(overrides).model_dump(exclude_unset=True)
    if slices is not None:
        if backtest or stride is not None:
            raise ConfigError("--slices tells the parts of a plain evaluation: leave --backtest and --stride away.")
        from recurra.cli.judging import run_slices

        run_slices(model, None if data is None else paths_of(data), options, slices, as_json)
        return
    if data is None:
        print_metrics(_measured_again(model), as_json)
        return
    if stride is not None and not backtest:
        raise ConfigError(f"--stride {stride} says how far the origins of a backtest lie apart: add --backtest.")
    saved, paths = load(model), paths_of(data)
    if backtest:
        found = saved.backtest(paths, 1 if stride is None else stride, **options)
    else:
        found = saved.evaluate(paths, **options)
    print_metrics(found, as_json)


def _measured_again(model: str) -> dict[str, float]:
    from recurra.comparison.entrants import measured_split

    saved = load(model)
    with measured_split(saved, model, None, {}) as (_, split):
        return saved.evaluate_split(split).metrics


def print_metrics(found: dict[str, float], as_json: bool) -> None:
    """A line for each figure that is defined, or all as JSON."""
    metrics = defined(found)
    if as_json:
        print(json.dumps(metrics, ensure_ascii=False))
        return
    width = max(len(tag) for tag in metrics)
    for tag, value in metrics.items():
        print(f"{tag:<{width}}  {value:.4f}")


def run_predict(
    model: str,
    file: str | None,
    overrides: Sequence[str],
    wishes: Wishes,
    out: str | None,
    as_json: bool,
    plot: str | None,
) -> None:
    """Print a prediction a line, in the task's own way or as JSON; plot them."""
    if file is not None and "=" in file and not Path(file).exists():
        overrides, file = (file, *overrides), None
    data = data_config(overrides)
    if out is not None:
        require_new(Path(out), "--out")
    if wishes.paths is not None and not as_json:
        raise ConfigError("--paths: lines have no room for paths; add --json.")
    draw = None if plot is None else _Plotter(Path(plot))
    saved = load(model).asked_for(wishes.horizon, _levels(wishes.levels), wishes.paths)
    # Who types wants an answer to each line.
    typed = file in (None, "-") and sys.stdin is not None and sys.stdin.isatty()
    chunks = _predicted(saved, _items(file, data, saved), 1 if typed else _CHUNK, as_json, draw)
    chunks = chunks if as_json else _headed(saved.task.header(), chunks)
    if out is not None:
        write_text(Path(out), "".join(line + "\n" for chunk in chunks for line in chunk))
        return
    for chunk in chunks:
        for line in chunk:
            print(line, flush=typed)


class _Plotter:
    """Draws the first prediction into `path`, the next ones into the same name with -2, -3, ... -20."""

    def __init__(self, path: Path) -> None:
        require_new(path, "--plot")
        pictures.require_drawing(path)
        self._path, self._number, self._drawn = path, 0, 0

    def draw(self, picture: Picture | None) -> None:
        """Draw the next one; None, as for an empty line, leaves its number out."""
        self._number += 1
        if picture is not None and self._number <= _MOST_PICTURES:
            self._drawn += 1
            name = f"{self._path.stem}-{self._number}"
            path = self._path if self._number == 1 else self._path.with_stem(name)
            require_new(path, "--plot")
            pictures.draw(picture, path)

    def finish(self) -> None:
        """Check that there was something to draw, and say how much was left out.

        Raises:
            ConfigError: no prediction had a picture.
        """
        if self._number and not self._drawn:
            raise ConfigError(
                "--plot: there is nothing to draw: what this model predicts has no picture (texts have one where the "
                "model has attention), or what it said is empty."
            )
        if self._number > _MOST_PICTURES:
            print(
                f"recurra: the first {_MOST_PICTURES} of {self._number:,} predictions were drawn; for others, predict "
                "from a file that holds them alone.",
                file=sys.stderr,
            )


def run_generate(model: str, prompt: str, samples: int, seed: int | None, options: dict[str, Any]) -> None:
    """Stream samples to the terminal."""
    if samples < 1:
        raise ConfigError(f"--samples is {samples}: at least 1 is wanted.")
    saved = load(model)
    for number in range(samples):
        own_seed = None if seed is None else seed + number
        pieces = saved.generate_stream(prompt, seed=own_seed, **options)
        first = next(pieces, "")
        print(prompt + first, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print("\n" + "-" * 40 if number + 1 < samples else "")


def run_complete(model: str, prompt: str, samples: int, max_length: int, beam_size: int) -> None:
    """Print the likeliest continuations, best first."""
    found = load(model).complete(prompt, beam_size=beam_size, num_best=samples, max_length=max_length)
    print(f"\n{'-' * 40}\n".join(text for text, _ in found))


def _levels(given: str | None) -> list[float] | None:
    """80,95 as numbers.

    Raises:
        ConfigError: something else.
    """
    if given is None:
        return None
    try:
        levels = [float(word) for word in given.split(",")]
    except ValueError as error:
        raise ConfigError(f"--levels {given}: numbers with commas between are wanted, such as 80,95.") from error
    return levels


def data_config(overrides: Sequence[str]) -> DataConfig:
    """Only options of `data` make sense here."""
    given = parse_overrides(overrides)
    for key in given:
        if not key.startswith("data."):
            raise ConfigError(f"`{key}`: only data.* options, which say how a file is read, can be given here.")
    return parse(DataConfig, apply_overrides({}, {key.removeprefix("data."): value for key, value in given.items()}))


def _items(file: str | None, data: DataConfig, saved: SavedModel) -> Iterator[Any]:
    if file is None or file == "-":
        found = (saved.task.item(line) for line in _stdin_lines(data.encoding))
        return (_numbered(item, number) for number, item in enumerate(found, start=1))
    return saved.task.items(file, data)


def _numbered(item: Any, number: int) -> Any:
    """Series that are piped in have no names: the first is `line`, the others are told apart by their numbers."""
    return replace(item, name=f"{item.name} {number}") if isinstance(item, Series) and number > 1 else item


def _stdin_lines(encoding: str) -> Iterator[str]:
    """The lines of stdin as they come."""
    if sys.stdin is None:
        raise DataError("stdin is closed: name a file, or pipe texts in, one a line.")
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin:{number}: byte 0x{line[error.start]:02x} at column {error.start + 1} is not {encoding}; "
                "name the encoding, for example data.encoding=latin-1 or data.encoding=gb18030."
            ) from error
        except LookupError as error:
            raise ConfigError(f"`data.encoding`: no such encoding `{encoding}`.") from error
        yield text.removeprefix("\ufeff") if number == 1 else text


def _headed(header: str | None, chunks: Iterator[list[str]]) -> Iterator[list[str]]:
    """The lines under their header; where the first prediction fails, there is no header either."""
    for chunk in chunks:
        yield chunk if header is None else [header, *chunk]
        header = None


def _predicted(
    saved: SavedModel, items: Iterator[Any], size: int, as_json: bool, plot: _Plotter | None
) -> Iterator[list[str]]:
    while chunk := list(itertools.islice(items, size)):
        lines = []
        for item, prediction in zip(chunk, saved.predictions(chunk), strict=True):
            row = saved.task.readable(prediction)
            asked = saved.task.asked(item)
            lines.append(json.dumps({**asked, **row}, ensure_ascii=False) if as_json else saved.task.line(item, row))
            if plot is not None:
                plot.draw(saved.task.picture(item, prediction))
        yield lines
    if plot is not None:
        plot.finish()
