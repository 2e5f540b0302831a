"""How a run begins from a saved model: adapt it to the new texts, take its weights over, choose what is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from torch import Tensor, nn

from recurra.core.errors import ConfigError, DataError
from recurra.core.seeding import seed_everything
from recurra.data import Splits, TokenCorpus
from recurra.finetuning import Grown, Transfer, Tuned, adapter_tensors, encoders, transfer, tune
from recurra.models import MODELS
from recurra.runs.adapter import write_adapter
from recurra.runs.config import RunConfig
from recurra.runs.forgetting import Source, brought_back, find_source, make_replay, measure
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, best_tensors, make_loop
from recurra.runs.start import Start
from recurra.tasks import LanguageModelling, Prepared, documents
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
    """

    run: Run
    start: Start
    model: nn.Module
    place: str
    grown: Grown
    facts: dict[str, Any]
    source: Source | None


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
    facts = {
        "method": config.finetune.method.kind,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "trained": _count_trained(tuned),
        "taken_over": taken.matched,
        "new": taken.new,
        "left_behind": taken.dropped,
        "new_words": grown.new - grown.old,
    }
    if world.is_main:
        run.say(taken.sentence())
        if facts["trained"] < facts["parameters"]:
            share = facts["trained"] / facts["parameters"]
            run.say(f"{facts['method']}: {facts['trained']:,} of {facts['parameters']:,} weights trained, {share:.2%}")
    return Begun(run, start, tuned, place, grown, facts, source)


def _source(run: Run, start: Start) -> Source | None:
    """The source of the saved model; files that nobody has asked for may be gone or unreadable."""
    finetune = run.config.finetune
    assert finetune is not None
    try:
        return find_source(run.config, start)
    except DataError as error:
        if finetune.source is not None or finetune.replay:
            raise
        run.say(f"forgetting is not measured: {error}")
        return None


def remember(begun: Begun, saved: SavedModel) -> list[str]:
    """Measure what was forgotten, for the facts; sentences on it.

    Args:
        begun: the run.
        saved: its model, trained.
    """
    if begun.source is None:
        return []
    first = begun.start.first
    tag, before = measure(first, begun.source)
    after = measure(brought_back(first, saved.model, begun.place, begun.grown), begun.source)[1]
    if not (math.isfinite(before) and math.isfinite(after)):
        return []
    begun.facts["forgetting"] = {"source": begun.source.name, "metric": tag, "before": before, "after": after}
    sentence = f"On its source {begun.source.name}: {tag} {before:.4g} before the fine-tuning, {after:.4g} after."
    begun.run.say(sentence)
    return [sentence]


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
    if options.adapt_epochs:
        run.say(
            "No adapter is written, as the language model was adapted in full. Fine-tune it with --task "
            "language-modelling first, and start from that."
        )
        return
    bases = [base for base in (begun.start.first, begun.start.backward) if base is not None]
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
            tensors = _adapt(run, world, direction, _with_vocabulary(saved, prepared, grown), prepared)
        else:
            tensors = model_tensors(saved.model)
        done.append(transfer(tensors, model, places[direction], grown))
    return reduce(Transfer.join, done)


def _grown(config: RunConfig, saved: SavedModel, prepared: Prepared) -> Grown:
    """The sizes of a saved model's vocabulary, and of the same one as the run has extended it."""
    old = saved.task.spec.input_size
    return Grown(old, prepared.task.spec.input_size if config.finetune and config.finetune.new_words else old)


def _with_vocabulary(saved: SavedModel, prepared: Prepared, grown: Grown) -> SavedModel:
    """A language model with the longer vocabulary of the new task, where it is longer."""
    if grown.old == grown.new:
        return saved
    assert isinstance(saved.task, LanguageModelling)
    task = LanguageModelling(saved.task.config, prepared.task.vocabulary)  # type: ignore[attr-defined]
    model = MODELS[saved.config.model.kind](saved.config.model, task.spec)
    transfer(model_tensors(saved.model), model, "", grown)
    return SavedModel(saved.config, task, model, {})


def _adapt(run: Run, world: World, direction: str, start: SavedModel, prepared: Prepared) -> dict[str, Tensor]:
    """A language model's weights after training on the target's texts (ULMFiT, second stage)."""
    config, task = run.config, start.task
    assert config.finetune is not None and isinstance(task, LanguageModelling)
    training = start.config.training.model_copy(
        update={
            "epochs": config.finetune.adapt_epochs,
            "max_updates": None,
            "device": config.training.device,
            "strategy": config.training.strategy,
            "evaluate_every": 0,
            "monitor": "auto",
            "patience": 0,
        }
    )
    optimizer = start.config.optimizer.model_copy(
        update={"learning_rate": config.finetune.adapt_learning_rate, "discriminative": 2.6}
    )
    adapted = start.config.model_copy(update={"training": training, "optimizer": optimizer, "seed": config.seed})
    train, valid = (
        None if part is None else task.directed(_as_documents(part, task.vocabulary.eos_index))
        for part in (prepared.splits.train, prepared.splits.valid)
    )
    stage = Prepared(task=task, splits=Splits(train, valid, None), notes=())
    folder = run.out / ("adapt" if direction == "forward" else f"adapt-{direction}")
    folder.mkdir(exist_ok=True)
    inner = Run(config=adapted, out=folder, resume=run.resume, quiet=run.quiet, say=run.say)
    progress = make_loop(inner, world, start.model.train(), stage).run()
    if world.is_main:
        found = "" if progress.best_value is None else f": {progress.tag} {progress.best_value:.4f}"
        run.say(f"{direction} language model adapted to the texts{found}")
    seed_everything(config.seed)
    return best_tensors(folder, progress)


def _as_documents(examples: list[Any], eos_index: int) -> TokenCorpus:
    """The texts of labelled examples, without the eos around them, as documents of running text."""
    return documents([np.asarray(example.tokens[1:-1]) for example in examples], eos_index)
