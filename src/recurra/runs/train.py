"""From a RunConfig to a saved model: prepare the data, build, train, evaluate, compare, write the folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import nn

from recurra.core.batch import Batch, Choosing, Counting
from recurra.core.errors import ConfigError, RecurraError
from recurra.core.seeding import seed_everything
from recurra.finetuning import Tuned, of_model
from recurra.models import MODELS, EnsembleConfig
from recurra.runs.alike import require_same_words
from recurra.runs.conclude import conclude
from recurra.runs.config import RunConfig
from recurra.runs.distilling import Distilling
from recurra.runs.folder import discard_unbegun, open_folder, require_same_data
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, best_tensors, for_evaluation, make_loop
from recurra.runs.start import Start, load_start
from recurra.runs.starting import Begun, begin, changed, remember, write_beside
from recurra.runs.teacher import load_teacher
from recurra.runs.writing import with_written
from recurra.tasks import TASKS, Preparation, Prepared
from recurra.training import Objective, Progress, World, start_world, stop_world
from recurra.training.checkpoint import list_checkpoints, load_model_tensors

R = TypeVar("R")


class Learnt(NamedTuple):
    """What the training leaves: the model with its best weights, the data, how far it went, and what is to be said."""

    model: nn.Module
    prepared: Prepared
    progress: Progress
    notes: list[str]
    begun: Begun | None


def train(run: Run) -> SavedModel:
    """Train, evaluate and save; the best model, loaded.

    Raises:
        RecurraError: anything about options, data or folders that keeps the run from going on.
        InterruptedRun: Ctrl-C or SIGTERM; the run is saved and can be resumed.
    """
    return _in_world(run, _train)


def rehearse(run: Run) -> Progress:
    """Train, and leave it at that: no other evaluation than those of the training, no baselines, no saved model.

    Raises:
        RecurraError: as `train`, and what `run.observer` raises.
    """
    return _in_world(run, _learn).progress


def prepare(run: Run) -> Prepared:
    """Read and encode the data of a run.

    Raises:
        RecurraError: about options or data.
    """
    world = start_world(run.config.training.device)
    try:
        seed_everything(run.config.seed)
        return _prepare(run, world, load_start(run.config), load_teacher(run.config))
    finally:
        stop_world()


def _in_world(run: Run, action: Callable[[Run, World, Start | None], R]) -> R:
    """Act among the processes of the run, in its folder; the folder is free again if nothing begins."""
    if isinstance(run.config.model, EnsembleConfig):
        raise ConfigError(
            "an ensemble is not trained: train its members, or a new model on what it says (recurra distill)."
        )
    world = start_world(run.config.training.device)
    try:
        start = load_start(run.config)
        _once(world, lambda: open_folder(run.out, run.config, run.resume))
        try:
            return action(run, world, start)
        except Exception:
            if world.is_main and not run.resume:
                discard_unbegun(run.out)
            raise
    finally:
        stop_world()


def _once(world: World, action: Callable[[], None]) -> None:
    """Act in the main process alone; what keeps it from doing so is raised in all of them."""
    fault = None
    if world.is_main:
        try:
            action()
        except RecurraError as error:
            fault = error
    if (fault := world.agree(fault)) is not None:
        raise fault


def _train(run: Run, world: World, start: Start | None) -> SavedModel:
    config, learnt = run.config, _learn(run, world, start)
    model, prepared, begun = learnt.model, learnt.prepared, learnt.begun
    parts = None if begun is None else changed(begun)
    if world.size > 1:
        model = MODELS[config.model.kind](config.model, prepared.task.spec)
        load_model_tensors(model, of_model(best_tensors(run.out, learnt.progress)), str(run.out))
    saved = SavedModel(config, prepared.task, model.to(world.device), {})
    if world.is_main:
        remembered = [] if begun is None else remember(begun, saved)
        more = {} if begun is None else {"finetuning": begun.facts}
        conclude(run, saved, prepared, learnt.progress, [*learnt.notes, *remembered], more)
        if begun is not None and parts is not None:
            write_beside(begun, saved, parts)
        run.say(f"saved in {run.out / 'model'}; report: {run.out / 'report.html'}")
    return saved


def _learn(run: Run, world: World, start: Start | None) -> Learnt:
    config = run.config
    seed_everything(config.seed)
    say = run.say if world.is_main else lambda _: None
    teacher = load_teacher(config)
    prepared = run.prepared or _prepare(run, world, start, teacher)
    _once(world, lambda: require_same_data(run.out, prepared.task.files()))
    for note in prepared.notes:
        say(note)
    model = MODELS[config.model.kind](config.model, prepared.task.spec)
    begun = None if start is None else begin(run, world, start, model, prepared)
    trained = model if begun is None else begun.model
    say(f"{config.model.kind}: {sum(p.numel() for p in model.parameters()):,} parameters on {world.device}")
    _require_accepted(model, prepared, config)
    if isinstance(model, Counting):
        model.count(_batches(prepared, prepared.splits.train, config))
    objective = _objective(config, world, prepared, teacher)
    loop = make_loop(run, world, trained, _to_learn(run, world, prepared, teacher), objective)
    if run.resume:
        found = list_checkpoints(run.out / "checkpoints", "update")
        say(f"going on from {found[-1]}" if found else f"{run.out} holds no checkpoint yet: starting over")
    progress = loop.run()
    best = trained.finish() if isinstance(trained, Tuned) else model
    return Learnt(best, prepared, progress, loop.notes, begun)


def _to_learn(run: Run, world: World, prepared: Prepared, teacher: SavedModel | None) -> Prepared:
    """The data, with what the teacher writes itself where that is asked for."""
    config = run.config
    if teacher is None or config.distill is None or not config.distill.written:
        return prepared
    if world.is_main:
        run.say(f"the teacher writes {config.distill.written:,} tokens")
    return with_written(prepared, teacher, config.distill.written, config.seed, _cache(run, world))


def _cache(run: Run, world: World) -> Path:
    """A folder of this process for what does not fit into memory, or is made once."""
    return run.out / ("cache" if world.is_main else f"cache-{world.rank}")


def _objective(config: RunConfig, world: World, prepared: Prepared, teacher: SavedModel | None) -> Objective | None:
    """What is trained for beside the task's loss."""
    if teacher is None or config.distill is None:
        return None
    require_same_words(prepared.task, teacher.task, ("this run", config.distill.teacher))
    return Distilling(prepared.task, teacher.model.to(world.device), config.distill)


def _require_accepted(model: nn.Module, prepared: Prepared, config: RunConfig) -> None:
    """Show a model that can't read everything what it will be evaluated on, before it is trained for nothing."""
    if not isinstance(model, Choosing):
        return
    for split in (prepared.splits.valid, prepared.splits.test):
        for batch in _batches(prepared, split, config):
            model.require(batch.inputs)


def _batches(prepared: Prepared, split: Any, config: RunConfig) -> Iterator[Batch]:
    """The batches of a split, if there is one, in the order of its files."""
    stream = None if split is None else prepared.task.stream(split, for_evaluation(config))
    while stream is not None and (batch := stream.next_batch()) is not None:
        yield batch


def _fitted(start: Start | None, teacher: SavedModel | None) -> Any:
    """The task whose vocabularies and labels are kept: that of the model to go on from, else of the teacher."""
    first = teacher if start is None else start.first
    return None if first is None else first.task


def _prepare(run: Run, world: World, start: Start | None, teacher: SavedModel | None) -> Prepared:
    same = start is not None and start.is_same_task(run.config)
    given = Preparation(
        data=run.config.data,
        seed=run.config.split_seed,
        cache=_cache(run, world),
        pretrained=None if start is None or same else start.vocabulary,
        fitted=_fitted(start if same else None, teacher),
        new_words=0 if run.config.finetune is None else run.config.finetune.new_words,
    )
    prepared: Prepared = TASKS[run.config.task.kind].prepare(run.config.task, given)
    return prepared
