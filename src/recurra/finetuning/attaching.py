"""What a fine-tuning changed as tensors, and a model that is put together of them and of shared ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra.core.config import Config
from recurra.core.errors import ModelFileError
from recurra.finetuning.low_rank import LowRank
from recurra.finetuning.methods import LoRAConfig
from recurra.finetuning.transfer import extended, own_tensors
from recurra.finetuning.tuned import Tuned, matrices, places_of
from recurra.training.distributed import full

_CHANGE, _TENSOR = "change/", "tensor/"


def adapter_tensors(tuned: Tuned) -> dict[str, Tensor]:
    """All that was trained, and what the training changed otherwise, such as the statistics of a normalisation."""
    found: dict[str, Tensor] = {}
    for key, change in tuned.changes.items():
        found |= {f"{_CHANGE}{key.replace('/', '.')}/{name}": full(part) for name, part in change.named_parameters()}
    for name, tensor in own_tensors(tuned.plain).items():
        if name in tuned.trained or not isinstance(tensor, nn.Parameter):
            found[_TENSOR + name] = full(tensor.detach())
    return found


@torch.no_grad()
def attach(model: nn.Module, shared: Mapping[str, Tensor], stored: Mapping[str, Tensor], method: Config) -> None:
    """Give a new model the shared tensors, and in the place of those that were trained its own.

    Args:
        model: where they go; it then holds the very parameters that are shared.
        shared: by the model's names, tensors of the base; rows for new words are added as they were for the training.
        stored: what `adapter_tensors` gave.
        method: by which it was trained.
    Raises:
        ModelFileError: the tensors do not fit the model.
    """
    own, kinds = own_tensors(model), matrices(model)
    changed = {name.removeprefix(_CHANGE).rpartition("/")[0] for name in stored if name.startswith(_CHANGE)}
    known = {*shared, *(name.removeprefix(_TENSOR) for name in stored if name.startswith(_TENSOR))}
    if unknown := sorted({*changed, *known} - own.keys() | (own.keys() - known)):
        raise ModelFileError(f"the adapter is of another model ({', '.join(unknown[:3])}).")
    chosen: dict[str, Tensor] = {}
    for name, tensor in own.items():
        value = stored.get(_TENSOR + name)
        if value is None:
            value = shared[name] if not tensor.dim() else extended(shared[name], len(tensor))
        if name in changed:
            value = _changed(name, value, stored, method, kinds[name][1])
        if value.shape != tensor.shape:
            raise ModelFileError(f"`{name}` has the shape {tuple(value.shape)}, and {tuple(tensor.shape)} is wanted.")
        chosen[name] = value
    put(model, chosen)


@torch.no_grad()
def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let a model hold these very tensors, by its names for them, wherever it has its own; buffers are copied."""
    own, places = own_tensors(model), places_of(model)
    for name, tensor in tensors.items():
        if not isinstance(own[name], nn.Parameter):
            own[name].copy_(tensor)
            continue
        weight = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor.to(own[name].device))
        for module, key in places[id(own[name])]:
            module._parameters[key] = weight


def _changed(name: str, weight: Tensor, stored: Mapping[str, Tensor], method: Config, gates: int) -> nn.Parameter:
    if not isinstance(method, LoRAConfig):
        raise ModelFileError("a change of low rank, and the run's method makes none.")
    change = LowRank(weight, method, gates if method.per_gate else 1).eval()
    prefix = f"{_CHANGE}{name}/"
    parts = {key.removeprefix(prefix): part for key, part in stored.items() if key.startswith(prefix)}
    try:
        change.load_state_dict(parts)
    except RuntimeError as error:
        raise ModelFileError(
            f"the change of `{name}` does not fit the run's method, whose rank or gates are others."
        ) from error
    return nn.Parameter(change.to(weight.device)())
