"""Checkpoints: folders of safetensors and JSON, written aside and renamed, so that a kill harms none.

`checkpoints/update-00000400` holds all that a run needs to go on bit for bit; `checkpoints/best-00000400` holds the
weights of the best evaluation. A folder's name is final the moment it is whole, and the one before is deleted after.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recurra.core.errors import ModelFileError
from recurra.core.files import write_folder
from recurra.training.distributed import full, like

TENSORS, VALUES = "tensors.safetensors", "values.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was stored: tensors by name, JSON values, and the folder."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    folder: Path

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix/`, without it."""
        return {name[len(prefix) + 1 :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix + "/")}


def write_checkpoint(folder: Path, stem: str, update: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> Path:
    """Write `folder/stem-update` and then delete older ones of that stem."""
    path = folder / f"{stem}-{update:08d}"

    def fill(building: Path) -> None:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, building / TENSORS)
        digest = hashlib.sha256((building / TENSORS).read_bytes()).hexdigest()
        (building / VALUES).write_text(json.dumps({"sha256": digest, "values": values}), encoding="utf-8")

    write_folder(path, fill)
    for older in list_checkpoints(folder, stem):
        if older != path:
            shutil.rmtree(older, ignore_errors=True)
    return path


def list_checkpoints(folder: Path, stem: str) -> list[Path]:
    """Whole checkpoints of a stem, oldest first."""
    pattern = re.compile(rf"{stem}-\d{{8}}")
    return sorted(path for path in folder.glob(f"{stem}-*") if pattern.fullmatch(path.name)) if folder.is_dir() else []


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and prove that it is whole.

    Raises:
        ModelFileError: a file is missing, cut short or altered.
    """
    mend = f"Delete {path} and resume: the run goes on from an older checkpoint, or from the start."
    try:
        stored = json.loads((path / VALUES).read_text(encoding="utf-8"))
        digest = hashlib.sha256((path / TENSORS).read_bytes()).hexdigest()
        if digest != stored["sha256"]:
            raise ModelFileError(f"{path / TENSORS}: damaged (its checksum is not the one that was stored). {mend}")
        return Checkpoint(load_file(path / TENSORS), stored["values"], path)
    except OSError as error:
        raise ModelFileError(f"{path}: incomplete: {error.filename} can't be read ({error.strerror}). {mend}") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelFileError(f"{path}: damaged ({error.__class__.__name__}: {error}). {mend}") from error


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; a tied weight stands once, under its first name."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = full(tensor.detach())
    return tensors


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Copy stored tensors into the model.

    Raises:
        ModelFileError: a name or shape does not match.
    """
    own = model.state_dict(keep_vars=True)
    wanted = set(model_tensors(model))
    missing, unknown = sorted(wanted - set(tensors)), sorted(set(tensors) - wanted)
    if missing or unknown:
        raise ModelFileError(
            f"{where}: the weights are of another model (missing {missing[:3] or 'none'}, unknown {unknown[:3] or 'none'})."
        )
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)} stored, {tuple(own[name].shape)} wanted"
            raise ModelFileError(f"{where}: `{name}` has another shape: {shapes}.")
        own[name].copy_(like(tensor, own[name]))


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter name|key` -> tensor."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}|{key}": full(value) if isinstance(value, Tensor) else torch.tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if value is not None
    }


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        owner, _, key = name.partition("|")
        parameter = parameters[owner]
        own_shape = tensor.shape == parameter.shape and key != "step"
        optimizer.state[parameter][key] = like(tensor, parameter) if own_shape else tensor
