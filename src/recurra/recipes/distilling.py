"""The config of a model that learns from a trained one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.core.errors import ConfigError
from recurra.models import EnsembleConfig
from recurra.runs import RunConfig, override
from recurra.runs.distilling import DistillConfig


def distill_recipe(
    teacher: str, trained: RunConfig, student: RunConfig | None, overrides: Mapping[str, Any]
) -> RunConfig:
    """Task and data of the teacher, model and training of the student.

    Args:
        teacher: folder of the trained model.
        trained: its config.
        student: what is to learn; None: a model like the teacher's first member, or like the teacher.
        overrides: dotted options.
    Raises:
        ConfigError: the student is for another task; an unknown option.
    """
    if student is not None and student.task.kind != trained.task.kind:
        raise ConfigError(
            f"{teacher} is for {trained.task.kind}, and the student for {student.task.kind}: a teacher must be of the "
            "same task."
        )
    config = trained if student is None else student
    model = config.model.members[0] if isinstance(config.model, EnsembleConfig) else config.model
    own_data = student is not None and student.data.train is not None
    changes = {
        "model": model,
        "task": trained.task,
        "data": config.data if own_data else trained.data,
        "finetune": None if student is None else student.finetune,
        "distill": DistillConfig(teacher=teacher),
    }
    return override(config.model_copy(update=changes), overrides)
