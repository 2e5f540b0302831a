"""A run folder: who may write into it, and what stands in it besides checkpoints."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

import recurra
from recurra.core.config import flatten, to_yaml
from recurra.core.errors import ConfigError, DataError, OutputError
from recurra.core.files import require_writable, write_json, write_text
from recurra.runs.config import RunConfig, read_run_config


def open_folder(out: Path, config: RunConfig, resume: bool) -> None:
    """Make the folder of a new run, or prove that it is the folder of this very run.

    Raises:
        OutputError: it holds something and `resume` is not asked for; or it can't be written.
        ConfigError: it is the folder of a run with other options; or a name can't be written down.
    """
    _require_unicode(out, config)
    if resume:
        require_same_config(out, config)
        require_writable(out)
        return
    if (out / "config.yaml").is_file():
        raise OutputError(f"{out} holds a run already; go on with it by --resume, or choose another --out.")
    require_free(out)
    require_writable(out)
    write_text(out / "config.yaml", to_yaml(config))
    write_json(out / "environment.json", environment())


def require_free(out: Path) -> None:
    """Check that nothing stands in a folder that is to be filled, which need not be there yet.

    Raises:
        OutputError: it holds something, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file, and a folder is wanted. Choose another --out.")
    if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise OutputError(f"{out} is not empty, and nothing is overwritten. Choose another --out.")


def discard_unbegun(out: Path) -> None:
    """Delete what `open_folder` and the preparation wrote, if the training never began: the folder is free again."""
    if list(out.rglob("metrics.jsonl")):
        return
    for name in ("config.yaml", "environment.json", "data.json"):
        (out / name).unlink(missing_ok=True)
    for folder in (*out.glob("cache*"), out / "adapt"):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        out.rmdir()


def read_config(out: Path) -> RunConfig:
    """The config of the run in a folder.

    Raises:
        ConfigError: there is none.
    """
    if not (out / "config.yaml").is_file():
        what = "config.yaml is missing" if out.is_dir() else "no such folder"
        raise ConfigError(f"{out}: no run to resume there ({what}). Start one without --resume.")
    return read_run_config(out / "config.yaml", {})


def require_same_config(out: Path, config: RunConfig) -> None:
    """Check that a run folder was made by this config.

    Raises:
        ConfigError: names the options that differ.
    """
    stored, given = flatten(read_config(out).model_dump(mode="json")), flatten(config.model_dump(mode="json"))
    differing = [key for key in sorted({*stored, *given}) if stored.get(key) != given.get(key)]
    if differing:
        shown = "; ".join(f"{key}: {stored.get(key)} there, {given.get(key)} now" for key in differing[:5])
        raise ConfigError(
            f"{out} holds a run of another config ({shown}). Resume without these options, or choose another --out."
        )


def require_same_data(out: Path, fitted: dict[str, Any]) -> None:
    """Note what was fitted on the training data, or check that a resumed run sees the same.

    Args:
        out: the run's folder.
        fitted: `FileTask.files()`: vocabulary and labels with their counts.
    Raises:
        DataError: the data has changed since the run began.
    """
    digest = hashlib.sha256(json.dumps(fitted, sort_keys=True).encode()).hexdigest()
    path = out / "data.json"
    if not path.is_file():
        write_json(path, {"sha256": digest})
    elif digest not in path.read_text(encoding="utf-8", errors="replace"):
        raise DataError(
            f"{out}: the training data is not what it was when the run began. Resume with the same files, or start a "
            "new run in another --out."
        )


def environment() -> dict[str, Any]:
    """Versions and devices that the numbers of a run depend on."""
    return {
        "recurra": recurra.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _require_unicode(out: Path, config: RunConfig) -> None:
    """Check that all names can be written into the files of a run, of which each is UTF-8."""
    try:
        json.dumps([str(out), config.model_dump(mode="python")], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 30) : error.end + 30]
        raise ConfigError(f"a name in the options is not valid UTF-8 (near {name!r}). Rename the file.") from error
