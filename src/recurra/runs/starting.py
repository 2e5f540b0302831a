"""How a run begins from a saved model: adapt it to the new texts, take its weights over, choose what is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from recurra.core.errors import ConfigError, DataError
from recurra.finetuning import Grown, Transfer, Tuned, adapter_tensors, encoders, transfer, tune
from recurra.runs.adapter import write_adapter
from recurra.runs.adapting import adapt
from recurra.runs.config import RunConfig
from recurra.runs.forgetting import Source, brought_back, find_source, make_replay, measure
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run
from recurra.runs.start import Start
from recurra.tasks import Prepared
from recurra.training import World
from recurra.training.checkpoint import model_tensors


@dataclass(frozen=True)
class Begun:
    """A run that starts from a saved model.

    Attributes:
        run: the run.
        start: what it starts from.
        model: as it is trained: the plain model, or a `Tuned` around it.
        place: where in the plain model the first saved model's encoder is; "" where the whole is taken over.
        grown: sizes of the vocabulary.
        facts: what there is to report, as JSON values.
        source: what the saved model was trained on, if it is there.
        said: sentences on what was taken over and what is trained.
    """

    run: Run
    start: Start
    model: nn.Module
    place: str
    grown: Grown
    facts: dict[str, Any]
    source: Source | None
    said: tuple[str, ...]


def begin(run: Run, world: World, start: Start, model: nn.Module, prepared: Prepared) -> Begun:
    """Give a model the weights to start from, and choose what of it is trained."""
    config = run.config
    assert config.finetune is not None
    same = start.is_same_task(config)
    place = "" if same else encoders(model).get("forward", "")
    grown = _grown(config, start.first, prepared)
    taken = _take_over(run, world, start, model, prepared)
    source = _source(run, start) if world.is_main or config.finetune.replay else None
    replay = None
    if config.finetune.replay:
        assert source is not None, "otherwise it is refused"
        replay = make_replay(config, start, model, place, grown, source)
    tuned = tune(model, config.finetune.method, taken.new, config.finetune.pull, replay)
    facts: dict[str, Any] = {
        "method": config.finetune.method.kind,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "trained": _count_trained(tuned),
        "taken_over": taken.matched,
        "new": taken.new,
        "left_behind": taken.dropped,
        "new_words": grown.new - grown.old,
    }
    said = [taken.sentence()]
    if (num_trained := facts["trained"]) < (num_all := facts["parameters"]):
        said.append(f"{facts['method']}: {num_trained:,} of {num_all:,} weights trained, {num_trained / num_all:.2%}")
    for sentence in said if world.is_main else ():
        run.say(sentence)
    return Begun(run, start, tuned, place, grown, facts, source, tuple(said))


def _source(run: Run, start: Start) -> Source | None:
    """The source of the saved model; files that nobody has asked for may be gone or unreadable."""
    finetune = run.config.finetune
    reason = "the files of the first training are gone. Name them by finetune.source=FILE."
    assert finetune is not None
    try:
        source = find_source(run.config, start)
    except DataError as error:
        if finetune.source is not None or finetune.replay:
            raise
        source, reason = None, str(error)
    if source is None and start.first.config.data.train is not None:
        run.say(f"What is forgotten is not measured: {reason}")
    return source


def remember(begun: Begun, saved: SavedModel) -> list[str]:
    """Measure what was forgotten, for the facts; sentences on the fine-tuning for the report.

    Args:
        begun: the run.
        saved: its model, trained.
    """
    if begun.source is None:
        return list(begun.said)
    first = begun.start.first
    again = brought_back(first, saved.model, begun.place, begun.grown)
    tag, before = measure(first, begun.source)
    pairs = zip(model_tensors(first.model).values(), model_tensors(again.model).values(), strict=True)
    after = before if all(torch.equal(*pair) for pair in pairs) else measure(again, begun.source)[1]
    if not (math.isfinite(before) and math.isfinite(after)):
        return list(begun.said)
    begun.facts["forgetting"] = {"source": begun.source.name, "metric": tag, "before": before, "after": after}
    sentence = f"On its source {begun.source.name}: {tag} {before:.4g} before the fine-tuning, {after:.4g} after."
    begun.run.say(sentence)
    return [*begun.said, sentence]


def changed(begun: Begun) -> dict[str, Tensor] | None:
    """What a method that leaves its base as it is has trained; None of the others. All processes ask together."""
    assert begun.run.config.finetune is not None
    if not isinstance(begun.model, Tuned) or begun.run.config.finetune.method.kind == "full":
        return None
    return adapter_tensors(begun.model)


def write_beside(begun: Begun, saved: SavedModel, tensors: dict[str, Tensor]) -> None:
    """Write the adapter beside the model."""
    run, options = begun.run, begun.run.config.finetune
    assert options is not None
    bases = [base for base in (begun.start.first, begun.start.backward) if base is not None]
    obstacle = ""
    if options.adapt_epochs:
        obstacle = (
            "the language model was adapted in full. Adapt it first (--task language-modelling), and start from it"
        )
    elif any(base.sha256 is None for base in bases):
        obstacle = "its base is an adapter itself. Make a plain model of that first (recurra merge), and start from it"
    if obstacle:
        run.say(f"No adapter is written, as {obstacle}.")
        return
    folder = run.out / "adapter"
    write_adapter(folder, saved, tensors, bases)
    size = sum(file.stat().st_size for file in folder.iterdir())
    run.say(f"adapter of {size / 1e6:.2f} MB in {folder}")


def _count_trained(model: nn.Module) -> int:
    return model.count() if isinstance(model, Tuned) else sum(weight.numel() for weight in model.parameters())


def _take_over(run: Run, world: World, start: Start, model: nn.Module, prepared: Prepared) -> Transfer:
    """Adapt the language models to the target's texts if asked, then take their encoders over."""
    config = run.config
    assert config.finetune is not None
    if start.is_same_task(config):
        return transfer(model_tensors(start.first.model), model, "", _grown(config, start.first, prepared))
    sources = {"forward": start.first} | ({} if start.backward is None else {"backward": start.backward})
    places = encoders(model)
    if places.keys() != sources.keys():
        raise ConfigError(
            f"the new model has room for {' and '.join(places) or 'no'} language models, and {' and '.join(sources)} "
            "are given: set model.forward_lm and model.backward_lm, or leave both to `recurra finetune`."
        )
    done = []
    for direction, saved in sources.items():
        grown = _grown(config, saved, prepared)
        if config.finetune.adapt_epochs:
            tensors = adapt(run, world, direction, saved, prepared, grown)
        else:
            tensors = model_tensors(saved.model)
        done.append(transfer(tensors, model, places[direction], grown))
    return reduce(Transfer.join, done)


def _grown(config: RunConfig, saved: SavedModel, prepared: Prepared) -> Grown:
    """The sizes of a saved model's vocabulary, and of the same one as the run has extended it."""
    old = saved.task.spec.input_size
    return Grown(old, prepared.task.spec.input_size if config.finetune and config.finetune.new_words else old)
