"""The second stage of ULMFiT: a language model goes on with the texts of the new task, before that is learnt.

Source: Howard and Ruder (2018), section 3.2, https://arxiv.org/abs/1801.06146.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from recurra.core.seeding import seed_everything
from recurra.data import Splits, TokenCorpus
from recurra.finetuning import Grown, transfer
from recurra.models import MODELS
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, best_tensors, make_loop
from recurra.tasks import LanguageModelling, Prepared, documents
from recurra.training import World
from recurra.training.checkpoint import model_tensors


def adapt(
    run: Run, world: World, direction: str, start: SavedModel, prepared: Prepared, grown: Grown
) -> dict[str, Tensor]:
    """A language model's weights after training on the target's texts.

    Args:
        run: the run that it is a stage of.
        world: the processes.
        direction: in which the language model reads.
        start: the language model, which stays as it is.
        prepared: the data of the run.
        grown: sizes of its vocabulary.
    """
    config, task = run.config, start.task
    assert config.finetune is not None and isinstance(task, LanguageModelling)
    if grown.new > grown.old:
        task = LanguageModelling(task.config, prepared.task.vocabulary)  # type: ignore[attr-defined]
    model = MODELS[start.config.model.kind](start.config.model, task.spec)
    transfer(model_tensors(start.model), model, "", grown)
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
    progress = make_loop(inner, world, model, stage).run()
    if world.is_main:
        found = "" if progress.best_value is None else f": {progress.tag} {progress.best_value:.4f}"
        run.say(f"{direction} language model adapted to the texts{found}")
    seed_everything(config.seed)
    return best_tensors(folder, progress)


def _as_documents(examples: list[Any], eos_index: int) -> TokenCorpus:
    """The texts of labelled examples, without the eos around them, as documents of running text."""
    return documents([np.asarray(example.tokens[1:-1]) for example in examples], eos_index)
