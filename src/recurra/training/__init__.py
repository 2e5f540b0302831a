"""Floor 3: the one training loop and what it is made of."""

from recurra.training.averaging import AVERAGES, AverageConfig
from recurra.training.config import TrainingConfig
from recurra.training.distributed import World, start_world, stop_world
from recurra.training.evaluation import evaluate, run_over
from recurra.training.interrupt import InterruptedRun
from recurra.training.job import Job, Observer, Progress, monitor_of
from recurra.training.logs import read_metrics
from recurra.training.loop import Loop
from recurra.training.optimizer import OPTIMIZERS, OptimizerConfig
from recurra.training.schedule import SCHEDULES, ScheduleConfig
from recurra.training.step import Cost, Objective

__all__ = [
    "AVERAGES",
    "OPTIMIZERS",
    "SCHEDULES",
    "AverageConfig",
    "Cost",
    "InterruptedRun",
    "Job",
    "Loop",
    "Objective",
    "Observer",
    "OptimizerConfig",
    "Progress",
    "ScheduleConfig",
    "TrainingConfig",
    "World",
    "evaluate",
    "monitor_of",
    "read_metrics",
    "run_over",
    "start_world",
    "stop_world",
]
