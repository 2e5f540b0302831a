"""One process: everything is as if there were no others. Several processes: tests/integration/test_distributed.py."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from recurra.core.errors import ConfigError
from recurra.training.distributed import World, full, like, share, start_world, stop_world, unwrap


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return start_world("cpu")


def test_one_process_is_the_main_one_and_agrees_with_itself(alone: World) -> None:
    assert alone == World(0, 1, torch.device("cpu")) and alone.is_main
    assert alone.gather({"a": 1}) == [{"a": 1}]
    assert alone.agree("x") == "x"
    assert alone.any(True, False) == (True, False)
    assert torch.equal(alone.sum(torch.ones(2)), torch.ones(2))
    stop_world()


def test_alone_a_model_is_not_wrapped(alone: World) -> None:
    model = nn.Linear(1, 1)
    assert share(model, alone, "fsdp", unused=False) is model
    assert unwrap(model) is model


def test_whole_tensors_stay_as_they_are() -> None:
    tensor = torch.arange(3.0)
    assert full(tensor) is tensor
    assert like(tensor.int(), tensor).dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "no such device `gpu`; use auto, cpu, cuda or cuda:N"),
        ("", "no such device ``"),
        ("mps", "`mps` is not supported"),
        ("meta", "`meta` is not supported"),
        ("cuda:99", "cuda:99 asked for, and this machine has"),
    ],
)
def test_a_device_that_is_not_there(device: str, message: str, alone: World) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"`training.device`: {message}")):
        start_world(device)


def test_auto_takes_what_there_is(alone: World) -> None:
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert start_world("auto").device.type == wanted


@pytest.mark.gpu
def test_cuda_without_a_number_is_the_first_one(alone: World) -> None:
    assert start_world("cuda").device == torch.device("cuda", 0)
