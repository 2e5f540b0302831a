"""Checkpoints: whole or not at all, checked when read, exact."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recurra.core.errors import ModelFileError, OutputError
from recurra.training.checkpoint import (
    checkpoint_path,
    keep_only,
    list_checkpoints,
    load_model_tensors,
    load_optimizer_tensors,
    model_tensors,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from recurra.training.optimizer import OPTIMIZERS, SGDConfig

TENSORS = {"model/weight": torch.arange(6.0).reshape(2, 3), "rng/torch": torch.arange(9, dtype=torch.uint8)}
VALUES = {"progress": {"update": 7, "best_value": 0.1}, "notes": ["é"]}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path, "update", 7, TENSORS, VALUES)


def test_what_was_written_is_read(written: Path) -> None:
    stored = read_checkpoint(written)
    assert stored.values == VALUES and stored.folder == written
    torch.testing.assert_close(stored.part("model"), {"weight": TENSORS["model/weight"]}, rtol=0, atol=0)
    assert stored.part("rng")["torch"].dtype == torch.uint8
    assert stored.part("mod") == {}


def test_nothing_half_written_stays(written: Path) -> None:
    assert [path.name for path in written.parent.iterdir()] == ["update-00000007"]
    assert sorted(path.name for path in written.iterdir()) == ["tensors.safetensors", "values.json"]


def cut_tensors(path: Path) -> None:
    with (path / "tensors.safetensors").open("r+b") as file:
        file.truncate(40)


def flip_tensors(path: Path) -> None:
    content = bytearray((path / "tensors.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "tensors.safetensors").write_bytes(content)


def change_values(path: Path) -> None:
    text = (path / "values.json").read_text()
    (path / "values.json").write_text(text.replace('"update": 7', '"update": 8'))


def another_format(path: Path) -> None:
    values = json.loads((path / "values.json").read_text())
    (path / "values.json").write_text(json.dumps(values | {"format": 99}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tensors cut": (cut_tensors, "checksum"),
    "tensors flipped": (flip_tensors, "checksum"),
    "tensors empty": (lambda path: (path / "tensors.safetensors").write_bytes(b""), "checksum"),
    "tensors missing": (lambda path: (path / "tensors.safetensors").unlink(), "tensors.safetensors: can't be read"),
    "tensors pickled": (lambda path: (path / "tensors.safetensors").write_bytes(pickle.dumps({})), "checksum"),
    "values cut": (lambda path: (path / "values.json").write_text('{"sha256": "'), "JSONDecodeError"),
    "values empty": (lambda path: (path / "values.json").write_text(""), "JSONDecodeError"),
    "values garbled": (lambda path: (path / "values.json").write_bytes(b"\x80\x04\x95"), "UnicodeDecodeError"),
    "values missing": (lambda path: (path / "values.json").unlink(), "values.json: can't be read"),
    "values without keys": (lambda path: (path / "values.json").write_text("{}"), "KeyError"),
    "values no mapping": (lambda path: (path / "values.json").write_text("[1]"), "TypeError"),
    "values changed": (change_values, "checksum"),
    "another format": (another_format, "format 99"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(damage: str, written: Path) -> None:
    spoil, sign = DAMAGES[damage]
    spoil(written)
    with pytest.raises(ModelFileError, match=f"{re.escape(str(written))}.*{re.escape(sign)}.*Delete the folder"):
        read_checkpoint(written)


def test_a_full_disk_leaves_the_older_checkpoint(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="The disk is full"):
        write_checkpoint(written.parent, "update", 8, TENSORS, VALUES)
    assert [path.name for path in written.parent.iterdir()] == ["update-00000007"]
    read_checkpoint(written)


def test_listing_is_by_number_and_ignores_what_is_not_whole(tmp_path: Path) -> None:
    for update in (100_000_000, 5, 20):
        write_checkpoint(tmp_path, "update", update, TENSORS, VALUES)
    (tmp_path / ".update-00000030.abc").mkdir()
    (tmp_path / "update-1").mkdir()
    (tmp_path / "best-00000005").mkdir()
    found = [path.name for path in list_checkpoints(tmp_path, "update")]
    assert found == ["update-00000005", "update-00000020", "update-100000000"]
    assert list_checkpoints(tmp_path / "nowhere", "update") == []


def test_keep_only_deletes_others_and_leftovers_of_a_kill(tmp_path: Path) -> None:
    for update in (5, 20, 30):
        write_checkpoint(tmp_path, "update", update, TENSORS, VALUES)
    best = write_checkpoint(tmp_path, "best", 5, TENSORS, VALUES)
    (tmp_path / ".update-00000040.xyz").mkdir()
    keep_only(tmp_path, "update", 20)
    assert sorted(tmp_path.iterdir()) == [best, checkpoint_path(tmp_path, "update", 20)]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4, bias=False)
        self.second = nn.Linear(3, 4)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.ones(2))


def test_a_tied_weight_stands_once_and_buffers_are_kept() -> None:
    model, other = Tied(), Tied()
    tensors = model_tensors(model)
    assert set(tensors) == {"first.weight", "second.bias", "seen"}
    load_model_tensors(other, tensors, "here")
    assert torch.equal(other.second.weight, model.first.weight)
    assert other.second.weight is other.first.weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("seen"), "missing ['seen']"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "unknown ['extra']"),
        (lambda tensors: tensors.update(seen=torch.ones(3)), "(3,) stored, (2,) wanted"),
    ],
)
def test_weights_of_another_model_are_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    tensors = model_tensors(Tied())
    change(tensors)
    with pytest.raises(ModelFileError, match=re.escape(message)):
        load_model_tensors(Tied(), tensors, "here")


@pytest.mark.parametrize("kind", [*OPTIMIZERS, "momentum"])
def test_every_optimizer_goes_on_bit_for_bit(kind: str) -> None:
    config = SGDConfig(momentum=0.9, learning_rate=0.1) if kind == "momentum" else OPTIMIZERS[kind](learning_rate=0.1)
    inputs = torch.randn(8, 3)

    def start() -> tuple[Tied, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = Tied()
        return model, config.build([list(model.parameters())])

    def train(model: Tied, optimizer: torch.optim.Optimizer, updates: int) -> None:
        for _ in range(updates):
            optimizer.zero_grad()
            (model.first(inputs).square().mean() + model.second(inputs).tanh().mean()).backward()
            optimizer.step()

    whole, optimizer = start()
    train(whole, optimizer, 5)
    part, optimizer = start()
    train(part, optimizer, 3)
    weights, state = model_tensors(part), optimizer_tensors(part, optimizer)
    again, optimizer = start()
    load_model_tensors(again, weights, "here")
    load_optimizer_tensors(again, optimizer, state)
    train(again, optimizer, 2)
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)
