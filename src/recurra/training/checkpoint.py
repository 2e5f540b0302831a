"""Checkpoints: folders of safetensors and JSON, written aside and renamed, so that a kill harms none.

`checkpoints/update-00000400` holds all that a run needs to go on bit for bit; `checkpoints/best-00000400` holds the
weights of the best evaluation. A folder's name is final the moment it is whole. An older one is deleted after the newer
`update` is whole, so that the best weights which a checkpoint speaks of are always there.
"""

from __future__ import annotations

import hashlib
import json
import os
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
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was stored: tensors by name, JSON values, and the folder."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    folder: Path

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix/`, without it."""
        return {
            name[len(prefix) + 1 :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix + "/")
        }


def checkpoint_path(folder: Path, stem: str, update: int) -> Path:
    """Where the checkpoint of an update stands."""
    return folder / f"{stem}-{update:08d}"


def write_checkpoint(folder: Path, stem: str, update: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> Path:
    """Write `folder/stem-update`; others stay until `keep_only`."""
    path = checkpoint_path(folder, stem, update)

    def fill(building: Path) -> None:
        stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_tensors(building / TENSORS, stored)
        described = {"format": FORMAT, "sha256": _digest(building / TENSORS, values), "values": values}
        (building / VALUES).write_text(json.dumps(described), encoding="utf-8")

    write_folder(path, fill)
    return path


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file; a full disk is an OSError, as for every other file."""
    try:
        save_file(tensors, path, {"format": "pt"})
    except SafetensorError as error:
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error
        raise


def keep_only(folder: Path, stem: str, update: int) -> None:
    """Delete the other checkpoints of a stem, and what a kill left half written."""
    kept = checkpoint_path(folder, stem, update)
    leftovers = folder.glob(f".{stem}-*")
    for path in (*leftovers, *list_checkpoints(folder, stem)):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)


def list_checkpoints(folder: Path, stem: str) -> list[Path]:
    """Whole checkpoints of a stem, oldest first."""
    pattern = re.compile(rf"{stem}-\d{{8,}}")
    found = [path for path in folder.glob(f"{stem}-*") if pattern.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and prove that it is whole.

    Raises:
        ModelFileError: a file is missing, cut short or altered.
    """
    mend = f"Delete the folder {path.parent} and resume: the run starts over, with the same numbers."
    try:
        stored = json.loads((path / VALUES).read_text(encoding="utf-8"))
        values = stored["values"]
        if stored["format"] != FORMAT:
            raise ModelFileError(f"{path}: of format {stored['format']}, and this version reads {FORMAT}. {mend}")
        if _digest(path / TENSORS, values) != stored["sha256"]:
            raise ModelFileError(f"{path}: damaged: its checksum is not the one that was stored. {mend}")
        return Checkpoint(load_file(path / TENSORS), values, path)
    except OSError as error:
        missing = error.filename or path
        raise ModelFileError(
            f"{missing}: can't be read ({error.strerror}); the checkpoint is damaged. {mend}"
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelFileError(f"{path}: damaged ({error.__class__.__name__}: {error}). {mend}") from error


def _digest(tensors: Path, values: dict[str, Any]) -> str:
    """One checksum of both files."""
    with tensors.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(values).encode())
    return digest.hexdigest()


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
        found = f"missing {missing[:3] or 'none'}, unknown {unknown[:3] or 'none'}"
        raise ModelFileError(f"{where}: the weights are of another model ({found}).")
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)} stored, {tuple(own[name].shape)} wanted"
            raise ModelFileError(f"{where}: `{name}` has another shape: {shapes}.")
        own[name].copy_(like(tensor, own[name]))


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter name|key` -> tensor."""
    return {
        f"{name}|{key}": full(value) if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        owner, _, key = name.partition("|")
        parameter = parameters[owner]
        if key == "step":
            # A fused optimizer wants its counter beside the weights, another one on the CPU.
            tensor = tensor.to(parameter.device) if optimizer.defaults.get("fused") else tensor
        else:
            tensor = like(tensor, parameter)
        optimizer.state[parameter][key] = tensor
