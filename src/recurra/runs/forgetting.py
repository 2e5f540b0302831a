"""What a fine-tuned model still knows of what it was trained on before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from recurra.core.errors import ConfigError
from recurra.data import encode_tokens, read_pieces
from recurra.data.records import TextPiece
from recurra.finetuning import Grown, Replay, match, own_tensors, put, transfer
from recurra.models import MODELS
from recurra.runs.config import RunConfig
from recurra.runs.held_out import measured_again
from recurra.runs.saved import SavedModel
from recurra.runs.start import Start
from recurra.tasks import LanguageModelling, StreamOptions
from recurra.training.checkpoint import model_tensors

_MEASURED, _REPLAYED = 40_000, 4_000_000
"""So many characters of a text are measured and replayed at most."""
_ROWS = 200
"""So many rows are measured at most where the source is no running text."""


class Source(NamedTuple):
    """What a saved model was trained on, encoded for it.

    Attributes:
        name: of the files.
        measured: a split to measure on.
        replayed: one to learn from, if asked.
    """

    name: str
    measured: Any
    replayed: Any


def find_source(config: RunConfig, start: Start) -> Source | None:
    """The source of a run's pretrained model; None where it is not named and its files are gone.

    Raises:
        ConfigError: replay is asked for, and there is nothing to replay.
        DataError: a file can't be read.
    """
    assert config.finetune is not None
    given, known = config.finetune.source, start.first.config.data
    held = given or _first_there(known.valid, known.test, known.train)
    more = given or _first_there(known.train)
    wants_replay = config.finetune.replay > 0
    if held is None or (wants_replay and more is None):
        if wants_replay:
            raise ConfigError(
                "`finetune.replay`: the texts of the pretraining are not where they were. Give finetune.source."
            )
        return None
    replayed = _replayed(start.first, more, skips=more == held) if wants_replay and more is not None else None
    name = held if isinstance(held, str) else ", ".join(held)
    return Source(name, _measured(start.first, held, named=given is not None), replayed)


def measure(saved: SavedModel, source: Source) -> tuple[str, float]:
    """The tag of the task's figure, and its value on the source; of a language model its perplexity."""
    tag = "perplexity" if isinstance(saved.task, LanguageModelling) else saved.task.monitor[0]
    return tag, saved.evaluate_split(source.measured).metrics.get(tag, math.nan)


@torch.no_grad()
def brought_back(start: SavedModel, model: nn.Module, place: str, grown: Grown) -> SavedModel:
    """The pretrained model with the tuned weights in it, and with its own output where the new model has none."""
    tensors, own = dict(model_tensors(start.model)), own_tensors(model)
    for name, origin in match(tensors, model, place, grown).items():
        tensors[origin] = own[name][: len(tensors[origin])] if own[name].dim() else own[name]
    copy = MODELS[start.config.model.kind](start.config.model, start.task.spec)
    transfer(tensors, copy, "")
    return SavedModel(start.config, start.task, copy.to(start.device), {})


def make_replay(config: RunConfig, start: Start, model: nn.Module, place: str, grown: Grown, source: Source) -> Replay:
    """The source's loss on the model that is tuned: itself, or a language model around its encoder."""
    assert config.finetune is not None
    first = start.first
    options = StreamOptions(
        batch_size=first.config.training.batch_size,
        length=first.config.training.tbptt_length,
        seed=config.seed,
        shuffle=True,
    )
    stream = first.task.stream(source.replayed, options)
    replayed = model if start.is_same_task(config) else _around(first, model, place, grown)
    return Replay(replayed, first.task, stream, config.finetune.replay)


def _around(start: SavedModel, model: nn.Module, place: str, grown: Grown) -> nn.Module:
    """A language model whose encoder is the tuned one's, and whose own output stands still."""
    spec, more = start.task.spec, grown.new - grown.old
    if spec.output_prior is not None:
        spec = replace(spec, output_prior=(*spec.output_prior, *[min(spec.output_prior)] * more))
    spec = replace(spec, input_size=grown.new, output_size=grown.new)
    around = MODELS[start.config.model.kind](start.config.model, spec)
    transfer(model_tensors(start.model), around, "", grown)
    around.requires_grad_(False)
    tuned = own_tensors(model)
    put(around, {origin: tuned[name] for name, origin in match(own_tensors(around), model, place).items()})
    return around


def _first_there(*paths: str | list[str] | None) -> str | list[str] | None:
    """The first of these whose files are all there."""
    for given in paths:
        files = [given] if isinstance(given, str) else given or []
        if files and all(Path(file).expanduser().exists() for file in files):
            return given
    return None


def _measured(saved: SavedModel, paths: str | list[str], *, named: bool) -> Any:
    """A split of the source; of series that no one named what was held out, as it goes on where the training ended."""
    if not named and saved.task.spec.window is not None:
        with measured_again(saved) as (_, split):
            return split
    if isinstance(saved.task, LanguageModelling):
        return _text(saved, paths, 0, _MEASURED)
    split = saved.task.read(paths, saved.config.data)
    return split[:_ROWS] if isinstance(split, list) else split


def _replayed(saved: SavedModel, paths: str | list[str], *, skips: bool) -> Any:
    """A split to learn from; without what is measured, where that is of the same files and leaves something."""
    if isinstance(saved.task, LanguageModelling):
        return _text(saved, paths, _MEASURED if skips else 0, _REPLAYED)
    split = saved.task.read(paths, saved.config.data)
    return split[_ROWS:] or split if skips and isinstance(split, list) else split


def _text(saved: SavedModel, paths: str | list[str], skipped: int, most: int) -> Any:
    """So many characters of a text, encoded; of a short one all."""
    data, task = saved.config.data, saved.task
    assert isinstance(task, LanguageModelling)
    pieces = list(_cut(read_pieces(paths, data, data.text_column), skipped, most))
    pieces = pieces or list(_cut(read_pieces(paths, data, data.text_column), 0, most))
    return task.directed(encode_tokens(pieces, task.vocabulary))


def _cut(pieces: Iterator[TextPiece], skipped: int, most: int) -> Iterator[TextPiece]:
    """The characters from `skipped` on, at most so many."""
    seen = 0
    for piece in pieces:
        begin, end = max(0, skipped - seen), skipped + most - seen
        text = piece.text[begin:end]
        if text:
            yield replace(
                piece, text=text, starts=piece.starts or begin > 0, ends=piece.ends and end >= len(piece.text)
            )
        seen += len(piece.text)
        if seen >= skipped + most:
            return
