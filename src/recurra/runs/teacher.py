"""The trained model that a run learns from, and whether it fits it."""

from __future__ import annotations

from recurra.core.errors import ConfigError
from recurra.runs.alike import require_same_task
from recurra.runs.config import RunConfig
from recurra.runs.loading import load
from recurra.runs.saved import SavedModel


def load_teacher(config: RunConfig) -> SavedModel | None:
    """The teacher, if the run has one.

    Raises:
        ConfigError: it is of another task, or of one with other options.
    """
    if config.distill is None:
        return None
    teacher = load(config.distill.teacher)
    require_same_task(config.task, teacher.config.task, ("this run", config.distill.teacher))
    if getattr(getattr(config.task, "objective", None), "kind", "likelihood") != "likelihood":
        raise ConfigError("`task.objective`: with a teacher it must be likelihood.")
    return teacher
