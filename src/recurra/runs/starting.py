"""How a run begins from a saved model: adapt it to the new texts, take its weights over, choose what is trained."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from torch import Tensor, nn

from recurra.core.errors import ConfigError
from recurra.core.seeding import seed_everything
from recurra.data import Splits, TokenCorpus
from recurra.finetuning import Transfer, Tuned, encoders, transfer, tune
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, best_tensors, make_loop
from recurra.runs.start import Start
from recurra.tasks import LanguageModelling, Prepared, documents
from recurra.training import World
from recurra.training.checkpoint import load_model_tensors, model_tensors


def begin(run: Run, world: World, start: Start, model: nn.Module, prepared: Prepared) -> nn.Module:
    """Give a model the weights to start from; the model as it is to be trained, itself or inside a `Tuned`."""
    assert run.config.finetune is not None
    taken = _take_over(run, world, start, model, prepared)
    if world.is_main:
        run.say(taken.sentence())
    tuned = tune(model, run.config.finetune.method, taken.new)
    if isinstance(tuned, Tuned) and world.is_main:
        all_of = sum(weight.numel() for weight in model.parameters())
        kind = run.config.finetune.method.kind
        run.say(
            f"{kind}: {tuned.count():,} numbers are trained, {tuned.count() / all_of:.2%} of the model's {all_of:,}"
        )
    return tuned


def _take_over(run: Run, world: World, start: Start, model: nn.Module, prepared: Prepared) -> Transfer:
    """Adapt the language models to the target's texts if asked, then take their encoders over."""
    config = run.config
    assert config.finetune is not None
    if start.is_same_task(config):
        tensors = model_tensors(start.first.model)
        load_model_tensors(model, tensors, config.finetune.start)
        return Transfer(list(tensors), [], [])
    sources = {"forward": start.first} | ({} if start.backward is None else {"backward": start.backward})
    places = encoders(model)
    if places.keys() != sources.keys():
        raise ConfigError(
            f"the new model has room for {' and '.join(places) or 'no'} language models, and {' and '.join(sources)} "
            "are given: set model.forward_lm and model.backward_lm, or leave both to `recurra finetune`."
        )
    done = []
    for direction, saved in sources.items():
        adapts = config.finetune.adapt_epochs
        tensors = _adapt(run, world, direction, saved, prepared) if adapts else model_tensors(saved.model)
        done.append(transfer(tensors, model, places[direction]))
    return reduce(Transfer.join, done)


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
