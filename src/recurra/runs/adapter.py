"""Adapters: what a fine-tuning changed, in a small folder of its own that is put on a shared base.

    adapter.json  adapter.safetensors  [labels.json ...]  metrics.json

`adapter.json` holds the run's config and names the base by the SHA-256 of its weights; files of the task that are the
base's own are not stored again. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

import recurra
from recurra.core.config import parse
from recurra.core.errors import ModelFileError
from recurra.core.files import write_folder
from recurra.finetuning import Grown, attach, encoders, match, own_tensors
from recurra.models import MODELS
from recurra.runs.config import RunConfig
from recurra.runs.model_files import (
    FORMAT,
    MEND,
    ModelFiles,
    digest_of,
    explained,
    read_tensors,
    require_format,
    require_sizes,
    sizes_of,
)
from recurra.runs.saved import SavedModel
from recurra.tasks import TASKS
from recurra.training.checkpoint import save_tensors

Base: TypeAlias = "str | Path | SavedModel"
DESCRIPTION, TENSORS = "adapter.json", "adapter.safetensors"


def write_adapter(folder: Path, tuned: SavedModel, tensors: Mapping[str, Any], bases: Sequence[SavedModel]) -> None:
    """Write what was trained.

    Args:
        folder: where to.
        tuned: the fine-tuned model.
        tensors: as `finetuning.adapter_tensors` gives them.
        bases: the model, or the language models, that it was trained on.
    """
    assert tuned.config.finetune is not None
    names = (tuned.config.finetune.start, tuned.config.finetune.backward)
    shared = bases[0].task.files()
    own = {name: value for name, value in tuned.task.files().items() if shared.get(name) != value}

    def fill(building: Path) -> None:
        save_tensors(building / TENSORS, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        described = {
            "format": FORMAT,
            "recurra": recurra.__version__,
            "run": tuned.config.model_dump(mode="json"),
            "spec": sizes_of(tuned.task.spec),
            "base": [{"sha256": base.sha256, "folder": name} for base, name in zip(bases, names, strict=False)],
            "sha256": digest_of(building / TENSORS),
        }
        for name, value in {DESCRIPTION: described, "metrics.json": tuned.metrics, **own}.items():
            (building / name).write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")

    write_folder(folder, fill)


def load_adapter(path: Path, given: Sequence[Base] | None, load: Callable[[Any], SavedModel]) -> SavedModel:
    """The fine-tuned model; what the adapter does not change is held by the base's own tensors.

    Args:
        path: folder of the adapter.
        given: its bases; None looks where they were.
        load: how a base is loaded from its folder.
    Raises:
        ModelFileError: the base is not there or is another one; or a file is missing or damaged.
    """
    described = ModelFiles(path)[DESCRIPTION]
    with explained(path):
        require_format(described, path / DESCRIPTION)
        config = parse(RunConfig, described["run"])
        if config.finetune is None:
            raise ModelFileError(f"{path / DESCRIPTION}: damaged: it is of no fine-tuning. {MEND}")
        bases = _bases(path, described["base"], given, load)
        files = ModelFiles(path, bases[0].task.files())
        task = TASKS[config.task.kind].from_files(config.task, files)
        stored = read_tensors(path / TENSORS, described["sha256"], DESCRIPTION)
        require_sizes(task.spec, described["spec"], path)
        model = MODELS[config.model.kind](config.model, task.spec)
        shared: dict[str, Tensor] = {}
        same = config.task.kind == bases[0].config.task.kind
        places = [""] if same else [encoders(model)[name] for name in ("forward", "backward")[: len(bases)]]
        for base, place in zip(bases, places, strict=True):
            known = own_tensors(base.model)
            old = base.task.spec.input_size
            grown = Grown(old, task.spec.input_size if config.finetune.new_words else old)
            shared |= {name: known[origin] for name, origin in match(known, model, place, grown).items()}
        attach(model.to(bases[0].device), shared, stored, config.finetune.method)
    return SavedModel(config, task, model, files["metrics.json"])


def require_adapter(folder: str | Path) -> None:
    """Check that a folder is that of an adapter.

    Raises:
        ModelFileError: it is not.
    """
    if not (Path(folder) / DESCRIPTION).is_file():
        raise ModelFileError(
            f"{folder}: no adapter there ({DESCRIPTION} is missing). Give the folder `adapter` of a fine-tuning."
        )


def _loaded(path: Path, base: str | Path, load: Callable[[Any], SavedModel]) -> SavedModel:
    try:
        return load(base)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: its base can't be loaded: {error}") from error


def _bases(
    path: Path, wanted: Sequence[Mapping[str, str]], given: Sequence[Base] | None, load: Callable[[Any], SavedModel]
) -> list[SavedModel]:
    """The bases, proven to be those that the adapter was trained on."""
    if given is None:
        missing = [one["folder"] for one in wanted if not Path(one["folder"]).exists()]
        if missing:
            hashes = " and ".join(one["sha256"] for one in wanted)
            raise ModelFileError(
                f"{path}: an adapter, and the model that it was trained on (SHA-256 of its weights: {hashes}) is no "
                f"longer at {' and '.join(missing)}. Name its folder: base=... in Python, --base for `recurra merge`."
            )
        given = [one["folder"] for one in wanted]
    if len(given) != len(wanted):
        raise ModelFileError(f"{path}: an adapter on {len(wanted)} models, got {len(given)} as its base.")
    bases = [base if isinstance(base, SavedModel) else _loaded(path, base, load) for base in given]
    for base, name, one in zip(bases, given, wanted, strict=True):
        if base.sha256 != one["sha256"]:
            shown = "the given model" if isinstance(name, SavedModel) else name
            raise ModelFileError(
                f"{path}: trained on the model whose weights have the SHA-256 {one['sha256']} (it was at "
                f"{one['folder']}), and that of {shown} is {base.sha256 or 'not known, as it is in no folder'}. Give "
                "that model as the base."
            )
    return bases
