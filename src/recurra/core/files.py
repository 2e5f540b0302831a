"""Writing that never harms what was there: temporary file, fsync, rename."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from recurra.core.errors import OutputError


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission or the like into an OutputError that names the mend."""
    try:
        yield
    except OSError as error:
        mend = {
            errno.ENOSPC: "The disk is full: free some space; nothing that was there before is harmed.",
            errno.EACCES: "No permission to write there: choose another folder with --out.",
            errno.EPERM: "No permission to write there: choose another folder with --out.",
            errno.EROFS: "The file system is read-only: choose another folder with --out.",
            errno.ENOTDIR: "A part of the path is a file, not a folder: choose another folder with --out.",
            errno.EEXIST: "A file of that name is in the way: choose another folder with --out.",
        }.get(error.errno or 0, "")
        raise OutputError(f"can't write {path}: {error.strerror or error}. {mend}".rstrip()) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` at once: a reader sees the old file or the new one, never a part."""
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def json_values(value: Any) -> Any:
    """As JSON holds it: dataclasses and named tuples are objects, tuples lists, and numbers that aren't finite null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): json_values(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Build a folder aside with `fill`, sync it, and put it at `path` by a rename; an old `path` goes last."""
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            os.chmod(building, 0o777 & ~_umask())
            fill(building)
            for file in building.rglob("*"):
                _sync_folder(file)
            _sync_folder(building)
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent)) if path.exists() else None
            if old is not None:
                os.replace(path, old / path.name)
            os.replace(building, path)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        _sync_folder(path.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def require_writable(folder: Path) -> None:
    """Make `folder` and prove that a file can be written in it.

    Raises:
        OutputError: it can't be made or written.
    """
    probe = folder / ".write-probe"
    write_bytes(probe, b"probe")
    probe.unlink()


def require_new(path: Path, option: str) -> None:
    """Check that a file of results can be written without overwriting one.

    Args:
        path: of the file.
        option: of the command line that names it.
    Raises:
        OutputError: something is there, or nothing can be written there.
    """
    if path.exists():
        raise OutputError(f"{path} is there already, and nothing is overwritten. Choose another {option}.")
    require_writable(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
