"""Whether two trained models read the same inputs and mean the same by their outputs."""

from __future__ import annotations

from typing import Any

from recurra.core.errors import ConfigError
from recurra.runs.saved import SavedModel
from recurra.tasks import FileTask

_TRAINING_ALONE = ("label_smoothing", "augmentation", "class_weights", "length_jitter", "normalised_loss", "search")
"""Options of tasks that say how a model is trained or searched with, not what its numbers mean."""
_OWN = ("counts", "columns", "residuals", "recalibration", "threshold", "histories")
"""What a task's files hold of one training alone."""


def require_alike(first: SavedModel, other: SavedModel, names: tuple[str, str]) -> None:
    """Check that the predictions of two models can be put together.

    Args:
        first: a model.
        other: another one.
        names: what to call them.
    Raises:
        ConfigError: names the option or the file that differs.
    """
    require_same_task(first.config.task, other.config.task, names)
    require_same_words(first.task, other.task, names)


def require_same_task(one: Any, two: Any, names: tuple[str, str]) -> None:
    """Check that predictions by two tasks' options mean the same.

    Raises:
        ConfigError: names the option that differs.
    """
    if one.kind != two.kind:
        raise ConfigError(f"{names[0]} is for {one.kind} and {names[1]} for {two.kind}: models of one task are wanted.")
    options, others = (task.model_dump(exclude=set(_TRAINING_ALONE)) for task in (one, two))
    for option, value in options.items():
        if value != others[option]:
            raise ConfigError(
                f"task.{option} is {value} in {names[0]} and {others[option]} in {names[1]}, so that their predictions "
                "do not mean the same. Give both the same."
            )


def require_same_words(first: FileTask, other: FileTask, names: tuple[str, str]) -> None:
    """Check that two tasks of one kind were fitted alike: vocabularies, labels, columns, scales.

    Raises:
        ConfigError: names the file that differs.
    """
    own, others = first.files(), other.files()
    differing = [name for name in sorted({*own, *others}) if _shared(own.get(name)) != _shared(others.get(name))]
    if differing:
        what = differing[0].removesuffix(".json").replace("-", " ")
        raise ConfigError(
            f"{names[0]} and {names[1]} have not the same {what} (model/{differing[0]} differs): they were fitted on "
            "other training data. Train them on the same files, with the same parts held out (--data.valid FILE, or "
            "the same data.split_seed)."
        )


def _shared(value: Any) -> Any:
    """Without what belongs to one training alone."""
    if isinstance(value, dict):
        return {name: _shared(part) for name, part in value.items() if name not in _OWN}
    return value
