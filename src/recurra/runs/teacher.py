"""The trained model that a run learns from, and whether it fits it."""

from __future__ import annotations

from recurra.core.errors import ConfigError
from recurra.runs.config import RunConfig
from recurra.runs.loading import load
from recurra.runs.saved import SavedModel


def load_teacher(config: RunConfig) -> SavedModel | None:
    """The teacher, if the run has one.

    Raises:
        ConfigError: it is of another task, or knows other words, labels or columns.
    """
    if config.distill is None:
        return None
    teacher = load(config.distill.teacher)
    own, other = config.task.kind, teacher.config.task.kind
    if own != other:
        raise ConfigError(
            f"{config.distill.teacher}: a {other} model, and this run is for {own}: a teacher must be of the same task."
        )
    if getattr(config.task, "vocabulary", None) != getattr(teacher.config.task, "vocabulary", None):
        raise ConfigError("`task.vocabulary` is that of the teacher, and can't be changed: leave it away.")
    if getattr(getattr(config.task, "objective", None), "kind", "likelihood") != "likelihood":
        raise ConfigError("`task.objective`: with a teacher it must be likelihood.")
    return teacher
