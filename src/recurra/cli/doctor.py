"""`doctor`: versions, devices, extras, and which fast paths work here, each tried rather than guessed."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from typing import Any

import torch

import recurra
from recurra.core.sequences import Sequences
from recurra.layers import Recurrent, RecurrentConfig

EXTRAS = {"tokenizers": "text", "tensorboard": "tensorboard", "sklearn": "sk", "keras": "dev"}
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
NATIVE_COST = (
    "everything works, on slower paths: on a CPU an LSTM takes roughly 1 to 2 times as long, a GRU or an Elman network "
    "2 to 20 times, a cell with layer norm or zoneout 2 to 30 times"
)
NATIVE_MEND = (
    "install a C++ compiler (g++ or clang), then `pip install --force-reinstall --no-deps --no-cache-dir recurra`; "
    "in a checkout `make native`"
)


def run_doctor(as_json: bool) -> None:
    """Print what was found."""
    found = {
        "versions": {
            "recurra": recurra.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "devices": _devices(),
        "extras": {package: _version(package, extra) for package, extra in EXTRAS.items()},
        "kernels": _kernels(),
        "paths": _paths(),
        "precision": _precisions(),
    }
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for part, rows in found.items():
        print(part)
        for name, value in rows.items():
            print(f"  {name:<28} {value}")


def _devices() -> dict[str, str]:
    devices = {"cpu": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return devices


def _version(package: str, extra: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        return f"not installed; pip install 'recurra[{extra}]'"


def _kernels() -> dict[str, str]:
    """Whether the C++ extension is there, and what it runs on; without it, what that costs and how to get it."""
    try:
        native = importlib.import_module("recurra.kernels._native")
    except ImportError as error:
        return {
            "C++ extension": "missing" if isinstance(error, ModuleNotFoundError) else f"does not load: {error}",
            "without it": NATIVE_COST,
            "to get it": NATIVE_MEND,
        }
    try:
        chosen = native.isa()
    except (RuntimeError, ValueError) as error:
        return {"C++ extension": f"{native.__file__}, not in use: {error}"}
    return {
        "C++ extension": str(native.__file__),
        "instruction set": f"{chosen}; this CPU can run {', '.join(native.isas())}",
        "threads": "torch's pool" if native.shares_pool() else "its own: torch's OpenMP pool was not found",
    }


def _paths() -> dict[str, str]:
    """Which path each cell takes, for a full batch, a padded one and one with resets."""
    from recurra.cells import CELLS

    xs = torch.randn(4, 12, 8)
    lengths = torch.tensor([12, 5, 0, 9])
    reset = torch.zeros(4, 12, dtype=torch.bool)
    reset[1, 3] = True
    rows: dict[str, str] = {}
    for kind in CELLS:
        layer = Recurrent(8, RecurrentConfig.model_validate({"cell": kind, "hidden_size": 16}))
        for what, inputs in {
            "full": Sequences(xs),
            "padded": Sequences(xs, lengths),
            "resets": Sequences(xs, None, reset),
        }.items():
            layer(inputs)
            path = layer.last_path[0]
            rows[f"{kind}, {what} batch"] = path.name + (f" ({path.reason})" if path.reason else "")
    return rows


def _precisions() -> dict[str, str]:
    """Whether an LSTM can be trained in each precision, on each device."""
    rows = {}
    for device in ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]:
        for name in ("bfloat16", "float16"):
            rows[f"{name} on {device}"] = _attempt(lambda d=device, n=name: _train_once(d, getattr(torch, n)))  # type: ignore[misc]
    return rows


def _train_once(device: str, dtype: torch.dtype) -> None:
    layer = Recurrent(8, RecurrentConfig(hidden_size=16)).to(device)
    with torch.autocast(torch.device(device).type, dtype=dtype):
        layer(Sequences(torch.randn(4, 12, 8, device=device))).outputs.data.float().sum().backward()


def _attempt(action: Callable[[], Any]) -> str:
    try:
        action()
    except RuntimeError as error:
        return f"falls back to float32: {str(error).splitlines()[0][:100]}"
    return "works"
