"""What a run of the loop is given, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from recurra.core.batch import BatchStream, Task
from recurra.core.errors import ConfigError
from recurra.training.averaging import NonMonotoneConfig
from recurra.training.config import TrainingConfig
from recurra.training.distributed import World
from recurra.training.optimizer import BaseOptimizerConfig
from recurra.training.schedule import BaseScheduleConfig, PlateauConfig
from recurra.training.step import Objective

NO_METRIC = ("auto", "last")
"""Values of `training.monitor` that name no metric."""
LESS_IS_BETTER = (
    *("nats", "perplexity", "bpc", "ece", "hamming_loss", "mse", "mae", "rmse", "mse_scaled", "mae_scaled"),
    *("mape", "smape", "mase", "owa", "quantile_loss", "crps", "crps_scaled", "wql", "delay"),
)


@dataclass
class Progress:
    """How far a run is; part of every checkpoint."""

    update: int = 0
    epoch: int = 0
    tag: str = ""
    best_value: float | None = None
    best_update: int = 0
    history: list[float] = field(default_factory=list)
    seconds: float = 0.0
    core_seconds: float = 0.0
    stopped_early: bool = False


Observer = Callable[[Progress, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the loop needs.

    Attributes:
        model: on the world's device.
        layer_groups: gives the model's parameters from input to output; called once the model is shared out.
        task: the loss and the metrics.
        train: the batches to learn from.
        valid: None trains without evaluation and keeps the last weights.
        optimizer: with everything that happens to a gradient.
        schedule: of the learning rate.
        training: how long, how often.
        world: the processes.
        folder: where metrics and checkpoints go.
        resume: go on from the newest checkpoint there.
        quiet: no progress bar.
        say: where sentences for the person who waits go.
        objective: what a batch costs; None: the task's loss.
        observer: called after each evaluation with how far the run is and the metrics; what it raises ends the run.
    """

    model: nn.Module
    layer_groups: Callable[[], list[list[nn.Parameter]]]
    task: Task
    train: BatchStream
    valid: BatchStream | None
    optimizer: BaseOptimizerConfig
    schedule: BaseScheduleConfig
    training: TrainingConfig
    world: World
    folder: Path
    resume: bool = False
    quiet: bool = False
    say: Callable[[str], None] = print
    objective: Objective | None = None
    observer: Observer | None = None


def monitor_of(task: Task, training: TrainingConfig) -> tuple[str, bool]:
    """The tag of the metric that chooses the best weights, and whether less of it is better."""
    tag, mode = task.monitor
    chosen = training.monitor
    return (tag, mode == "min") if chosen in (*NO_METRIC, tag) else (chosen, chosen in LESS_IS_BETTER)


def require_validation(job: Job) -> None:
    """Check that no option waits for evaluations that never come.

    Raises:
        ConfigError: names the option.
    """
    training = job.training
    waiting = {
        "training.monitor": training.monitor not in NO_METRIC,
        "training.patience": training.patience > 0,
        # where the weights of the end are kept, evaluations are there to be looked at
        "training.evaluate_every": training.evaluate_every > 0 and training.monitor != "last",
        "schedule.kind=plateau": isinstance(job.schedule, PlateauConfig),
        "training.average=non-monotone": isinstance(training.average, NonMonotoneConfig),
    }
    for option, is_set in waiting.items():
        if is_set and job.valid is None:
            raise ConfigError(
                f"`{option}` needs validation data, and there is none. Give --data.valid FILE or data.valid_fraction."
            )
