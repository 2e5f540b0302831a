"""One process or several: torchrun's environment, DDP and FSDP2, and the few collectives that the loop needs."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recurra.core.errors import ConfigError


@runtime_checkable
class Wrapping(Protocol):
    """What is around a model for the time of its training only."""

    def bare(self) -> nn.Module:
        """The model inside, with the weights of now."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the terminal."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a tensor over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def agree(self, value: Any) -> Any:
        """The main process's value, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process."""
        if self.size == 1:
            return flags
        return tuple(self.sum(torch.tensor(flags, dtype=torch.float32, device=self.device)).bool().tolist())


def start_world(device: str) -> World:
    """Join the processes that torchrun started, or stand alone.

    Args:
        device: auto, cpu, cuda or cuda:N.
    Raises:
        ConfigError: a device that this machine lacks.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = _choose_device(device, int(os.environ.get("LOCAL_RANK", 0)), several=size > 1)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return World(rank, size, chosen)


def stop_world() -> None:
    """Leave the process group, if one was joined.

    DDP's destructor waits for the threads of gloo while it holds the interpreter's lock, and such a thread needs that
    lock to drop the tensors of its last collective: without the pause, the two may wait for each other for ever.
    """
    if dist.is_initialized():
        time.sleep(0.25)
        dist.destroy_process_group()


def share(model: nn.Module, world: World, strategy: str, *, unused: bool) -> nn.Module:
    """Wrap a model for several processes; alone, it stays as it is.

    Args:
        model: on the world's device.
        world: the processes.
        strategy: ddp or fsdp.
        unused: whether some parameters may get no gradient in an update (gradual unfreezing).
    """
    if world.size == 1:
        return model
    if strategy == "fsdp":
        from torch.distributed.fsdp import fully_shard

        # It warns of views because an in-place change of an output would lose gradients; nothing here makes one.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        mesh = dist.init_device_mesh(world.device.type, (world.size,))
        fully_shard(model, mesh=mesh)
        return model
    ids = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=unused)


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside a DDP wrapper."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def bare(model: nn.Module) -> nn.Module:
    """The model that can do all it can do outside of the training, too, with the weights of now."""
    inner = unwrap(model)
    return inner.bare() if isinstance(inner, Wrapping) else inner


def full(tensor: Tensor) -> Tensor:
    """The whole tensor where FSDP holds a part of it in each process."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(whole: Tensor, part: Tensor) -> Tensor:
    """`whole`, laid out over the processes as `part` is."""
    whole = whole.to(part.device, part.dtype)
    if not hasattr(part, "full_tensor"):
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(part, DTensor)
    return distribute_tensor(whole, part.device_mesh, part.placements)


def _choose_device(name: str, local_rank: int, *, several: bool) -> torch.device:
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"`training.device`: no such device `{name}`; use auto, cpu, cuda or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"`training.device`: `{name}` is not supported; use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (several or device.index is None):
        device = torch.device("cuda", local_rank)
    count = torch.cuda.device_count() if available else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"`training.device`: {device} asked for, and this machine has {count} CUDA devices; use cpu.")
    return device
