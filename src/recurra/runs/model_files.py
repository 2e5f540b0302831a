"""The files of a saved model: JSON and safetensors, each checked, and a damaged one named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from recurra.core.batch import TaskSpec
from recurra.core.errors import ModelFileError, RecurraError

FORMAT = 1
MEND = "Copy the folder again, or train anew."


class ModelFiles(Mapping[str, Any]):
    """The JSON files of a folder by name; each is read when asked for.

    Args:
        folder: where they are.
        others: what stands for a file that the folder lacks.
    """

    def __init__(self, folder: Path, others: Mapping[str, Any] | None = None) -> None:
        self._folder, self._others = folder, others or {}

    def __getitem__(self, name: str) -> Any:
        path = self._folder / name
        if name in self._others and not path.exists():
            return self._others[name]
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelFileError(f"{path}: can't be read: {error.strerror}. {MEND}") from error
        except ValueError as error:
            raise ModelFileError(f"{path}: damaged, not valid JSON ({error}). {MEND}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*(path.name for path in self._folder.glob("*.json")), *self._others]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name the folder in whatever goes wrong with what its files hold."""
    try:
        yield
    except RecurraError as error:
        if str(error).startswith(str(path)):
            raise
        raise ModelFileError(f"{path}: damaged, or of another version of recurra: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: a part of the saved model is missing or damaged ({error!r}). {MEND}") from error


def require_format(described: Mapping[str, Any], path: Path) -> None:
    """Refuse what another version wrote in another form."""
    if described["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: format {described['format']}, and this version reads {FORMAT}. "
            f"It was written by recurra {described['recurra']}; install that version."
        )


def require_sizes(spec: TaskSpec, stored: Mapping[str, Any], path: Path) -> None:
    """Check that vocabulary, columns and labels have the sizes that the weights were trained for."""
    sizes = (int(stored["input_size"]), int(stored["output_size"]))
    if (spec.input_size, spec.output_size) != sizes:
        raise ModelFileError(
            f"{path}: vocabulary, columns or labels are not those of the weights ({spec.input_size} and "
            f"{spec.output_size} of them, {sizes[0]} and {sizes[1]} wanted). {MEND}"
        )


def sizes_of(spec: TaskSpec) -> dict[str, int]:
    """What `require_sizes` compares."""
    return {"input_size": spec.input_size, "output_size": spec.output_size}


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path, digest: str, source: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file that has this checksum, which stands in the file `source`."""
    try:
        if digest_of(path) != digest:
            raise ModelFileError(f"{path}: damaged: its checksum is not the one in {source}. {MEND}")
        return load_file(path)
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read: {error.strerror}. {MEND}") from error
    except SafetensorError as error:
        raise ModelFileError(f"{path}: damaged ({error}). {MEND}") from error
