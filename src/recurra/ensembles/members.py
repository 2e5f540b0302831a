"""The models that an ensemble is made of: finished runs, saved models, and the snapshots of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recurra.core.errors import ConfigError
from recurra.finetuning import of_model
from recurra.models import MODELS, EnsembleConfig
from recurra.runs import SavedModel, load
from recurra.runs.alike import require_alike
from recurra.training.checkpoint import list_checkpoints, load_model_tensors, read_checkpoint


class Member(NamedTuple):
    """A trained model, and what it is called."""

    name: str
    saved: SavedModel


def read_members(paths: Sequence[str]) -> list[Member]:
    """The models of folders; a run that kept snapshots gives these in the place of its best weights.

    Raises:
        ConfigError: fewer than two, one twice, or such that don't fit each other.
        ModelFileError: a folder holds no whole model.
    """
    seen: dict[Path, str] = {}
    members: list[Member] = []
    for path in paths:
        if (place := Path(path).resolve()) in seen:
            raise ConfigError(f"{path} is named twice. Name each member once.")
        seen[place] = path
        members += _read(path)
    if len(members) < 2:
        raise ConfigError(
            "an ensemble needs at least two models: name two runs or more, or one trained with "
            "training.average=snapshots."
        )
    for member in members[1:]:
        require_alike(members[0].saved, member.saved, (members[0].name, member.name))
    return members


def _read(path: str) -> list[Member]:
    saved = load(path)
    if isinstance(saved.config.model, EnsembleConfig):
        raise ConfigError(f"{path}: an ensemble itself. Name the runs that it was made of.")
    snapshots = list_checkpoints(Path(path) / "checkpoints", "snapshot")
    if not snapshots:
        return [Member(path, saved)]
    return [Member(f"{path}/{found.name}", _snapshot(saved, found)) for found in snapshots]


def _snapshot(saved: SavedModel, path: Path) -> SavedModel:
    """The model of a run as it was when a snapshot was taken."""
    model = MODELS[saved.config.model.kind](saved.config.model, saved.task.spec)
    load_model_tensors(model, of_model(read_checkpoint(path).tensors), str(path))
    return SavedModel(saved.config, saved.task, model, {"training": {"seed": saved.config.seed}})
