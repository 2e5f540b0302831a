"""A run, and a stage of it: one pass of the training loop over one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from recurra.core.seeding import seed_everything
from recurra.data import Shard
from recurra.runs.config import RunConfig
from recurra.tasks import Prepared, StreamOptions
from recurra.training import Job, Loop, Objective, Observer, Progress, World
from recurra.training.checkpoint import checkpoint_path, read_checkpoint

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run at work.

    Attributes:
        config: all options.
        out: its folder.
        resume: go on with what is there.
        quiet: no progress bar.
        say: where sentences for the person who waits go.
        observer: called after each evaluation of the training; what it raises ends the run.
        prepared: the data, where they are read and encoded already.
    """

    config: RunConfig
    out: Path
    resume: bool = False
    quiet: bool = False
    say: Say = print
    observer: Observer | None = None
    prepared: Prepared | None = None


def make_loop(run: Run, world: World, model: nn.Module, prepared: Prepared, objective: Objective | None = None) -> Loop:
    """The loop over a model and the data of a run; with an objective where that is not the task's loss."""
    config, task, splits = run.config, prepared.task, prepared.splits
    model.to(world.device)
    if world.rank > 0:
        # Weights are those of the main process; dropout must not be.
        seed_everything(config.seed + 1_000_003 * world.rank)
    options = StreamOptions(
        batch_size=config.training.batch_size,
        length=config.training.tbptt_length,
        seed=config.seed,
        shuffle=True,
        shard=Shard(world.rank, world.size),
    )
    job = Job(
        model=model,
        layer_groups=model.layer_groups,  # type: ignore[arg-type]
        task=task,
        train=task.stream(splits.train, options),
        valid=None if splits.valid is None else task.stream(splits.valid, for_evaluation(config)),
        optimizer=config.optimizer,
        schedule=config.schedule,
        training=config.training,
        world=world,
        folder=run.out,
        resume=run.resume,
        quiet=run.quiet,
        say=run.say if world.is_main else lambda _: None,
        objective=objective,
        observer=run.observer,
    )
    return Loop(job)


def for_evaluation(config: RunConfig) -> StreamOptions:
    """How a split is read to be measured."""
    rows = config.training.batch_size
    return StreamOptions(batch_size=rows, length=max(config.training.tbptt_length, 128), seed=0, shuffle=False)


def best_tensors(folder: Path, progress: Progress) -> dict[str, Tensor]:
    """The best weights of a run of the loop."""
    return read_checkpoint(checkpoint_path(folder / "checkpoints", "best", progress.best_update)).tensors
